"""Agents in marimo: a model for `mo.ui.chat`. Importing this needs no marimo."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import unquote_to_bytes

from runagent import (
    AsyncRunAgentClient,
    AsyncStream,
    RunAgentClient,
    RunAgentError,
    StreamEvent,
    ValidationError,
    views,
)
from runagent_jupyter import marimo_output
from runagent_jupyter.chats.attached import (
    ATTACHMENTS,
    Attached,
    clean_name,
    explain_refusal,
    fields_of,
    file_of,
)
from runagent_jupyter.chats.client import chat_client
from runagent_jupyter.fields import context_beside
from runagent_jupyter.parts import Parts
from runagent_jupyter.rendering import plain_note
from runagent_jupyter.reply import Reply

__all__ = ["model"]

_KEPT = 1_000
"""The number of answers whose text a model remembers."""

views.choose(marimo_output.shown)


def model(
    agent: str | RunAgentClient | AsyncRunAgentClient,
    *,
    context: Mapping[str, Any] | None = None,
    field: str = "query",
    history: bool = True,
    entrypoint: str | None = None,
    session_id: str | None = None,
    **client_options: Any,
) -> Callable[[list[Any], Any], AsyncGenerator[str, None]]:
    """Return a model for `mo.ui.chat`, which asks an agent and streams its answer.

    >>> import marimo as mo
    >>> chat = mo.ui.chat(model("demo"), prompts=["What can you do?"])

    An answer appears block by block, as safe HTML, because marimo would make elements of the HTML
    in a text. In `chat.value`, the `content` of an answer is the text as the agent wrote it, with a
    last line that says so if it is not the whole answer. Files, which `allow_attachments=True` lets
    a page send, go along as `attachments`: what `runagent.attachment` returns, with a `name`.

    Args:
        agent: An agent's id, or a client.
        context: Fields that go along with every question, such as `{"df": df}`.
        field: The field that carries the question.
        history: Whether the turns so far go along, as `history`: a list of `role` and `text`. They
            are left out if the agent refuses them.
        entrypoint: A streaming entrypoint of an agent under `runagent serve`. Default: the usual
            one.
        session_id: Goes along with every question, so that the agent knows the conversation.
            Default: one for each conversation, which is left out if the agent refuses it.
        **client_options: Options of the client, such as `base_url`.

    Returns:
        A function of the messages and of marimo's settings of language models, which agents do not
        have.

    Raises:
        TypeError: An option is unknown, or the agent is neither an id nor a client.
        RunAgentError: The client refuses its settings, or the context cannot be sent.
    """
    others = ("context", "field", "history", "entrypoint", "session_id")
    client = chat_client(agent, client_options, others, "model")
    fields = context_beside(context or {}, field)
    optional = {"session_id"} if session_id is None else set()
    if history:
        optional.add("history")
    asking = _Model(client, fields, field, entrypoint, session_id, optional)
    asking.stream("?", [], None)  # sends nothing, but raises if the context cannot be sent

    async def ask(messages: list[Any], _: object = None) -> AsyncGenerator[str, None]:
        async with aclosing(asking.answer(messages)) as parts:
            async for part in parts:
                yield part

    return ask


class _Model:
    """Asks one agent; marimo keeps the messages, and sends all of them with each question."""

    def __init__(
        self,
        client: AsyncRunAgentClient,
        context: dict[str, Any],
        field: str,
        entrypoint: str | None,
        session_id: str | None,
        optional: set[str],
    ) -> None:
        self._client = client
        self._context = context
        self._field = field
        self._entrypoint = entrypoint
        self._session_id = session_id
        self._optional = optional  # fields that are sent until the agent refuses them
        self._key = uuid.uuid4()
        self._texts: OrderedDict[bytes, str] = OrderedDict()  # of answers, by digests of their HTML

    async def answer(self, messages: list[Any]) -> AsyncGenerator[str, None]:
        """Ask the question in the last message; yield the HTML of the answer in parts.

        The last part says if the answer failed. After an exception, marimo would forget the text.
        """
        self._write_texts(messages)
        if not messages:
            raise ValueError("There is no question: the list of messages is empty.")
        question = _text(messages[-1])
        turns = [_turn(message) for message in messages[:-1]]
        reply = Reply(self._client.agent_id, {self._field: question})
        parts = Parts(reply.events)
        asked = time.monotonic()
        error: RunAgentError | None = None
        stopped = True
        stream: AsyncStream[StreamEvent] | None = None
        try:
            while True:
                try:
                    stream = self.stream(question, turns, messages[0], _files(messages[-1]))
                    async with stream:
                        async for event in stream:
                            reply.take(event)
                            if part := parts.next():
                                yield part
                except RunAgentError as exc:
                    refused = {name for name in self._optional if name in exc.message}
                    if refused and not reply.events:
                        self._optional -= refused
                        continue
                    explain_refusal(exc)
                    error = exc
                break
            if stream is not None:
                reply.take_facts(stream)
            stopped = False
        finally:
            reply.end(elapsed=time.monotonic() - asked, error=error, stopped=stopped)
            last = "" if stopped else parts.end(reply)
            self._remember(parts.html, reply)
        yield last
        # marimo adds the message of this answer as soon as the generator has ended.
        asyncio.get_running_loop().call_soon(self._write_texts, messages)

    def stream(
        self,
        question: str,
        turns: Sequence[Mapping[str, Any]],
        first: object,
        files: Sequence[Attached] = (),
    ) -> AsyncStream[StreamEvent]:
        """Return the stream of an answer. Nothing is sent before the stream is entered.

        Args:
            question: The question.
            turns: The conversation before it.
            first: The first message of the conversation, whose id is that of the conversation.
            files: The files that go along with the question.

        Raises:
            RunAgentError: The input cannot be sent.
        """
        data: dict[str, Any] = {}
        if self._session_id is not None:
            data["session_id"] = self._session_id
        elif "session_id" in self._optional:
            data["session_id"] = uuid.uuid5(self._key, str(getattr(first, "id", None))).hex
        if "history" in self._optional:
            data["history"] = turns
        attached = fields_of(files, ATTACHMENTS)
        if attached.keys() & {*self._context, self._field}:
            raise ValidationError(
                f"The files go along as {ATTACHMENTS!r}, which is also a field of the model's own.",
                code="INVALID_INPUT",
                hint="Give that field another name, or ask without files.",
            )
        data |= {**self._context, **attached, self._field: question}
        return self._client.stream_events(data, entrypoint=self._entrypoint)

    def _remember(self, shown: str, reply: Reply) -> None:
        is_whole = reply.error is None and not reply.stopped
        self._texts[_digest(shown)] = reply.text + ("" if is_whole else plain_note(reply))
        if len(self._texts) > _KEPT:
            self._texts.popitem(last=False)

    def _write_texts(self, messages: Sequence[Any]) -> None:
        """Put the text of each answer in the place of its HTML, which is in its parts."""
        for message in messages:
            text = self._texts.get(_digest("".join(_texts_of_parts(message))))
            if text is not None and _role(message) == "agent":
                message.content = text


def _digest(shown: str) -> bytes:
    return hashlib.sha256(shown.encode("utf-8", "replace")).digest()


def _role(message: Any) -> str:
    return "agent" if message.role == "assistant" else str(message.role)


def _turn(message: Any) -> dict[str, Any]:
    """Return a message as it is sent to an agent that wants the conversation so far."""
    turn: dict[str, Any] = {"role": _role(message), "text": _text(message)}
    if names := [_name(part) for part in _file_parts(message)]:
        turn["attachments"] = names
    return turn


def _files(message: Any) -> list[Attached]:
    """Return the files that go along with a message.

    Raises:
        ValidationError: One is too large, or its content is not in the message.
    """
    return [file_of(_name(part), _content(part)) for part in _file_parts(message)]


def _file_parts(message: Any) -> list[Any]:
    """Return the parts of a message that are files, and the attachments of older pages."""
    found = [part for part in message.parts or () if _field_of(part, "type") == "file"]
    return [*found, *(getattr(message, "attachments", None) or ())]


def _name(part: Any) -> str:
    return clean_name(str(_field_of(part, "filename") or _field_of(part, "name") or ""))


def _content(part: Any) -> bytes:
    """Return the bytes of a file, which a page sends as a `data:` address.

    Raises:
        ValidationError: It is another address. Nothing is fetched for whoever wrote it.
    """
    head, _, content = str(_field_of(part, "url")).partition(",")
    try:
        if head.startswith("data:"):
            decoded = unquote_to_bytes(content)
            return base64.b64decode(decoded) if head.endswith(";base64") else decoded
    except ValueError:
        pass  # a damaged one is no content either
    raise ValidationError(
        f"The content of {_name(part)!r} is not in the message.",
        code="INVALID_INPUT",
        hint="Attach the file itself.",
    )


def _text(message: Any) -> str:
    """Return the text of a message; a page may send it in parts.

    Of a message with files, a page makes the content with an empty line for each of them.
    """
    texts = _texts_of_parts(message)
    is_content = isinstance(message.content, str) and not (texts and _file_parts(message))
    return message.content if is_content else "".join(texts)


def _texts_of_parts(message: Any) -> list[str]:
    found = (_field_of(part, "text") for part in message.parts or ())
    return [text for text in found if isinstance(text, str)]


def _field_of(part: Any, name: str) -> Any:
    return part.get(name) if isinstance(part, Mapping) else getattr(part, name, None)
