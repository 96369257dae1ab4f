"""What calls cost: tokens, time and money, of one answer and of the notebook."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.faults import FaultServer, answer, sse, stream
from support.kernel import Kernel

USED = {"prompt_tokens": 2_000, "completion_tokens": 500, "total_tokens": 2_500}


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Iterator[Kernel]:
    shared_kernel.execute("%reload_ext runagent_jupyter\n%runagent_usage --reset").ok()
    shared_kernel.execute("from runagent_jupyter import AgentWidget").ok()
    yield shared_kernel
    shared_kernel.execute("%config RunAgentMagics.price = ''").ok()


def ended(**facts: Any) -> Any:
    return stream("an answer", end=sse("done", facts))


def answered(content: Any) -> Any:
    return answer(json.dumps(content))


def asked(kernel: Kernel, script: Any, options: str = "") -> str:
    """Ask, and return the HTML of the answer."""
    with FaultServer(script) as server:
        cell = kernel.execute(f"%%runagent far --base-url {server.url} --out reply {options}\nhi")
    (html,) = cell.ok().data("text/html")
    return str(html.partition("</style>")[2])


def test_money_is_what_the_server_says(kernel: Kernel) -> None:
    for facts in (
        {"cost": 0.0125},
        {"usage": {**USED, "cost": 0.0125}},
        {"metadata": {"cost": "0.0125"}},
    ):
        html = asked(kernel, ended(**facts))
        assert "cost 0.0125</summary>" in html
        assert kernel.value("reply.cost") == 0.0125
        assert kernel.value("reply.to_dict()['cost']") == 0.0125


def test_in_one_piece_it_is_said_around_the_result(kernel: Kernel) -> None:
    shapes = (
        {"result": "hi", "cost": 0.5},
        {"result": "hi", "metadata": {"cost": 0.5}},
        {"status": "success", "data": {"result": "hi"}, "cost": 0.5},
    )
    for shape in shapes:
        assert "cost 0.5</summary>" in asked(kernel, answered(shape), "--no-stream")
    # That of the agent's own answer is something else.
    asked(kernel, answered({"item": "chair", "cost": 50}), "--no-stream")
    assert kernel.value("reply.cost") is None


@pytest.mark.parametrize("cost", [True, -1, "much", None, {"total": 1}, 1e999, "NaN"])
def test_no_amount_is_no_cost(kernel: Kernel, cost: object) -> None:
    assert "cost" not in asked(kernel, ended(cost=cost))


def test_or_what_the_price_makes_of_the_tokens(kernel: Kernel) -> None:
    assert "2,500 tokens</summary>" in asked(kernel, ended(usage=USED))
    kernel.execute("%runagent_config --price 3,15").ok()
    html = asked(kernel, ended(usage=USED))
    assert "2,500 tokens · cost 0.0135</summary>" in html
    assert " s · 9 characters" in html
    other = {"input_tokens": 1_000_000, "output_tokens": 2_000_000}
    assert "cost 33.00</summary>" in asked(kernel, ended(usage=other))
    # The server knows better.
    assert "cost 7.00</summary>" in asked(kernel, ended(usage=USED, cost=7))
    assert "cost" not in asked(kernel, ended(usage={"total_tokens": 9}))
    assert "3,15 for a million tokens" in kernel.execute("%runagent_config").ok().stdout
    kernel.execute("%runagent_config --reset").ok()
    assert "cost" not in asked(kernel, ended(usage=USED))


@pytest.mark.parametrize("price", ["3", "3;15", "a,b", "1,2,3", "-1,2", "inf,1"])
def test_what_is_no_price_is_refused(kernel: Kernel, price: str) -> None:
    error = kernel.execute(f"%runagent_config --price={price}").error
    assert "such as 3,15" in (error or {})["evalue"]
    assert "(not set)" in kernel.execute("%runagent_config").ok().stdout
    kernel.execute(f"%config RunAgentMagics.price = '{price}'").ok()
    assert "such as 3,15" in (kernel.execute("%runagent demo hi").error or {})["evalue"]


def test_a_chat_says_it_too(kernel: Kernel) -> None:
    with FaultServer(ended(usage=USED, cost=0.25)) as server:
        kernel.execute(f"w = AgentWidget('far', base_url={server.url!r})\nt = w.ask('hi')").ok()
    assert kernel.value("t.cost") == 0.25
    assert "2,500 tokens · cost 0.25" in kernel.value("w._repr_mimebundle_()[0]['text/html']")


def test_the_notebook_s_calls_are_summed_up(kernel: Kernel) -> None:
    asked(kernel, ended(usage=USED, cost=0.25))
    asked(kernel, ended(usage=USED))
    with FaultServer(ended(usage=USED, cost=0.5)) as server:
        kernel.execute(f"AgentWidget('far', base_url={server.url!r}).ask('hi')\nNone").ok()
    kernel.execute('%%runagent demo --quiet\n{"delay": 0}').ok()
    kernel.execute('%%runagent demo --quiet --no-raise-error\n{"delay": "x"}').ok()
    cell = kernel.execute("%runagent_usage").ok()
    (text,) = cell.data("text/plain")
    heads, far, demo, total, note = text.splitlines()
    assert heads.split() == heads_only().split()
    assert [*far.split()[:5], far.split()[-1]] == ["far", "3", "6,000", "1,500", "7,500", "0.75"]
    assert [*demo.split()[:5], demo.split()[-1]] == ["demo", "2", "-", "-", "-", "-"]
    assert [*total.split()[:5], total.split()[-1]] == [
        "total",
        "5",
        "6,000",
        "1,500",
        "7,500",
        "0.75",
    ]
    assert note == "The cost of 3 of 5 calls is not known."
    (html,) = cell.data("text/html")
    assert '<td align="right">7,500</td>' in html
    kernel.execute("sums = %runagent_usage\nframe = sums.to_frame()").ok()
    assert kernel.value("frame.set_index('agent').cost.to_dict()") == {"far": 0.75, "demo": 0}
    assert kernel.value("int(frame.calls.sum())") == 5
    kernel.execute("%runagent_usage --reset").ok()
    assert kernel.execute("%runagent_usage").ok().data("text/plain")[0].splitlines() == [
        heads_only()
    ]
    assert (kernel.execute("%runagent_usage --all").error or {})["ename"] == "ValidationError"


def heads_only() -> str:
    return "agent  calls  input tokens  output tokens  tokens  time  cost"


def test_a_reply_from_the_cache_costs_nothing_again(kernel: Kernel) -> None:
    with FaultServer(ended(cost=0.25)) as server:
        for _ in range(2):
            kernel.execute(f"%%runagent far --base-url {server.url} --cache --out reply\nhi").ok()
    assert kernel.value("[reply.cached is None, reply.cost]") == [False, 0.25]
    kernel.execute("sums = %runagent_usage").ok()
    assert kernel.value("[sums.total.calls, sums.total.cost]") == [1, 0.25]
