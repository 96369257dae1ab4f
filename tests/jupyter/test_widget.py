"""The widget's Python side, in real kernels; its page's bookkeeping, in node."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.chat_page import ChatPage
from support.clock import PATIENCE
from support.kernel import Kernel

from runagent_jupyter import html

AGENTS = """
import asyncio, threading, time
from runagent.local import agent
from runagent_jupyter import AgentWidget

asked = []

@agent("echo")
def echo(query: str, **fields):
    asked.append({"query": query, **fields})
    return f"You said **{query}**"

@agent("counts")
async def counts(query: str, **_):
    for number in range(2_000):
        yield f"{number} "
        await asyncio.sleep(0.01)

@agent("works")
async def works(query: str, **_):
    yield {"type": "thinking", "content": "Let me "}
    yield {"type": "thinking", "content": "see."}
    yield {"type": "tool_call", "name": "search", "args": {"q": "<b>x</b>"}}
    yield {"progress": 0.5, "message": "reading"}
    yield {"progress": 1.0, "message": "reading"}
    yield ["a", "list"]
    yield {"type": "text", "content": "The "}
    yield {"delta": "an"}
    yield "swer"
"""


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    return shared_kernel


@pytest.fixture
def page(kernel: Kernel) -> ChatPage:
    kernel.execute(f"{AGENTS}\nw = AgentWidget('echo')").ok()
    return ChatPage(kernel)


def test_a_question_is_answered_while_the_kernel_waits(kernel: Kernel) -> None:
    kernel.execute(
        """
        from runagent_jupyter import AgentWidget
        w = AgentWidget("demo")
        a = w.ask("my question")
        """
    ).ok()
    assert kernel.value("[t.role for t in w.turns]") == ["user", "agent"]
    assert kernel.value("(a.status, w.busy, w.value == a.text)") == ["done", False, True]
    assert "my question" in kernel.value("a.text")
    assert "> my question" in kernel.value("w.to_markdown()")
    assert kernel.value("w.to_cell()").startswith("%%runagent demo")


def test_an_answer_can_be_stopped(kernel: Kernel) -> None:
    kernel.execute(
        """
        import asyncio
        from runagent_jupyter import AgentWidget
        w = AgentWidget("demo", context={"delay": 0.05})
        asking = asyncio.ensure_future(w.ask_async("x"))
        while len(w.turns) < 2 or not w.turns[1].text:
            await asyncio.sleep(0.01)
        w.stop()
        a = await asking
        """
    ).ok()
    assert kernel.value("(a.status, w.busy, bool(a.text))") == ["stopped", False, True]


def test_an_answer_can_be_stopped_before_anything_of_it_ran(kernel: Kernel) -> None:
    kernel.execute(
        f"""{AGENTS}
from runagent_jupyter.event_loops import background
w = AgentWidget("echo")
held = threading.Event()
for end in (w.stop, w.clear):
    held.clear()
    background("chats").call_soon_threadsafe(held.wait)
    asking = asyncio.ensure_future(w.ask_async("x"))
    await asyncio.sleep(0)
    end()
    held.set()
    turn = await asking
    assert (turn.status, w.busy, asked) == ("stopped", False, []), (turn, w.busy, asked)
