"""The journal: what was asked is not asked again, and no file of somebody else is touched."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.batches import MODES, run, with_client
from support.clock import PATIENCE
from support.faults import FaultServer, answer, error

from runagent import RunAgentClient, RunAgentError, ValidationError
from runagent.many.journal_file import FileJournal
from runagent.many.journal_lock import JournalLock, check_is_local, file_system
from runagent.many.rows import Entry, Row

Serve = Callable[..., FaultServer]
by_mode = pytest.mark.parametrize("mode", MODES)

BELONGS = {"agent": "a", "server": "s"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with nothing else in it."""
    folder = tmp_path / "journals"
    folder.mkdir()
    return folder


def inputs(count: int) -> list[tuple[str, dict[str, int]]]:
    return [(f"r{i}", {"i": i}) for i in range(count)]


def keys(server: FaultServer) -> list[str]:
    return [exchange.headers["idempotency-key"] for exchange in server.exchanges]


@by_mode
def test_finished_rows_are_not_asked_again(mode: str, serve: Serve, folder: Path) -> None:
    server = serve(answer({"result": "first"}))
    path = folder / "x.journal"
    run(server.url, mode, inputs(3), journal=path)
    server.scripts[:] = [answer({"result": "second"})]
    changed = [*inputs(2), ("r2", {"i": 99}), ("r3", {"i": 3})]
    rows = run(server.url, mode, changed, journal=str(path))
    assert [row.output for row in rows] == ["first", "first", "second", "second"]
    assert [row.id for row in rows] == ["r0", "r1", "r2", "r3"]
    assert len(server.exchanges) == 5


@by_mode
def test_failed_rows_are_finished_until_they_are_retried(
    mode: str, serve: Serve, folder: Path
) -> None:
    server = serve(error(400, "BAD", message="no"), answer())
    path = folder / "x.journal"
    [first] = run(server.url, mode, inputs(1), journal=path)
    [again] = run(server.url, mode, inputs(1), journal=path)
    assert len(server.exchanges) == 1
    assert isinstance(again.error, ValidationError)
    assert (again.error.message, again.error.code, again.error.status_code) == ("no", "BAD", 400)
    assert first.attempts == again.attempts == 1

    def retry(client: Any) -> Any:
        batch = client.map(inputs(1), journal=path)

        async def main() -> Any:
            await batch.results()
            return await (await batch.retry_failed()).results()

        if mode == "async":
            return main()
        batch.results()
        return batch.retry_failed().results()

    [row] = with_client(server.url, mode, retry)
    assert row.error is None
    assert len(set(keys(server))) == 2


@by_mode
@pytest.mark.parametrize("kept", [True, False], ids=["journal", "memory"])
@pytest.mark.parametrize("distance", [1, 300])
def test_two_rows_with_one_id_are_an_error(
    mode: str, kept: bool, distance: int, serve: Serve, folder: Path
) -> None:
    server = serve(answer({"result": "first"}))
    options = {"journal": folder / "x.journal", "rate": 10_000} if kept else {"rate": 10_000}
    rows = [*inputs(distance), ("r0", {"i": -1})]
    with pytest.raises(ValidationError) as caught:
        run(server.url, mode, rows, **options)
    expected = f"inputs[{distance}] has the id 'r0', which inputs[0] has as well."
    assert caught.value.message == expected
    assert {"i": -1} not in [exchange.json for exchange in server.exchanges]
    if kept:  # the row that was first is not harmed
        [row] = run(server.url, mode, inputs(1), journal=folder / "x.journal")
        assert row.output == "first"


@by_mode
def test_an_id_that_is_the_position_of_another_row_is_an_error(
    mode: str, serve: Serve, folder: Path
) -> None:
    server = serve(answer())
    with pytest.raises(ValidationError, match=r"inputs\[1\] has the id 1, which inputs\[0\] has"):
        run(server.url, mode, [(1, {"i": 0}), {"i": 1}], journal=folder / "x.journal")


@by_mode
def test_fresh_asks_all_rows_again_under_new_keys(mode: str, serve: Serve, folder: Path) -> None:
    server = serve(answer())
    for fresh in (False, True):
        run(server.url, mode, inputs(2), journal=folder / "x.journal", fresh=fresh)
    assert len(set(keys(server))) == 4
    run(server.url, mode, inputs(2), journal=folder / "x.journal")
    assert len(server.exchanges) == 4


def test_a_journal_refuses_another_batch(serve: Serve, folder: Path) -> None:
    server = serve(answer())
    path = folder / "x.journal"
    run(server.url, "sync", inputs(1), journal=path)
    before = path.read_bytes()
    with pytest.raises(ValidationError, match="belongs to another batch: its entrypoint is None"):
        run(server.url, "sync", inputs(1), journal=path, entrypoint="other")
    with pytest.raises(ValidationError, match="its per_call is 1, not 2"):
        run(server.url, "sync", inputs(1), journal=path, per_call=2)
    with (
        RunAgentClient("other", base_url=server.url) as client,
        pytest.raises(ValidationError, match="its agent is 'a', not 'other'"),
    ):
        client.map(inputs(1), journal=path)
    with (
        RunAgentClient("a", base_url="http://127.0.0.1:9") as client,
        pytest.raises(ValidationError, match="its server is"),
    ):
        client.map(inputs(1), journal=path)
    assert path.read_bytes() == before
    assert len(server.exchanges) == 1


