"""The progress of a batch: when it is shown, with what facts, and how in terminals and files."""

from __future__ import annotations

import io
import os
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pandas as pd
import pytest
from support.batches import MODES, run, with_client
from support.clock import PATIENCE
from support.faults import FaultServer, answer, error

from runagent import AuthenticationError, ValidationError
from runagent.many.watching import INTERVAL
from runagent.map import COMPLETE, main
from runagent.progress import Progress, duration, one_line
from runagent.terminal_progress import Lines, OneLine, RichBar, TqdmBar, terminal_display

Serve = Callable[..., FaultServer]
by_mode = pytest.mark.parametrize("mode", MODES)

EVIL = "\x1b[2J\x1b]0;title\x07 \u202e<script>\r\n" + "long " * 100


class Seen:
    """A display that notes what it is told."""

    def __init__(self) -> None:
        self.shown: list[Progress] = []
        self.ended: list[Progress] = []

    def show(self, progress: Progress) -> None:
        self.shown.append(progress)

    def end(self, progress: Progress) -> None:
        self.ended.append(progress)


INPUTS = [{"query": str(i)} for i in range(4)]
PAID = {"result": "x", "usage": {"total_tokens": 10}, "cost": 0.25}


@by_mode
def test_the_final_state_has_the_facts(mode: str, serve: Serve) -> None:
    server = serve(answer(PAID), error(400, "BAD", message=EVIL), answer(PAID))
    seen = Seen()
    rows = run(server.url, mode, INPUTS, progress=seen, max_concurrency=1)
    (last,) = seen.ended
    assert (last.done, last.failed, last.total, last.state) == (4, 1, 4, "done")
    assert (last.tokens, last.cost) == (30, 0.75)
    assert rows[0].usage == {"total_tokens": 10, "cost": 0.25}
    assert rows[1].error is not None
    assert last.last_error == rows[1].error.message
    assert last.seconds_left is None
    assert last.rate > 0


@by_mode
def test_it_is_shown_at_most_four_times_a_second(mode: str, serve: Serve) -> None:
    server = serve(answer({"result": "x"}))
    seen = Seen()
    run(server.url, mode, ({"query": i} for i in range(20)), rate=20, progress=seen)
    (last,) = seen.ended
    assert last.total is None
    assert seen.shown
    assert len(seen.shown) * INTERVAL <= last.elapsed
    assert all(progress.state == "running" for progress in seen.shown)
    assert [p.done for p in seen.shown] == sorted(p.done for p in seen.shown)


@by_mode
def test_rows_of_the_journal_are_told_apart(mode: str, serve: Serve, tmp_path: Path) -> None:
    server = serve(answer(PAID))
    for inputs in (INPUTS[:3], INPUTS):
        seen = Seen()
        run(server.url, mode, inputs, journal=tmp_path / "x", progress=seen)
    assert (seen.ended[0].resumed, seen.ended[0].done, seen.ended[0].tokens) == (3, 4, 10)
    assert "3 from the journal" in seen.ended[0].facts()


@by_mode
def test_rows_of_one_call_share_their_tokens(mode: str, serve: Serve) -> None:
    server = serve(answer({**PAID, "result": list("abcd")}))
    seen = Seen()
    run(server.url, mode, INPUTS, per_call=4, progress=seen)
    assert (seen.ended[0].done, seen.ended[0].tokens) == (4, 10)


@by_mode
def test_a_batch_that_ends_early_says_so(mode: str, serve: Serve) -> None:
    seen = Seen()
    with pytest.raises(AuthenticationError):
        run(serve(error(401, "BAD_KEY")).url, mode, INPUTS, progress=seen)
    assert [progress.state for progress in seen.ended] == ["failed"]
    assert seen.ended[0].facts()[-1] == "ended early"


def test_a_batch_that_is_stopped_says_so_and_keeps_its_rows(serve: Serve) -> None:
    seen = Seen()

    def use(client: Any) -> Any:
        batch = client.map(({"query": i} for i in range(10_000)), rate=50, progress=seen)
        for row in batch:
            if row.id == 5:
                batch.stop()
        return len(list(batch.rows())), batch.finished

    kept, finished = with_client(serve(answer({"result": "x"})).url, "sync", use)
    assert 6 <= kept == finished < 10_000
    assert [progress.state for progress in seen.ended] == ["stopped"]