assert w.ask("y").status == "done"
"""
    ).ok()


def test_interrupting_a_cell_that_asks_stops_its_answer_and_no_other(kernel: Kernel) -> None:
    kernel.execute(f"{AGENTS}\nw, other = AgentWidget('counts'), AgentWidget('counts')").ok()
    kernel.execute("threading.Thread(target=other.ask, args=('x',), daemon=True).start()").ok()
    cell = kernel.submit("print('asking', flush=True)\nw.ask('x')").wait_for_output("asking")
    before = len(kernel.messages)
    kernel.wait_for(lambda: len(kernel.messages) > before + 20, PATIENCE, "answers that stream")
    kernel.interrupt()
    cell.wait()
    assert cell.error is not None
    assert cell.error["ename"] == "KeyboardInterrupt"
    kernel.execute("while w.busy: await asyncio.sleep(0.01)").ok()
    assert kernel.value("(w.turns[1].status, other.turns[1].status)") == ["stopped", "streaming"]
    length = kernel.value("len(other.turns[1].text)")
    kernel.execute(f"while len(other.turns[1].text) <= {length}: await asyncio.sleep(0.01)").ok()


def test_interrupting_another_cell_stops_no_answer(kernel: Kernel) -> None:
    kernel.execute(f"{AGENTS}\nw = AgentWidget('counts')").ok()
    page = ChatPage(kernel)
    page.send(type="ask", text="x", request="r-1")
    page.wait_for("delta", count=2)
    cell = kernel.submit("print('on', flush=True)\nwhile True: time.sleep(0.05)")
    cell.wait_for_output("on")
    before = len(page.messages())
    kernel.wait_for(lambda: len(page.messages()) > before + 3, PATIENCE, "deltas while a cell runs")
    kernel.interrupt()
    assert cell.wait().status == "error"
    assert kernel.value("w.turns[1].status") == "streaming"
    page.send(type="stop")
    page.wait_for_end()
    assert kernel.value("w.turns[1].status") == "stopped"


def test_wrong_arguments_are_refused(shared_kernel: Kernel) -> None:
    shared_kernel.execute(AGENTS).ok()
    for call, name, words in (
        ("AgentWidget('demo', titel='x')", "TypeError", "did you mean 'title'"),
        ("AgentWidget(3)", "TypeError", "agent is a int"),
        ("AgentWidget('demo', context={'x': object()})", "ValidationError", "x"),
        ("AgentWidget('demo', context={'query': 1})", "ValidationError", "carries the question"),
        ("AgentWidget('demo', suggestions='Why?')", "TypeError", "list of questions"),
        ("AgentWidget('demo').ask('  ')", "ValueError", "empty"),
        ("AgentWidget('demo').ask(3)", "TypeError", "int"),
        ("AgentWidget('demo', height=3)", "TraitError", "height"),
    ):
        cell = shared_kernel.execute(call)
        assert cell.error is not None, call
        assert cell.error["ename"] == name
        assert words in cell.error["evalue"]


def test_a_dead_server_is_an_error_of_the_turn(kernel: Kernel) -> None:
    kernel.execute(
        """
        from runagent_jupyter import AgentWidget
        w = AgentWidget("a-1", base_url="http://127.0.0.1:9", api_key="k", max_retries=0)
        a = w.ask("x")
        """
    ).ok()
    assert kernel.value("(a.status, type(a.error).__name__)") == ["error", "NetworkError"]
    assert "*failed: " in kernel.value("w.to_markdown()")


def test_a_page_asks_and_learns_what_it_did_not_know(page: ChatPage) -> None:
    page.send(type="ask", text="hello", request="r-1")
    page.wait_for_end()
    turns, *deltas = page.messages()
    assert turns["turns"][0] == {
        "role": "user",
        "text": "hello",
        "request": "r-1",
        "id": 0,
        "branches": [0],
    }
    assert [message["seq"] for message in (turns, *deltas)] == list(range(1, 2 + len(deltas)))
    text = ""
    for message in deltas:
        text = text[: message["keep"]] + "".join(message["parts"])
    assert text == '<p dir="auto">You said <strong>hello</strong></p>\n'
    assert deltas[-1]["ending"]["status"] == "done"


def test_a_page_that_missed_something_gets_everything(page: ChatPage) -> None:
    page.send(type="ask", text="hello")
    page.wait_for_end()
    page.send(type="sync", seq=1)
    whole = page.wait_for("turns", count=2)
    assert whole["first"] == 0
    assert [turn["role"] for turn in whole["turns"]] == ["user", "agent"]
    assert whole["turns"][1]["status"] == "done"
    count = len(page.messages())
    page.send(type="sync", seq=whole["seq"])
    page.wait_for("current")
    (answer,) = page.messages()[count:]  # it missed nothing
    assert answer["seq"] == whole["seq"]


def test_refused_questions_change_nothing(page: ChatPage) -> None:
    page.send(type="ask", text="hello")
    page.wait_for_end()
    page.send(type="ask", text="x", at=1, request="r-1")
    assert "cleared meanwhile" in page.wait_for("refused")["text"]
    page.kernel.execute("w.context['x'] = object()").ok()
    page.send(type="ask", text="again", at=0, request="r-2")
    refused = page.wait_for("refused", count=2)
    assert refused["request"] == "r-2"
    assert "x" in refused["text"]
    assert page.kernel.value("[t.text for t in w.turns]") == ["hello", "You said **hello**"]
    page.send(type="ask", text="", request="r-3")
    assert "empty" in page.wait_for("refused", count=3)["text"]
    for nonsense in ({}, {"type": "ask"}, {"type": 1}, {"type": "ask", "text": 3, "at": "x"}):
        page.send(**nonsense)
    assert page.kernel.value("len(w.turns)") == 2


def test_a_question_may_take_the_place_of_the_last(page: ChatPage) -> None:
    for ended, (at, text) in enumerate(((None, "one"), (None, "two"), (1, "three")), 1):
        page.send(type="ask", text=text, at=at)
        page.wait_for_end(ended)
    questions = page.kernel.value("[t.text for t in w.turns if t.role == 'user']")
    assert questions == ["one", "three"]


def test_a_cleared_chat_is_free_at_once(kernel: Kernel) -> None:
    kernel.execute(f"{AGENTS}\nw = AgentWidget('counts')\nsession = w.session_id").ok()
    page = ChatPage(kernel)
    page.send(type="ask", text="x")
    page.wait_for("delta", count=2)
    kernel.execute("w.clear()\nfree = not w.busy, w.turns\nw.client = AgentWidget('echo').client")
    assert kernel.value("free") == [True, []]
    assert kernel.value("w.session_id != session")
    kernel.execute("w.ask('y')").ok()
    assert kernel.value("[t.text for t in w.turns]") == ["y", "You said **y**"]
    assert kernel.value("w.busy") is False


def test_an_object_alone_is_the_answer(kernel: Kernel) -> None:
    kernel.execute(
        f"""{AGENTS}
