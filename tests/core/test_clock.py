"""The tests take every number of seconds from `support.clock`."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import clock

TESTS = Path(__file__).parents[1]
HOME = TESTS / "support" / "clock.py"

# Clients that call nobody, and clocks that are simulated: no time passes here.
NO_TIME_PASSES = {
    TESTS / "core" / name
    for name in (
        "executors/test_spread.py",
        "test_config_file.py",
        "test_pace.py",
        "test_settings.py",
        "typing_api.py",
    )
}

ARGUMENTS = {
    "timeout",
    "total_timeout",
    "request_timeout",
    "seconds",
    "pause",
    "delay",
    "within",
    "retry_delay",
    "keep_alive",
}
WAITS_FOR_SOMETHING = {"wait_for", "wait_for_output", "wait_for_text"}
WAITS = {
    "acquire", "alarm", "communicate", "exception", "join", "move_on_after", "fail_after", "result",
    "sleep", "urlopen", "wait", "wait_closed",
    "wait_for_timeout", "wait_idle", "Timer", "Pause", "create_connection", "settimeout",
}  # fmt: skip
CLOCKS = {"seconds", "monotonic", "perf_counter", "elapsed", "time", "began", "took", "deadline"}


def numbers_of_seconds(tree: ast.AST) -> list[int]:
    """Return the lines on which a literal number is waited for, passed on or compared as time."""
    return sorted({node.lineno for found in ast.walk(tree) for node in _literals(found)})


def _literals(node: ast.AST) -> list[ast.expr]:
    return [each for each in _seconds(node) if _is_a_number(each)]


def _seconds(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions of which a reader knows that they are numbers of seconds."""
    if isinstance(node, ast.Call):
        name = _name(node.func)
        yield from (
            k.value for k in node.keywords if k.arg in ARGUMENTS and name.lower() != "timedelta"
        )
        if name in WAITS:
            yield from node.args
        elif name in WAITS_FOR_SOMETHING:
            yield from node.args[1:]
    elif isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        yield from (v for k, v in pairs if isinstance(k, ast.Constant) and k.value in ARGUMENTS)
    elif isinstance(node, ast.arguments):
        named = [*node.posonlyargs, *node.args]
        named = [*named[len(named) - len(node.defaults) :], *node.kwonlyargs]
        defaults = [*node.defaults, *node.kw_defaults]
        for argument, default in zip(named, defaults, strict=True):
            if default is not None and argument.arg in ARGUMENTS:
                yield default
    elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(_name(target).lower() in ARGUMENTS for target in targets):
            yield node.value
    elif isinstance(node, ast.Compare) and any(
        isinstance(op, (ast.Lt, ast.LtE)) for op in node.ops
    ):
        sides = [node.left, *node.comparators]
        if any(map(_tells_time, sides)):
            yield from sides
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and _tells_time(node.left):
        yield node.right


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _tells_time(node: ast.expr) -> bool:
    return any(_name(each) in CLOCKS for each in ast.walk(node) if isinstance(each, ast.expr))


def _is_a_number(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_a_number(node.left) and _is_a_number(node.right)
    # Zero is no wait, and less than zero only a setting to be refused.
    return isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value != 0


def test_seconds_come_from_the_clock() -> None:
    found = {
        str(path.relative_to(TESTS)): numbers_of_seconds(ast.parse(path.read_text("utf-8")))
        for path in {*TESTS.rglob("*.py")} - {HOME} - NO_TIME_PASSES
    }
    assert len(found) > 50
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "code",
    [
        "client.run(timeout=5)",
        "{'timeout': 0.5}",
        "def run(*, timeout=60): pass",
        "def run(timeout: float = 60.0): pass",
        "SECONDS = 3 * 60",
        "time.sleep(0.3)",
        "await asyncio.sleep(0.1)",
        "event.wait(5)",
        "asyncio.wait_for(task, 3)",
        "server.wait_for(1, 9)",
        "assert outcome.seconds < 6",
        "assert 0.4 <= outcome.seconds < PATIENCE",
        "assert time.monotonic() - began < 5",
        "deadline = time.monotonic() + 60",
        "signal.alarm(20)",
    ],
)
def test_a_literal_number_of_seconds_is_found(code: str) -> None:
    assert numbers_of_seconds(ast.parse(code)) == [1]


@pytest.mark.parametrize(
    "code",
    ["server.wait_for(1)", "event.wait(PATIENCE)", "sleep(0)", "run(timeout=2 * TIMEOUT)", "n < 6"],
)
def test_other_numbers_are_left_alone(code: str) -> None:
    assert numbers_of_seconds(ast.parse(code)) == []


def stretch_of(**environment: str) -> str:
    """Return the factor that a new process takes."""
    done = subprocess.run(
        [sys.executable, "-c", "from support import clock; print(clock.STRETCH)"],
        env={"PYTHONPATH": str(TESTS), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=clock.PATIENCE,
    )
    return done.stdout.strip() or done.stderr


def test_the_factor_may_be_set_by_hand() -> None:
    assert stretch_of(RUNAGENT_TEST_STRETCH="7.5") == "7.5"
    assert "is not a number from 1 to 1000" in stretch_of(RUNAGENT_TEST_STRETCH="0.5")


def test_the_factor_is_measured_where_nobody_set_it() -> None:
    assert 1 <= float(stretch_of()) <= 1000


def test_the_processes_of_a_run_have_one_factor() -> None:
    assert os.environ["RUNAGENT_TEST_STRETCH"]
    assert stretch_of(**os.environ) == str(clock.STRETCH)