@by_mode
def test_a_display_that_fails_ends_no_batch(
    mode: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Seen):
        def end(self, progress: Progress) -> None:
            raise BrokenPipeError("nobody reads")

    assert len(run(serve(answer()).url, mode, INPUTS, progress=Failing())) == 4
    assert "progress of the batch is no longer shown" in caplog.text


@by_mode
def test_a_frame_knows_the_number_of_its_rows(mode: str, serve: Serve) -> None:
    seen = Seen()
    frame = pd.DataFrame({"q": list("abc")})
    with_client(
        serve(answer()).url, mode, lambda client: client.map_frame(frame, "q", progress=seen)
    )
    assert seen.ended[0].total == 3


@by_mode
def test_something_else_is_refused(mode: str, serve: Serve) -> None:
    with pytest.raises(ValidationError, match="progress is of type str"):
        run(serve(answer()).url, mode, INPUTS, progress="yes")


def test_it_is_quiet_where_nobody_looks(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    server = serve(answer())
    for progress in (None, False):
        run(server.url, "sync", INPUTS, progress=progress)
    assert capsys.readouterr().err == ""
    run(server.url, "sync", INPUTS, progress=True)
    assert "4 of 4 rows, 0 failed" in capsys.readouterr().err


# Terminals


@pytest.fixture
def pty() -> Iterator[tuple[TextIO, Callable[[], str]]]:
    """Return a stream of a pseudo-terminal, and a function that returns what it shows."""
    import pty as module  # not on Windows

    leader, follower = module.openpty()
    with os.fdopen(follower, "w", encoding="utf-8") as stream:
        subprocess.run(["stty", "rows", "40", "cols", "120"], stdin=stream, check=True)

        def shown() -> str:
            stream.flush()
            read = b""
            while select.select([leader], [], [], 0)[0]:
                read += os.read(leader, 100_000)
            return read.decode()

        yield stream, shown
    os.close(leader)


HALF = Progress(
    done=5, failed=1, total=10, elapsed=2.0, rate=2.5, tokens=1234, cost=0.5, last_error=EVIL
)
WHOLE = Progress(done=10, failed=1, total=10, elapsed=4.0, rate=2.5, last_error=EVIL, state="done")


@pytest.mark.parametrize("kind", [TqdmBar, RichBar, OneLine])
def test_terminals_show_the_facts_and_no_control_characters(
    kind: Any, pty: tuple[TextIO, Callable[[], str]]
) -> None:
    if kind is TqdmBar:
        pytest.importorskip("tqdm")
    stream, shown = pty
    display = kind(stream)
    display.show(HALF)
    half = shown()
    assert "1 failed" in half
    assert "5/10" in half if kind is TqdmBar else "5 of 10 rows" in half
    display.end(WHOLE)
    text = half + shown()
    assert "10/10" in text if kind is TqdmBar else "10 of 10 rows" in text
    assert "\x1b[2J" not in text
    assert "\x1b]0" not in text
    assert "\u202e" not in text
    assert "last error: [2J" in text


def test_a_terminal_gets_a_bar_and_a_file_gets_lines(
    pty: tuple[TextIO, Callable[[], str]],
) -> None:
    assert isinstance(terminal_display(pty[0]), (TqdmBar, RichBar))
    file = io.StringIO()
    display = terminal_display(file)
    assert isinstance(display, Lines)
    display.show(HALF)
    display.show(HALF)
    assert file.getvalue() == ""
    display.end(WHOLE)
    (line,) = file.getvalue().splitlines()
    assert line.startswith("10 of 10 rows, 1 failed, 2.5/s, 4.0 s; last error: ")


def test_the_command_knows_how_many_rows_there_are(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"q": 1}\n' * 3)
    out = tmp_path / "out.jsonl"
    assert main(["a", str(path), "--base-url", serve(answer()).url, "--out", str(out)]) == COMPLETE
    assert "3 of 3 rows, 0 failed" in capsys.readouterr().err


def test_the_core_knows_no_jupyter_when_it_shows_progress() -> None:
    code = "import runagent.many, sys; print('IPython' in sys.modules, 'tqdm' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert result.stdout == "False False\n"


# Words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.9, "9.9 s"), (42, "42 s"), (250, "4 min 10 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_untrusted_text_is_one_short_line() -> None:
    line = one_line(EVIL, 60)
    assert len(line) == 60
    assert line.isprintable()
    assert re.match(r"\[2J \]0;title <script> long", line)