@agent("object")
def object_(query: str, **_):
    yield {{"type": "tool_call", "name": "search", "progress": 10**400}}
    yield {{"progress": 0.5}}
    yield {{"answer": "Hi **there**", "sources": ["a"]}}

@agent("data")
def data(query: str, **_):
    return {{"rows": [1, "```"]}}

w, v = AgentWidget("object"), AgentWidget("data")
a, b = w.ask("x"), v.ask("x")
"""
    ).ok()
    assert kernel.value("(a.text, w.value, b.status)") == ["Hi **there**"] * 2 + ["done"]
    assert json.loads(kernel.value("b.text").strip("`json\n")) == {"rows": [1, "```"]}
    page = ChatPage(kernel)
    page.send(type="sync", seq=-1)
    _, answer = page.wait_for("turns", count=2)["turns"]
    assert [step["title"] for step in answer["steps"]] == ["tool call · search", "50%"]
    assert "Hi <strong>there</strong>" in "".join(answer["blocks"])


def test_what_breaks_off_in_code_keeps_the_code_to_itself(kernel: Kernel) -> None:
    kernel.execute(
        f"""{AGENTS}
@agent("stops")
async def stops(query: str, **_):
    yield "- see\\n  ```python\\n  x = 1\\n"
    raise ValueError("boom")

w = AgentWidget("stops")
w.ask("one")
w.client = AgentWidget("echo").client
w.ask("two")
"""
    ).ok()
    rendered = html.render(kernel.value("w.to_markdown()"))
    assert "<p" in rendered.partition("two")[2]
    assert rendered.index("</code>") < rendered.index("failed:")


def test_another_client_may_take_its_place(kernel: Kernel) -> None:
    kernel.execute(
        f"""{AGENTS}
