"""The built-in demo agent."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from support.callers import Caller
from support.clock import FOR_EVER

from runagent.local.demo import demo

Start = Callable[..., Caller]


def test_it_streams_a_tour_of_markdown_in_small_chunks(start: Start) -> None:
    caller = start({"demo": demo})
    chunks = caller.chunks("demo", query="What can you do?", delay=0)
    assert len(chunks) > 50
    assert max(map(len, chunks)) < 60
    text = "".join(chunks)
    for sign in (
        "> What can you do?",
        "\n# ",
        "\n## ",
        "\n- ",
        "\n|:--",
        "```python\n",
        "$e^{i\\pi} + 1 = 0$",
        "$$\\int",
        "- [x] ",
        "- [ ] ",
        "](https://",
        '{"query": "Hello"}',
    ):
        assert sign in "\n" + text, sign
    assert "{{" not in text
    assert caller.result("demo", query="What can you do?", delay=0) == text


def test_it_needs_no_input_and_takes_any(start: Start) -> None:
    caller = start({"demo": demo})
    assert "nothing in particular" in caller.result("demo", delay=0)
    assert "> hi there" in caller.result("demo", query="hi\n\n there", session_id="s", delay=0)
    assert "…" in caller.result("demo", query="x" * 10_000, delay=0)


def test_it_ends_soon_whatever_the_delay(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    pauses: list[float] = []

    async def count(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("runagent.local.demo.asyncio", SimpleNamespace(sleep=count))
    start({"demo": demo}).chunks("demo", delay=FOR_EVER)
    assert 2.9 < sum(pauses) <= 3.1


@pytest.mark.parametrize("values", [{"query": 1}, {"delay": "slow"}, {"delay": None}])
def test_bad_input_is_named(start: Start, values: dict[str, object]) -> None:
    error = start({"demo": demo}).error("demo", **values)
    assert (error["status"], error["code"]) == (422, "INVALID_FIELD_TYPE")
    [name] = values
    assert error["message"].startswith(f"{name} is ")
