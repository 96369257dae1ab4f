"""What a chat knows about its answers: their data, what they cost, and what the reader thinks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.chat_page import ChatPage
from support.faults import FaultServer, sse, stream
from support.kernel import Kernel

from runagent_jupyter.chats.chat_file import read
from runagent_jupyter.control_characters import sendable
from runagent_jupyter.data.frames import frame_of

AGENTS = """
import base64, io
from PIL import Image
from runagent import RunAgentClient
from runagent.local import agent
from runagent_jupyter import AgentWidget

def picture():
    data = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()

RECORDS = [{"name": "a", "size": 1.5}, {"name": "b", "size": 2}]
PICTURE = {"type": "image", "mime_type": "image/png", "data": picture()}
KINDS = {
    "records": RECORDS,
    "records in a field": {"rows": RECORDS},
    "a picture": PICTURE,
    "a picture beside text": {"text": "See", "image": PICTURE},
    "a picture in Markdown": f"See ![x](data:image/png;base64,{picture()})",
    "a table in Markdown": "|a|b|\\n|-|-|\\n|1|2|",
    "an object": {"a": 1, "b": [1, {"c": None}]},
    "a list": [1, "x", [3]],
    "records beside others": {"rows": RECORDS, "note": "x"},
}

@agent("kinds")
def kinds(query: str, **_):
    return KINDS[query]

@agent("kinds-after-steps")
def kinds_after_steps(query: str, **_):
    yield {"type": "tool_call", "name": "search"}
    yield KINDS[query]

@agent("fails")
def fails(query: str, **_):
    raise ValueError("broken")
"""


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    shared_kernel.execute(f"%reload_ext runagent_jupyter\n{AGENTS}").ok()
    return shared_kernel


def shapes(html: str) -> dict[str, int]:
    """Count the parts of an answer by kind."""
    found = re.sub("<style>.*?</style>", "", html, flags=re.DOTALL)
    return {part: found.count(part) for part in ("<table", "<td", "<img", "runagent-tree", "<pre")}


@pytest.mark.parametrize("agent", ["kinds", "kinds-after-steps"])
def test_an_answer_in_a_chat_is_shown_as_in_a_cell(kernel: Kernel, agent: str) -> None:
    kernel.execute(f"w = AgentWidget('{agent}')").ok()
    for kind in kernel.value("list(KINDS)"):
        cell = kernel.execute(f"%%runagent {agent}\n{kind}").ok()
        kernel.execute(f"w.clear()\nw.ask({kind!r}) and None").ok()
        in_cell = shapes("".join(cell.data("text/html")))
        assert sum(in_cell.values()) > 0, kind
        # The question is the one preformatted text that a cell has not.
        in_chat = shapes(kernel.value("w._conversation.exchange_of(w.turns[1]).view.html()"))
        assert in_chat == in_cell, kind


def test_a_table_has_a_row_for_each_turn(kernel: Kernel) -> None:
    kernel.execute(
        """
w = AgentWidget("demo", context={"delay": 0}, session_id="s-1")
empty = w.to_frame()
w.ask("Hello") and None
w.client = RunAgentClient("fails")
w.ask("And now?") and None
w.turns[1].usage, w.turns[1].cost = {"input_tokens": 3, "output_tokens": 1_000}, 0.25
w.turns[3].feedback = "down"
frame = w.to_frame()
"""
    ).ok()
    assert kernel.value("(len(empty), list(empty.columns) == list(frame.columns))") == [0, True]
    assert kernel.value("list(frame.columns)") == [
        *("role", "text", "status", "input_tokens", "output_tokens", "total_tokens", "cost"),
        *("elapsed", "execution_time", "request_id", "feedback", "error"),
        *("agent", "attachments"),
    ]
    assert kernel.value("frame.role.tolist()") == ["user", "agent", "user", "agent"]
    assert kernel.value("frame.status.tolist()") == ["done", "done", "done", "error"]
    assert kernel.value("frame.loc[1, ['total_tokens', 'cost']].tolist()") == [1003, 0.25]
    assert kernel.value("frame.elapsed.isna().tolist()") == [True, False, True, False]
    assert kernel.value("frame.elapsed[1] == w.turns[1].elapsed > 0") is True
    assert kernel.value("(frame.feedback[3], 'broken' in frame.error[3])") == ["down", True]
    assert kernel.value("frame.attrs") == {"agent_id": "fails", "session_id": "s-1"}


def test_the_line_of_an_answer_and_the_menu_say_what_it_cost(kernel: Kernel) -> None:
    used = {"usage": {"prompt_tokens": 2_000, "completion_tokens": 500}, "cost": 0.25}
    with FaultServer(stream("an answer", end=sse("done", used))) as server:
        kernel.execute(f"w = AgentWidget('far', base_url={server.url!r})").ok()
        assert kernel.value("w._sum") == ""
        kernel.execute("w.ask('one') and w.ask('two') and None").ok()
    facts = kernel.value("[t['facts'] for t in w._transcript(0)['turns'] if 'facts' in t]")
    for line in facts:
        assert re.fullmatch(r"\d+\.\d s · 2,500 tokens · cost 0\.25", line), line
    shown = kernel.value("w._sum")
    assert re.fullmatch(r"2 answers · \d+\.\d s · 5,000 tokens · cost 0\.5", shown), shown
    kernel.execute("w.clear()").ok()
    assert kernel.value("w._sum") == ""


def test_feedback_is_kept_in_turns_and_told_to_the_user_s_function(
    kernel: Kernel, tmp_path: Path
) -> None:
    path = tmp_path / "talk.json"
    kernel.execute(
        f"""
told = []

def on_feedback(turn):
    told.append((turn.text[:5], turn.feedback))
    raise ValueError("nobody minds")

w = AgentWidget("demo", context={{"delay": 0}}, on_feedback=on_feedback, store={str(path)!r})
w.ask("x") and w.ask("y") and None
"""
    ).ok()
    page = ChatPage(kernel)
    ends = sum("ending" in message for message in page.messages())
    for count, (at, value) in enumerate([(0, "up"), (1, "down"), (0, "")], 1):
        page.send(type="feedback", at=at, value=value)
        page.wait_for_end(ends + count)
        assert page.messages()[-1]["ending"]["feedback"] == value
    for place, odd in ((2, "up"), (-1, "up"), ("x", "up"), (1, "sideways"), (1, None)):
        page.send(type="feedback", at=place, value=odd)
    assert kernel.value("[t.feedback for t in w.turns]") == [None, None, None, "down"]
    assert kernel.value("[value for _, value in told]") == ["up", "down", None]
    assert [turn.feedback for turn in read(path).turns] == [None, None, None, "down"]
    kernel.execute(f"w = AgentWidget('demo', store={str(path)!r})").ok()
    assert kernel.value("w._transcript(0)['turns'][3]['feedback']") == "down"
    printed = [message.content for message in kernel.messages if message.type == "stream"]
    assert "nobody minds" in f"{printed}{kernel.log}"


def test_a_table_takes_half_a_character() -> None:
    frame = frame_of([{"text": "a \ud800", "\udc00": 1}, {"text": "b"}], {})
    # Older versions of pandas keep the half.
    assert list(map(sendable, frame.text)) == ["a ?", "b"]
    assert list(map(sendable, frame.columns)) == ["text", "?"]