from runagent import RunAgentClient
w = AgentWidget("counts", context={{"region": "EU"}})
w.client = RunAgentClient("echo")
turn = w.ask("x")
"""
    ).ok()
    assert kernel.value("turn.text") == "You said **x**"
    assert kernel.value("w.to_cell()") == (
        "%%runagent echo --text --no-template --set 'region=\"EU\"'\nx"
    )
    refused = kernel.execute("w.client = None").error
    assert refused is not None
    assert "give an agent's id, or a RunAgentClient" in refused["evalue"]


def test_what_is_no_text_is_a_step(kernel: Kernel) -> None:
    kernel.execute(f"{AGENTS}\nw = AgentWidget('works')\na = w.ask('x')").ok()
    assert kernel.value("a.text") == "The answer"
    assert kernel.value("len(a.events)") == 11  # all of them, with start and done
    steps = kernel.value("w._transcript(0)['turns'][1]['steps']")
    assert [step["title"] for step in steps] == [
        "thinking · Let me see.",
        "tool call · search",
        "100% · reading",
        '["a", "list"]',
    ]
    assert "&lt;b&gt;x&lt;/b&gt;" in steps[1]["html"]
    page = ChatPage(kernel)
    shown: list[Any] = []
    for message in page.messages()[1:]:
        shown[message["steps_from"] :] = message["steps"]
    assert shown == steps


def test_half_a_character_in_a_question_is_sent_as_a_question_mark(kernel: Kernel) -> None:
    kernel.execute(f"{AGENTS}\nw = AgentWidget('echo', suggestions=['\\ud800'])").ok()
    kernel.execute("a = w.ask('\\ud800 <')").ok()
    assert kernel.value("(a.status, a.error)") == ["done", None]
    page = ChatPage(kernel)
    parts = [part for message in page.messages() for part in message.get("parts", ())]
    assert "&lt;" in "".join(parts)
    page.send(type="export")
    assert "> ? <" in page.wait_for("export")["markdown"]
    # The client has put U+FFFD in the place of the half character that the agent sent back.
    assert kernel.value("w.value") == "You said **\ufffd <**"


def test_traits_can_be_observed_and_observers_may_fail(kernel: Kernel) -> None:
    cell = kernel.execute(
        f"""{AGENTS}
w = AgentWidget("echo")
seen = []
w.observe(lambda change: seen.append((change.name, change.new)), ["busy", "value"])
w.observe(lambda change: 1 / 0, "busy")
w.observe(lambda change: change.new or w.ask("for ever"), "busy")
w.ask("hello")
"""
    ).ok()
    assert kernel.value("seen") == [
        ["busy", True],
        ["value", "You said **hello**"],
        ["busy", False],
    ]
    kernel.wait_for(lambda: "ZeroDivisionError" in cell.stderr + kernel.log, PATIENCE)


def test_it_composes_with_other_widgets(kernel: Kernel) -> None:
    kernel.execute(
        f"""{AGENTS}
