"""`TerminalIPython` types into a real IPython and reads its screen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.clock import MOMENT
from support.terminal import TerminalIPython, plain


def test_cells_are_typed_and_read(terminal: TerminalIPython) -> None:
    assert terminal.run("print(1 + 1)").strip() == "2"
    assert terminal.run("6 * 7").strip() == "Out[2]: 42"
    assert terminal.run("for i in range(3):\n    print(i)\nprint('end')").split() == [
        *("0", "1", "2", "end")
    ]


def test_a_cell_magic_is_one_cell(terminal: TerminalIPython) -> None:
    shown = terminal.run(f"%%script {sys.executable}\nprint('x = 1')\nprint('y = 2')")
    assert "x = 1\ny = 2" in shown.replace("\r", "")


def test_output_is_seen_as_it_comes_and_ctrl_c_ends_it(terminal: TerminalIPython) -> None:
    # Short sleeps: a signal that another thread gets does not end the main thread's.
    terminal.start("import time\nprint('be' + 'gun', flush=True)\nwhile True: time.sleep(0.05)")
    terminal.wait_for("begun")
    terminal.interrupt()
    assert "KeyboardInterrupt" in terminal.finish()
    assert terminal.run("'still ' + 'here'").strip().endswith("'still here'")


def test_escapes_are_there_to_check(terminal: TerminalIPython) -> None:
    assert terminal.run(r"print('\x1b[31mred\x1b[0m')").strip() == "red"
    assert "\x1b[31mred\x1b[0m" in terminal.output


def test_it_reads_what_is_typed(terminal: TerminalIPython) -> None:
    terminal.start("answer = input('na' + 'me? ')")
    terminal.wait_for("name? ")
    terminal.send("Ada\r")
    terminal.finish()
    assert terminal.run("answer").strip().endswith("'Ada'")


def test_nothing_of_the_user_is_seen(terminal: TerminalIPython, tmp_path: Path) -> None:
    home = terminal.run("import pathlib, os; print(pathlib.Path.home())").strip()
    assert Path(home).is_relative_to(tmp_path)


def test_it_ends(terminal: TerminalIPython) -> None:
    terminal.exit()


def test_what_does_not_come_is_reported(terminal: TerminalIPython) -> None:
    terminal.start("print('some' + 'thing')")
    with pytest.raises(AssertionError, match="something"):
        terminal.wait_for("nothing like it", timeout=MOMENT)


def test_the_screen_is_plain_text() -> None:
    assert plain("\x1b[31mred\x1b[0m\r\n12345\rab\r\n\x1b]8;;http://x\x07link\x1b]8;;\x07") == (
        "red\nab345\nlink"
    )
