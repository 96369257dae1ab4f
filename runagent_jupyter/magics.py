"""The magics `%%runagent` and `%runagent`: parse, call, hand on."""

from __future__ import annotations

import argparse
import json
import queue
import re
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from runagent import RunAgentClient, RunAgentError, Stream, StreamEvent, ValidationError
from runagent.registry import agent_ids
from runagent_jupyter.failure import add_near_matches, shortly
from runagent_jupyter.reply import Reply

if TYPE_CHECKING:
    from runagent_jupyter.display import Display

TICK = 0.05
"""Seconds between two looks at what is due on the display."""

_TOKEN = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|\S+)""")


@magics_class
class RunAgentMagics(Magics):
    """Calls agents from cells."""

    def __init__(self, shell: Any) -> None:
        """Belong to one IPython shell."""
        super().__init__(shell)
        self._shell = shell
        self._sessions: dict[tuple[str, str], str] = {}

    @no_var_expand
    @line_cell_magic
    @magic_arguments()
    @argument("agent", nargs="?", help="The agent's id; `demo` is built in.")
    @argument("--out", metavar="NAME", help="Put the reply into this variable.")
    @argument(
        "--field", metavar="KEY", default="query", help="Send text as this field. Default: query."
    )
    @argument(
        "--input", metavar="NAME", help="Send this variable: a dictionary, or a field's value."
    )
    @argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="Add a field; JSON or text."
    )
    @argument(
        "--text", action="store_true", help="Send the body as text, even if it begins with {."
    )
    @argument("--session", metavar="NAME", help="Keep a conversation over cells.")
    @argument("--timeout", metavar="SECONDS", help="For this call; inf for no limit.")
    @argument(
        "--header", metavar="NAME:VALUE", action="append", default=[], help="Send this header."
    )
    @argument("--entrypoint", metavar="TAG", help="Call this entrypoint of `runagent serve`.")
    @argument("--base-url", metavar="URL", help="Call the agent on this server.")
    @argument("--no-stream", action="store_true", help="Ask for the answer in one piece.")
    @argument("--format", choices=["markdown", "text", "json", "code"], default="markdown")
    @argument("--quiet", action="store_true", help="Show nothing; the reply is in _ and --out.")
    @argument("--no-raise-error", action="store_true", help="Show a failure, and go on.")
    def runagent(self, line: str, cell: str | None = None) -> Reply | None:
        """Ask an agent, and show its answer as it comes.

        In a cell, everything below the first line is the question::

            %%runagent demo
            What can you do?

        A body that is a JSON object is the input itself. On one line, as in
        ``reply = %runagent demo What can you do?``, the rest of the line is the question.
        The reply is in ``_`` too.
        """
        try:
            options, question = self._parse(line)
            if options.agent is None:
                sys.stdout.write(_overview())
                return None
            return self._ask(options, question, cell)
        except RunAgentError as exc:
            error = exc
        raise shortly(error)

    def _parse(self, line: str) -> tuple[argparse.Namespace, str]:
        """Split the line into options and the question that follows the agent's id."""
        parser: Any = vars(RunAgentMagics.runagent)["parser"]
        valued = {
            name
            for action in parser._actions  # noqa: SLF001
            if action.nargs is None
            for name in action.option_strings
        }
        words: list[str] = []
        position, has_agent, wants_value = 0, False, False
        while match := _TOKEN.match(line, position):
            word = match[1]
            if not (wants_value or word.startswith("--")):
                if has_agent:
                    break
                has_agent = True
            wants_value = not wants_value and word in valued
            words.append(word[1:-1] if word[0] in "\"'" and word[-1] == word[0] else word)
            position = match.end()
        try:
            return parser.parse_args(words), line[position:].strip()
        except UsageError as exc:
            raise ValidationError(
                f"%runagent: {exc}.", code="USAGE", hint="%runagent? lists the options."
            ) from None

    def _ask(self, options: argparse.Namespace, question: str, cell: str | None) -> Reply | None:
        if cell is not None and question:
            raise ValidationError(
                f"%%runagent {options.agent}: {question!r} stands where options are expected.",
                code="USAGE",
                hint="The question goes below the first line.",
            )
        reply = Reply(options.agent, self._input(options, question if cell is None else cell))
        reply.format = options.format
        show = self._display(options, is_cell=cell is not None)
        started = time.monotonic()
        interrupted = None
        try:
            with self._client(options) as client:
                self._call(client, options, reply, show)
        except RunAgentError as exc:
            add_near_matches(exc, options.agent)
            reply.error = exc
        except KeyboardInterrupt as exc:
            reply.stopped = True
            interrupted = exc
        reply.elapsed = time.monotonic() - started
        show.end(reply)
        reply._is_shown = True  # noqa: SLF001 - what the display hook would show is there already
        if options.out:
            self._shell.user_ns[options.out] = reply
        if interrupted is not None or (reply.error is not None and not options.no_raise_error):
            self._shell.displayhook.update_user_ns(reply)
            if interrupted is not None:
                raise shortly(
                    interrupted, f"stopped after {reply.elapsed:.1f} s; what came is in _"
                )
            assert reply.error is not None
            raise reply.error
        if reply.error is not None:
            sys.stderr.write(f"{type(reply.error).__name__}: {reply.error}\n")
        if cell is not None and not hasattr(self._shell, "kernel"):
            # A terminal would print an empty Out[…] prompt below the answer.
            self._shell.displayhook.update_user_ns(reply)
            return None
        return reply

    def _display(self, options: argparse.Namespace, *, is_cell: bool) -> Display:
        from runagent_jupyter.display import display_for  # noqa: PLC0415 - loads the renderer

        return display_for(
            self._shell,
            options.agent,
            owns_cell=is_cell,
            rendered=options.format == "markdown",
            quiet=options.quiet,
        )

    def _client(self, options: argparse.Namespace) -> RunAgentClient:
        arguments: dict[str, Any] = {}
        if options.base_url:
            arguments["base_url"] = options.base_url
        if options.timeout:
            arguments["timeout"] = options.timeout
        headers = {}
        for header in options.header:
            name, colon, value = header.partition(":")
            if not colon:
                raise ValidationError(f"--header {name!r} is not NAME:VALUE.", code="USAGE")
            headers[name.strip()] = value.strip()
        return RunAgentClient(options.agent, headers=headers, **arguments)

    def _input(self, options: argparse.Namespace, body: str) -> dict[str, Any]:
        """Return what is sent: from a variable, from JSON, or the text in its field."""
        body = body.rstrip("\n")
        if options.input:
            if options.input not in self._shell.user_ns:
                raise ValidationError(
                    f"--input: there is no variable {options.input!r}.", code="USAGE"
                )
            value = self._shell.user_ns[options.input]
            data = dict(value) if isinstance(value, Mapping) else {options.field: value}
            if body.strip():
                if not isinstance(value, Mapping):
                    raise ValidationError(
                        "--input and the body are both the question.", code="USAGE"
                    )
                data[options.field] = body
        elif not body.strip() and not options.set:
            raise ValidationError(
                f"There is no question for {options.agent!r}.",
                code="USAGE",
                hint="Write it below %%runagent, or behind the agent's id with %runagent.",
            )
        elif body.lstrip().startswith("{") and not options.text:
            data = _json_object(body)
        else:
            data = {options.field: body} if body.strip() else {}
        for assignment in options.set:
            key, equals, value = assignment.partition("=")
            if not equals:
                raise ValidationError(f"--set {assignment!r} is not KEY=VALUE.", code="USAGE")
            try:
                data[key] = json.loads(value)
            except ValueError:
                data[key] = value
        if options.session:
            new = uuid.uuid4().hex
            data["session_id"] = self._sessions.setdefault((options.agent, options.session), new)
        return data

    def _call(
        self, client: RunAgentClient, options: argparse.Namespace, reply: Reply, show: Display
    ) -> None:
        tag = options.entrypoint
        if tag is not None and not tag.endswith("_stream"):
            reply.value = client.run(reply.input_data, entrypoint=tag)
            return
        if options.no_stream:
            result = client.run_generic_with_metadata(reply.input_data)
            reply.value = result.result
            reply.usage, reply.execution_time = result.usage, result.execution_time
            reply.request_id = result.request_id
            return
        with client.stream_events(reply.input_data, entrypoint=tag) as stream:
            try:
                self._follow(stream, reply, show)
            finally:
                chunks = [event.value for event in reply.events if event.kind == "chunk"]
                only_object = len(chunks) == 1 and not isinstance(chunks[0], str)
                reply.value = chunks[0] if only_object else stream.text
                reply.usage, reply.execution_time = stream.usage, stream.execution_time
                reply.request_id = stream.request_id

    def _follow(self, stream: Stream[StreamEvent], reply: Reply, show: Display) -> None:
        """Show events as they come; keep the display alive while none do."""
        inbox: queue.SimpleQueue[StreamEvent | BaseException | None] = queue.SimpleQueue()

        def read() -> None:
            try:
                for event in stream:
                    inbox.put(event)
                inbox.put(None)
            except BaseException as exc:  # noqa: BLE001 - it is raised where the reply is awaited
                inbox.put(exc)

        # Waiting for a queue can be interrupted at once and ended by a timeout; reading cannot.
        threading.Thread(target=read, name="runagent-magic", daemon=True).start()
        while True:
            show.tick()
            try:
                item = inbox.get(timeout=TICK)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            reply.events.append(item)
            if item.text:
                show.add(item.text)


def _json_object(body: str) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(body)
    except json.JSONDecodeError as exc:
        line = body.splitlines()[exc.lineno - 1] if exc.lineno <= len(body.splitlines()) else ""
        raise ValidationError(
            f"The body begins with {{ but is not JSON: {exc.msg} "
            f"in line {exc.lineno}, column {exc.colno}: {line.strip()!r}.",
            code="INVALID_INPUT",
            hint="Mend it, or add --text to send it as text.",
        ) from None
    except RecursionError:
        raise ValidationError("The JSON is nested too deeply.", code="INVALID_INPUT") from None
    return data


def _overview() -> str:
    return (
        "%%runagent AGENT         ask, with the question below; the answer streams into the cell\n"
        "%runagent AGENT ...      ask on one line\n"
        "%runagent?               all options\n"
        f"Served in this process: {', '.join(agent_ids())}\n"
    )
