"""The model for marimo's chat and the objects that show themselves there, without a page."""

from __future__ import annotations

import asyncio
import doctest
import html
import json
import re
from collections.abc import AsyncIterator, Callable
from importlib.metadata import entry_points
from typing import Any

import marimo as mo
import pytest
from attacks import ATTACKS, Attack
from marimo._ai._types import ChatAttachment, ChatMessage, FilePart, TextPart
from support.clock import MOMENT, PATIENCE
from support.faults import DONE, LAST_FRAME, SSE_HEAD, STALL, FaultServer, chunk, frame

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError, ValidationError
from runagent.local import Server
from runagent.local import serve as serve_agent
from runagent_jupyter import AgentWidget, Reply, marimo_output
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.marimo import model


def messages(*texts: str) -> list[ChatMessage]:
    """Return the messages of a conversation, the last of which is a question."""
    roles = ["user", "assistant"] * len(texts)
    return [
        ChatMessage(role=roles[i], content=text, id=f"m{i}", parts=[TextPart("text", text)])
        for i, text in enumerate(texts)
    ]


async def asked(ask: Any, conversation: list[ChatMessage]) -> None:
    """Ask as marimo's chat does, which then adds the answer to the messages."""
    parts = [part async for part in ask(conversation, {})]
    assert len(parts) >= 1
    shown = "".join(parts)
    conversation.append(
        ChatMessage(role="assistant", content=shown, id="new", parts=[TextPart("text", shown)])
    )
    await asyncio.sleep(0)


def test_history_and_session_go_along() -> None:
    inputs: list[dict[str, Any]] = []

    async def echo(**fields: Any) -> AsyncIterator[str]:
        inputs.append(fields)
        yield f"**{fields['query']}**"

    async def main() -> None:
        with serve_agent({"echo": echo}) as server:
            ask = model("echo", base_url=server.url, context={"unit": "km"})
            conversation = messages("one")
            await asked(ask, conversation)
            assert [message.content for message in conversation] == ["one", "**one**"]
            conversation += messages("two")
            # A page sends back what it shows.
            conversation[1].content = conversation[1].parts[0].text
            await asked(ask, conversation)
            assert [message.content for message in conversation][1::2] == ["**one**", "**two**"]
            await asked(ask, messages("other"))

    asyncio.run(main())
    first, second, other = inputs
    assert first == {**first, "query": "one", "unit": "km", "history": []}
    assert second["history"] == [
        {"role": "user", "text": "one"},
        {"role": "agent", "text": "**one**"},
    ]
    assert first["session_id"] == second["session_id"]
    assert len(other["session_id"]) == 32


def strict_agent(asked_for: list[str]) -> Server:
    """Serve an agent that takes a question and nothing else."""

    async def strict(query: str) -> AsyncIterator[str]:
        asked_for.append(query)
        yield "Fine"

    return serve_agent({"strict": strict})


def test_an_agent_may_refuse_history_and_session() -> None:
    asked_for: list[str] = []

    async def main() -> None:
        with strict_agent(asked_for) as server:
            conversation = messages("one")
            await asked(model("strict", base_url=server.url), conversation)
            assert conversation[-1].content == "Fine"

    asyncio.run(main())
    assert asked_for == ["one"]


def test_stopping_the_chat_ends_the_call(serve: Callable[..., FaultServer]) -> None:
    stalled = [SSE_HEAD, frame(chunk("**Hello**\n\nthere")), STALL]
    server = serve(stalled, [SSE_HEAD, frame(chunk("Fine")), frame(DONE) + LAST_FRAME])

    async def main() -> None:
        ask = model("a", base_url=server.url, timeout=PATIENCE)
        conversation = messages("one")
        parts = ask(conversation, None)
        shown = await anext(parts)
        assert "Hello" in shown
        waiting = asyncio.ensure_future(anext(parts))
        await asyncio.sleep(MOMENT)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await asyncio.to_thread(server.last.wait_closed)
        # The page keeps what it has of the answer.
        conversation += messages("", shown, "two")[1:]
        await asked(ask, conversation)
        assert [message.content for message in conversation][2:] == ["two", "Fine"]

    asyncio.run(main())
    _, answer = server.last.json["history"]
    assert answer["text"].startswith("**Hello**\n\nthere\n[stopped after")


def with_file(text: str, address: str, name: str | None = "sales.csv") -> list[ChatMessage]:
    """Return a conversation whose only question has a file."""
    parts = [TextPart("text", text), FilePart("file", "text/csv", address, name)]
    return [ChatMessage(role="user", content=text, id="m0", parts=parts)]


def test_files_go_along() -> None:
    inputs: list[dict[str, Any]] = []

    async def reader(**fields: Any) -> AsyncIterator[str]:
        inputs.append(fields)
        yield "Read"

    async def main() -> None:
        with serve_agent({"reader": reader}) as server:
            ask = model("reader", base_url=server.url)
            conversation = with_file("one", "data:text/csv;base64,YSxi")
            await asked(ask, conversation)
            last = ChatMessage(role="user", content="two", id="m2")
            last.attachments = [ChatAttachment("data:,a%20b", "../note.txt", "text/plain")]
            await asked(ask, [*conversation, last])

    asyncio.run(main())
    first, second = inputs
    assert first["attachments"] == [{"name": "sales.csv", "mime": "text/csv", "data": "YSxi"}]
    assert second["attachments"] == [{"name": "note.txt", "mime": "text/plain", "data": "YSBi"}]
    assert second["history"] == [
        {"role": "user", "text": "one", "attachments": ["sales.csv"]},
        {"role": "agent", "text": "Read"},
    ]