from ipywidgets import HBox, Tab, Textarea, VBox, interactive, jslink
w, shown = AgentWidget("echo"), Textarea()
box = VBox([w, HBox([Tab([w]), shown])])
jslink((w, "value"), (shown, "value"))
lengths = interactive(lambda text: len(text), text=w)
w.ask("hello")
lengths.update()
"""
    ).ok()
    assert kernel.value("lengths.result") == len("You said **hello**")


def test_a_display_has_a_copy_for_viewers_without_a_kernel(kernel: Kernel) -> None:
    cell = kernel.execute(f"{AGENTS}\nw = AgentWidget('echo', title='<i>T</i>')\nw").ok()
    live, copy = cell.outputs
    assert live["data"]["text/html"] == ""
    assert "application/vnd.jupyter.widget-view+json" in live["data"]
    assert set(copy["data"]) == {"text/html", "text/plain"}
    kernel.execute("w.ask('hello <script>')").ok()
    cell.wait_for_output("<strong>hello")
    html, text = copy["data"]["text/html"], copy["data"]["text/plain"]
    assert "hello &lt;script&gt;" in html
    assert "<script" not in html
    assert "&lt;i&gt;T&lt;/i&gt;" in html
    assert text == "# <i>T</i>\n\n> hello <script>\n\nYou said **hello <script>**\n"
    kernel.execute("w.clear()").ok()
    kernel.wait_for(lambda: "hello" not in copy["data"]["text/html"], PATIENCE)
    bundle = kernel.value("w._repr_mimebundle_()[0]")
    assert {"text/html", "text/plain", "application/vnd.jupyter.widget-view+json"} == set(bundle)


def test_the_magic_opens_a_chat(kernel: Kernel) -> None:
    kernel.execute(f"%load_ext runagent_jupyter\n{AGENTS}\nrows = [1, 2]").ok()
    cell = kernel.execute("%runagent echo --widget --input rows --set n=3 --session s --out w").ok()
    assert cell.data("application/vnd.jupyter.widget-view+json")
    kernel.execute("w.ask('hello')\nr = %runagent echo --session s hi").ok()
    first, second = kernel.value("asked")
    assert (first["rows"], first["n"]) == ([1, 2], 3)
    assert first["session_id"] == second["session_id"]
    for line, words in (
        ("%runagent echo --widget What now", "'What now' is not an option"),
        ("%runagent echo --widget --bg --quiet", "--bg and --quiet"),
        ("%runagent echo --widget --input nothing", "no variable 'nothing'"),
    ):
        error = kernel.execute(line).error
        assert error is not None
        assert words in error["evalue"]


def test_a_closed_chat_stops_and_says_so(kernel: Kernel) -> None:
    kernel.execute(f"{AGENTS}\nw = AgentWidget('counts')").ok()
    page = ChatPage(kernel)
    page.send(type="ask", text="x")
    page.wait_for("delta", count=2)
    kernel.execute("turn = w.turns[1]\nw.close()").ok()
    kernel.execute("while turn.status == 'streaming': await asyncio.sleep(0.01)").ok()
    assert kernel.value("turn.status") == "stopped"
    cell = kernel.execute("w").ok()
    assert "0 1 2" in cell.data("text/plain")[0]


def test_what_cannot_be_made_says_why_and_no_more(kernel: Kernel) -> None:
    kernel.execute("import gc\nfrom runagent_jupyter import AgentWidget").ok()
    for arguments in (
        "'agent-1'",
        "'demo', suggestions='x'",
        "'demo', title=5",
        "'demo', height=1",
    ):
        cell = kernel.execute(f"AgentWidget({arguments})")
        assert cell.error is not None
        assert "'agent-1'" not in arguments or "API key" in cell.error["evalue"]
        assert kernel.execute("%xdel _\ngc.collect()\nNone").stderr == ""


def test_a_place_before_the_first_turn_is_none(kernel: Kernel) -> None:
    kernel.execute(f"{AGENTS}\nw = AgentWidget('echo')").ok()
    page = ChatPage(kernel)
    page.send(type="ask", text="x", at=-1, request="r")
    page.wait_for("refused", count=1)
    assert kernel.value("w.turns") == []


def test_an_answer_that_cannot_be_shown_blocks_no_chat(kernel: Kernel) -> None:
    kernel.execute(f"{AGENTS}\nw = AgentWidget('echo')\nimport runagent_jupyter.html as m").ok()
    kernel.execute("typeset, m.typeset = m.typeset, None\nbroken = w.ask('x')").ok()
    assert kernel.value("w.busy") is False
    kernel.execute("m.typeset = typeset").ok()
    assert kernel.value("w.ask('y').text") == "You said **y**"