def test_a_journal_is_private_and_has_no_key_in_it(serve: Serve, folder: Path) -> None:
    server = serve(answer())
    path = folder / "x.journal"
    seen: dict[str, int] = {}

    def use(client: Any) -> Any:
        batch = client.map(inputs(2), journal=path, headers={"X-Secret": "header-secret"})
        for _ in batch:
            seen.update({file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()})

    with_client(server.url, "sync", use, api_key="very-secret-key")
    assert seen
    assert set(seen.values()) == {0o600}
    assert [file.name for file in folder.iterdir()] == ["x.journal"]
    content = path.read_bytes()
    assert b"secret" not in content
    assert b'{"i":0}' in content


def opened(path: Path) -> FileJournal:
    return FileJournal(path, BELONGS)


def test_a_second_process_is_refused_by_name(folder: Path) -> None:
    path = folder / "x.journal"
    program = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from runagent.many.journal_file import FileJournal
        journal = FileJournal(Path({str(path)!r}), {BELONGS!r})
        print("open", flush=True)
        sys.stdin.read()
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(ValidationError, match=f"in use by process {process.pid}") as caught:
            opened(path)
        assert caught.value.code == "JOURNAL_IN_USE"
        process.kill()
    opened(path).close()  # a lock ends with its process


def newer(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 2")
    db.close()


def of_others(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA application_id = 5")
    db.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:9000]), "is damaged: it has 9,000 of"),
        (lambda path: path.write_bytes(path.read_bytes()[:50]), "is damaged"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_text("id,query\n1,hello\n"), "is not a journal of runagent"),
        (newer, "has the format 2, which a newer version of runagent writes"),
        (of_others, "is not a journal of runagent"),
    ],
    ids=["truncated", "a stump", "empty", "a table", "newer", "another database"],
)
def test_a_file_that_cannot_be_used_is_left_alone(
    folder: Path, change: Callable[[Path], object], message: str
) -> None:
    path = folder / "x.journal"
    journal = opened(path)
    for i in range(100):
        entry = Entry(i, i, str(i), {"i": i}, b"x" * 500)
        journal.find(entry)
        journal.mark([entry], lambda _: None)
    journal.close()
    change(path)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(ValidationError, match=message):
            opened(path)
    assert path.read_bytes() == before
    assert [file.name for file in folder.iterdir()] == ["x.journal"]