@pytest.mark.parametrize(
    ("address", "context", "said"),
    [
        ("data:text/csv;base64,YSxi", {}, "The agent takes no attachments."),
        ("https://example.org/a.csv", {}, "The content of 'sales.csv' is not in the message."),
        ("data:text/csv;base64,YSx", {}, "The content of 'sales.csv' is not in the message."),
        ("data:," + "a" * 20_000_001, {}, "sales.csv: it has 20.0 MB"),
        ("data:,a", {"attachments": 1}, "which is also a field of the model's own"),
    ],
    ids=["refused", "address", "damaged", "large", "field"],
)
def test_the_answer_says_why_a_file_cannot_go_along(
    address: str, context: dict[str, Any], said: str
) -> None:
    asked_for: list[str] = []

    async def main() -> None:
        with strict_agent(asked_for) as server:
            ask = model("strict", base_url=server.url, context=context)
            conversation = with_file("one", address)
            await asked(ask, conversation)
            assert said in html.unescape(html.unescape(conversation[1].parts[0].text))
            if not context:
                await asked(ask, messages("and without"))

    asyncio.run(main())
    assert asked_for == ([] if context else ["and without"])


def test_a_slip_in_an_option_is_named() -> None:
    with pytest.raises(
        TypeError, match="model has no option 'sesion_id'; did you mean 'session_id'"
    ):
        model("demo", sesion_id="s")
    with pytest.raises(ValidationError, match="context has 'query'"):
        model("demo", context={"query": "q"})


# Objects that show themselves


def page_of(shown: Any) -> str:
    """Return the HTML that marimo gets of an object, out of the attribute of its element."""
    (data,) = re.findall(r"data-data='([^']*)'", mo.as_html(shown).text)
    page: str = json.loads(html.unescape(data))
    return page


EVENTS: list[Any] = ["a **b", {"type": "tool_call", "name": "look_up"}, "old** word"]


@pytest.mark.parametrize("kind", ["chunks", "events"])
@pytest.mark.parametrize("client", ["blocking", "asynchronous"])
def test_a_stream_shows_itself(client: str, kind: str, serve: Callable[..., FaultServer]) -> None:
    chunks = [frame(chunk(item)) for item in EVENTS if kind == "events" or isinstance(item, str)]
    server = serve([SSE_HEAD, *chunks, frame(DONE) + LAST_FRAME])
    make: Any = RunAgentClient if client == "blocking" else AsyncRunAgentClient
    agent = make("a", base_url=server.url, timeout=PATIENCE)
    stream = agent.run_generic_stream({}) if kind == "chunks" else agent.stream_events({})
    page = page_of(stream)
    assert "a <strong>bold</strong> word" in page
    assert ("look_up" in page) == (kind == "events")
    assert page_of(stream) == page
    assert len(server.exchanges) == 1


def test_a_stream_that_was_begun_shows_all_of_it(serve: Callable[..., FaultServer]) -> None:
    server = serve(
        [SSE_HEAD, frame(chunk("a **b")), frame(chunk("old**")), frame(DONE) + LAST_FRAME]
    )
    with RunAgentClient("a", base_url=server.url, timeout=PATIENCE) as client:
        stream = client.run_generic_stream({})
        assert next(stream) == "a **b"
        assert "a <strong>bold</strong>" in page_of(stream)


def test_replies_and_turns_show_themselves() -> None:
    reply = Reply("a", {"query": "?"}, "a **bold** word <b>")
    assert "a <strong>bold</strong> word &lt;b&gt;" in page_of(reply)
    answer = Turn("agent", "a **bold** word", error=RunAgentError("It broke."), status="error")
    assert "a <strong>bold</strong> word" in page_of(answer)
    assert "It broke." in page_of(answer)
    assert "<strong>" not in page_of(Turn("user", "a **bold** word"))


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_mo_md_leaves_an_answer_as_it_is(attack: Attack) -> None:
    reply = Reply("a", {"query": "?"}, attack.text())
    element = mo.as_html(reply).text
    for markdown in (f"{mo.as_html(reply)}", f"## In a line: {mo.as_html(reply)} and on"):
        assert element in mo.md(markdown).text


def test_the_value_of_the_widget_is_the_conversation() -> None:
    with serve_agent({"echo": lambda query: f"**{query}**"}) as server:
        widget = AgentWidget("echo", base_url=server.url)
        element = mo.ui.anywidget(widget)
        widget.ask("one")
        value = element.value
        widget.close()
    assert value["turns"] == [
        {"role": "user", "text": "one", "status": "done"},
        {"role": "agent", "text": "**one**", "status": "done"},
    ]
    assert value["value"] == "**one**"
    assert not [name for name in value if name.startswith("_")]


def test_a_stream_needs_no_import_but_its_own() -> None:
    (found,) = entry_points(group="runagent.views")
    assert found.load() is marimo_output.shown


def test_the_example_of_the_model_runs() -> None:
    (example,) = doctest.DocTestFinder().find(model, "model", globs={"model": model})
    said: list[str] = []
    doctest.DocTestRunner().run(example, out=said.append)
    assert (len(example.examples), said) == (2, [])
