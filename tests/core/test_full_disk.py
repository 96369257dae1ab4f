"""A journal on a disk that fills up: a clear error, and nothing that was written is lost."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.batches import run, with_client
from support.disks import fill, small_disk
from support.faults import FaultServer, answer

from runagent import RunAgentError
from runagent.many.journal_file import FileJournal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it needs a tmpfs")

Serve = Callable[..., FaultServer]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path) as place:
        yield place


def inputs(count: int) -> list[tuple[str, dict[str, int]]]:
    return [(f"r{i}", {"i": i}) for i in range(count)]


def files(disk: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in disk.iterdir() if file.name != "filling"}


def test_a_batch_whose_disk_fills_up_ends_and_goes_on_when_there_is_room(
    serve: Serve, disk: Path
) -> None:
    server = serve(answer({"result": "x" * 1000}))
    path = disk / "x.journal"
    filling = fill(disk, room=400_000)
    rows: list[Any] = []

    def use(client: Any) -> Any:
        batch = client.map(inputs(1000), journal=path, rate=1000, max_concurrency=4)
        with pytest.raises(RunAgentError, match=r"cannot be written: .*full") as caught:
            rows.extend(row for row in batch)
        return caught.value

    failure = with_client(server.url, "sync", use)
    assert failure.code == "JOURNAL_FAILED"
    assert "Make room on its disk" in failure.hint
    asked = len(server.exchanges)
    assert len(rows) == asked < 1000  # each answer that was paid for was given to the user
    filling.unlink()
    again = run(server.url, "sync", inputs(asked), journal=path, rate=1000)
    assert [row.output for row in again] == ["x" * 1000] * asked
    # Only the answers of the last requests had found no place.
    assert len(server.exchanges) - asked < asked / 2


def test_a_journal_on_a_full_disk_is_not_touched(serve: Serve, disk: Path) -> None:
    server = serve(answer())
    path = disk / "x.journal"
    run(server.url, "sync", inputs(20), journal=path, rate=1000)
    filling = fill(disk)
    before = files(disk)
    for _ in range(2):  # the first attempt must not leave the journal locked
        with pytest.raises(RunAgentError, match=r"cannot be opened: .*(full|space)") as caught:
            run(server.url, "sync", inputs(30), journal=path)
        assert caught.value.code == "JOURNAL_FAILED"
        assert "a disk that is not full" in (caught.value.hint or "")
        assert files(disk) == before
    assert len(server.exchanges) == 20
    filling.unlink()
    run(server.url, "sync", inputs(30), journal=path, rate=1000)
    assert len(server.exchanges) == 30


def test_a_new_journal_on_a_full_disk_leaves_no_file(disk: Path) -> None:
    fill(disk)
    for _ in range(2):
        with pytest.raises(RunAgentError, match="cannot be opened") as caught:
            FileJournal(disk / "new.journal", {})
        assert caught.value.code == "JOURNAL_FAILED"
        assert files(disk) == {}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write it")
def test_a_journal_that_may_not_be_written_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    FileJournal(path, {}).close()
    path.chmod(0o400)
    with pytest.raises(RunAgentError, match=r"cannot be opened: .*readonly") as caught:
        FileJournal(path, {})
    assert caught.value.code == "JOURNAL_FAILED"