NAMES = ["file:x?mode=memory", ":memory:", "a?b#c%20d", "größe-日本", "-x", 'it\'s "x"']


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_that_of_a_file_whatever_is_in_it(
    name: str, serve: Serve, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    server = serve(answer())
    for _ in range(2):
        run(server.url, "sync", inputs(2), journal=name)
    assert len(server.exchanges) == 2
    assert [file.name for file in folder.iterdir()] == [name]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs")
@pytest.mark.parametrize("name", ["", ".", "fifo", os.devnull, "a\0b"])
def test_something_that_is_no_file_is_refused(
    name: str, serve: Serve, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    os.mkfifo("fifo")
    with pytest.raises(ValidationError, match=r"The journal .* is not a file"):
        run(serve(answer()).url, "sync", inputs(1), journal=name)
    assert [file.name for file in folder.iterdir()] == ["fifo"]


def test_a_link_to_a_journal_is_that_journal(serve: Serve, folder: Path) -> None:
    server = serve(answer())
    path, link = folder / "x.journal", folder / "link"
    link.symlink_to(path)
    run(server.url, "sync", inputs(2), journal=link)
    assert path.is_file()
    run(server.url, "sync", inputs(2), journal=path)
    assert len(server.exchanges) == 2
    lock = JournalLock(path)  # as another process has it
    try:
        with pytest.raises(ValidationError, match="in use by"):
            run(server.url, "sync", inputs(2), journal=link)
    finally:
        lock.release()


def test_a_folder_that_is_not_there_is_an_error(folder: Path) -> None:
    with pytest.raises(RunAgentError, match="cannot be opened: No such file") as caught:
        opened(folder / "no" / "x.journal")
    assert caught.value.code == "JOURNAL_FAILED"


def test_a_network_file_system_is_refused(folder: Path) -> None:
    mounts = folder / "mounts"
    for kind in ("nfs4", "cifs", "fuse.sshfs", "9p", "lustre"):
        mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {folder} {kind} rw 0 0\n")
        with pytest.raises(ValidationError, match="is on a network file system"):
            check_is_local(folder / "x.journal", mounts)
    mounts.write_text("/dev/sda / ext4 rw 0 0\nserver:/x /elsewhere nfs rw 0 0\n")
    check_is_local(folder / "x.journal", mounts)
    assert file_system(folder / "x", mounts) == "ext4"
    assert file_system(folder / "x", folder / "none") == ""


@pytest.mark.skipif(sys.platform == "win32", reason="the size of files is limited by POSIX")
def test_a_full_disk_is_an_error_and_the_answers_come_all_the_same(
    serve: Serve, folder: Path
) -> None:
    server = serve(answer({"result": "x" * 1000}))
    program = textwrap.dedent(
        f"""
        import resource, signal
        from runagent import RunAgentClient, RunAgentError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        client = RunAgentClient("a", "", {server.url!r})
        batch = client.map(({{"i": i}} for i in range(500)), journal={str(folder / "j")!r})
        rows = [next(batch)]
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
        try:
            for row in batch:
                rows.append(row)
        except RunAgentError as exc:
            print(len(rows) - sum(row.output is None for row in rows), exc.code)
        client.close()
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout.split()[1:] == ["JOURNAL_FAILED"], done.stderr
    delivered = int(done.stdout.split()[0])
    assert delivered == len(server.exchanges) < 500
    count = len(server.exchanges)
    rows = run(server.url, "sync", [{"i": i} for i in range(count)], journal=folder / "j")
    assert all(row.error is None for row in rows)
    # Asked again are only rows whose answers found no place.
    assert len(server.exchanges) - count < count


def test_a_kill_repeats_only_rows_that_were_under_way(serve: Serve, folder: Path) -> None:
    server = serve(answer())
    path = folder / "x.journal"
    program = textwrap.dedent(
        f"""
        from runagent import RunAgentClient
        client = RunAgentClient("a", "", {server.url!r})
        for row in client.map((("r%d" % i, {{"i": i}}) for i in range(300)), journal={str(path)!r},
                              rate=200, max_concurrency=4):
            print(row.id, flush=True)
        """
    )
    delivered: set[int] = set()
    again: set[int] = set()
    for stop in (20, 60):
        before = len(server.exchanges)
        with subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            seen: set[int] = set()
            for _ in range(stop):
                seen.add(int(process.stdout.readline().strip()[1:]))
            process.send_signal(signal.SIGKILL)
        again |= delivered & {e.json["i"] for e in server.exchanges[before:] if e.body}
        delivered |= seen
    before = len(server.exchanges)
    rows = run(server.url, "sync", inputs(300), journal=path)
    assert len(rows) == 300
    # A request of the killed process may come late, without its body.
    again |= delivered & {e.json["i"] for e in server.exchanges[before:] if e.body}
    assert not again  # that was delivered before
    sent: dict[int, set[str]] = {}
    times: dict[int, int] = {}
    for exchange in server.exchanges:
        if not exchange.body:
            continue  # the kill cut the request off
        i = exchange.json["i"]
        sent.setdefault(i, set()).add(exchange.headers["idempotency-key"])
        times[i] = times.get(i, 0) + 1
    assert all(len(found) == 1 for found in sent.values())  # the same key whenever it was sent
    assert sum(times.values()) - 300 <= 2 * 4


@by_mode
def test_a_batch_that_was_left_gives_its_journal_to_the_next(
    mode: str, serve: Serve, folder: Path
) -> None:
    server = serve(answer())
    path = folder / "x.journal"

    def use(client: Any) -> Any:
        left = client.map(inputs(9), journal=path, max_concurrency=1)

        async def main() -> Any:
            async for _ in left:
                break
            rows = await client.map(inputs(9), journal=path).results()
            return left, rows

        if mode == "async":
            return main()
        for _ in left:
            break
        return left, client.map(inputs(9), journal=path).results()

    left, rows = with_client(server.url, mode, use)
    assert left.finished < 9
    assert len(rows) == 9
    assert len(set(keys(server))) == 9
    assert len(server.exchanges) <= 10  # one may have been under way


def test_a_journal_that_is_being_written_can_be_read(folder: Path) -> None:
    journal = opened(folder / "x.journal")
    begun, ended = threading.Event(), threading.Event()

    def give() -> None:
        for i in range(5_000):
            entry = Entry(i, i, str(i), {"i": i}, b"{}")
            journal.mark([entry], lambda _: None)
            journal.keep(entry, Row(i, {}, "done"), lambda _: None)
            begun.set()
            if ended.is_set():
                return

    thread = threading.Thread(target=give)
    thread.start()
    try:
        assert begun.wait(PATIENCE)
        counts = [len(list(journal.rows())) for _ in range(3)]
    finally:
        ended.set()
        thread.join()
        journal.close()
    assert counts[0] >= 1
    assert counts == sorted(counts)


def test_errors_of_rows_keep_their_class(folder: Path) -> None:
    journal = opened(folder / "x.journal")
    entry = Entry(0, "a", '"a"', {}, b"{}")
    journal.find(entry)
    journal.mark([entry], lambda _: None)
    problem = ValidationError("no", "BAD", {"field": 1}, status_code=422, hint="Mend it.")
    journal.keep(entry, Row("a", {}, None, problem, 2), lambda _: None)
    [row] = journal.rows(failed=True)
    journal.close()
    [again] = journal.rows()
    for found in (row, again):
        assert isinstance(found.error, ValidationError)
        assert vars(found.error) == vars(problem)
