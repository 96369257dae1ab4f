"""The magics `%%runagent` and `%runagent`: parse, call, hand on."""

from __future__ import annotations

import argparse
import getpass
import json
import keyword
import re
import shlex
import sys
import uuid
from collections import ChainMap
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    context_matcher,
)
from IPython.core.error import StdinNotImplementedError, UsageError
from IPython.core.getipython import get_ipython
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from IPython.core.magic_arguments import argument, magic_arguments
from traitlets import CUnicode, Enum, Unicode

from runagent import (
    AgentNotFoundError,
    AuthenticationError,
    RunAgentClient,
    RunAgentError,
    ValidationError,
)
from runagent.registry import agent_ids
from runagent.secrecy import Secret
from runagent_jupyter.call import Call, Job
from runagent_jupyter.failure import add_near_matches, shortly, summary
from runagent_jupyter.reply import Reply
from runagent_jupyter.template import check_json, fill, looks_like_json

if TYPE_CHECKING:
    from runagent_jupyter.cache import ReplyCache
    from runagent_jupyter.display import Display

FORMATS = ["markdown", "text", "json", "code"]

# The magic before the cursor, whole words behind it, and the word that is being typed.
_LINE = re.compile(r"%%?(runagent(?:_config)?)\s+((?:\S+\s+)*)(\S*)\Z")

# A word, or KEY=VALUE, whose value may be quoted as a whole.
_TOKEN = re.compile(r"""\s*(?:([^\s"'=:]+[=:])?(?:"((?:[^"\\]|\\.)*)"|'([^']*)')(?=\s|\Z)|(\S+))""")


@magics_class
class RunAgentMagics(Magics):
    """Calls agents from cells."""

    agent = Unicode(help="The agent that %%runagent calls if it names none.").tag(config=True)
    base_url = Unicode(help="The server's base URL.").tag(config=True)
    timeout = CUnicode(help="Seconds for a call; inf for no limit.").tag(config=True)
    format = Enum(FORMATS, "markdown", help="How answers are shown.").tag(config=True)
    cache_path = Unicode(help="The file --cache keeps replies in.").tag(config=True)

    def __init__(self, shell: Any) -> None:
        """Belong to one IPython shell."""
        super().__init__(shell)
        self._shell = shell
        self._sessions: dict[tuple[str, str], str] = {}
        self._keys: dict[str, Secret] = {}  # by base URL: no other server gets them

    @no_var_expand
    @needs_local_scope
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
    @argument(
        "--no-template", action="store_true", help="Send {{ and }} as they are; fill nothing in."
    )
    @argument("--session", metavar="NAME", help="Keep a conversation over cells.")
    @argument("--entrypoint", metavar="TAG", help="Call this entrypoint of `runagent serve`.")
    @argument("--timeout", metavar="SECONDS", help="For this call; inf for no limit.")
    @argument(
        "--header", metavar="NAME:VALUE", action="append", default=[], help="Send this header."
    )
    @argument("--base-url", metavar="URL", help="Call the agent on this server.")
    @argument("--stream", action="store_true", help="Show the answer as it comes; the default.")
    @argument("--no-stream", action="store_true", help="Ask for the answer in one piece.")
    @argument("--format", choices=FORMATS, help="How the answer is shown. Default: markdown.")
    @argument(
        "--cache",
        action="store_true",
        help="Keep the reply in a local file, and take it from there the next time.",
    )
    @argument("--bg", action="store_true", help="Return at once; the answer streams into the cell.")
    @argument("--proc", metavar="NAME", help="With --bg: put what stops and waits for it here.")
    @argument("--widget", action="store_true", help="Open a chat with the agent.")
    @argument("--quiet", action="store_true", help="Show nothing; the reply is in _ and --out.")
    @argument("--no-raise-error", action="store_true", help="Show a failure, and go on.")
    def runagent(
        self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None
    ) -> Any:
        """Ask an agent, and show its answer as it comes.

        In a cell, everything below the first line is the question::

            %%runagent demo
            What can you do?

        A body that is a JSON object is the input itself, and ``{{expression}}`` is filled in from
        the notebook's variables, as JSON where the body is JSON::

            %%runagent agent-123 --out reply
            {"query": "Which of these stand out?", "rows": {{df.head(20)}}}

        On one line, the rest of the line is the question; options are filled in, too::

            reply = %runagent demo --set city={{city}} What can you do there?

        A conversation over several cells, more fields, an answer that comes in the background::

            %%runagent agent-123 --session trip --set city=Rome --bg --proc job

        The reply is in ``_`` too: ``_.text``, ``_.value``, ``_.usage``, ``_.to_frame()``.
        Interrupt the kernel to stop an answer; what came stays.
        """
        options, question = self._parse(line)
        if cell is None and not line.strip():
            sys.stdout.write(_overview())
            return None
        options.agent = options.agent or self.agent
        # Of the function that calls the magic, if there is one.
        options.variables = ChainMap(dict(local_ns or {}), self._shell.user_ns)
        try:
            if not options.no_template:
                _fill_in(options, options.variables)
            if not options.agent:
                raise ValidationError(
                    "No agent is named.",
                    code="USAGE",
                    hint="Name one: %%runagent AGENT. Or set one for this notebook: "
                    "%runagent_config --agent AGENT",
                )
            if options.widget:
                return self._widget(options, question or (cell or "").strip())
            return self._ask(options, question, cell)
        except RunAgentError as exc:
            error = exc
        _say_in_options(error, options.base_url)
        raise shortly(error)

    @no_var_expand
    @line_magic
    @magic_arguments()
    @argument("--agent", metavar="ID", help="The agent that %%%%runagent calls if it names none.")
    @argument("--base-url", metavar="URL", help="The server's base URL.")
    @argument("--timeout", metavar="SECONDS", help="For a call; inf for no limit.")
    @argument("--format", choices=FORMATS, help="How answers are shown.")
    @argument(
        "--key", action="store_true", help="Ask for the API key, out of the notebook's sight."
    )
    @argument("--reset", action="store_true", help="Back to what the environment and files say.")
    @argument("--clear-cache", action="store_true", help="Forget the replies that --cache kept.")
    def runagent_config(self, line: str) -> None:
        """Show and set what `%%runagent` uses where a cell does not say otherwise.

        The same settings are traits: ``%config RunAgentMagics.timeout = "60"``, or
        ``c.RunAgentMagics.timeout = "60"`` in ``ipython_config.py``.
        """
        try:
            words = shlex.split(line)
        except ValueError as exc:  # a quotation without an end
            raise _misused("runagent_config", exc) from None
        options = _parsed("runagent_config", words)
        try:
            _fill_in(options, self._shell.user_ns)
            self._configure(options)
        except RunAgentError as exc:
            error = exc
        else:
            sys.stdout.write(self._settings())
            return
        _say_in_options(error, options.base_url)
        raise shortly(error)

    def _configure(self, options: argparse.Namespace) -> None:
        names = ("agent", "base_url", "timeout", "format")
        given = {name: getattr(options, name) for name in names}
        changed: dict[str, Any] = {}
        if options.reset:
            changed |= {name: self.trait_defaults(name) for name in names}
        changed |= {name: value for name, value in given.items() if value is not None}
        # A client knows what is valid; nothing is set if anything is not.
        self._probe(
            changed.get("agent") or "-",
            changed.get("base_url", self.base_url),
            changed.get("timeout", self.timeout),
        )
        for name, value in changed.items():
            setattr(self, name, value)
        if options.reset:
            self._keys.clear()
        if options.clear_cache:
            self._cache().clear()
        if options.key:
            # For the server of all agents but those that this process serves.
            key = self._ask_for_key(self._probe("-", self.base_url, self.timeout).base_url)
            if key is None:
                raise ValidationError(
                    "No API key was entered.",
                    code="MISSING_API_KEY",
                    hint="Where nobody can be asked, set RUNAGENT_API_KEY.",
                )

    def _settings(self) -> str:
        client = self._probe("-", self.base_url, self.timeout)
        key = "entered here" if client.base_url in self._keys else "as the environment or file says"
        facts = {
            "agent": self.agent or "(named in each cell)",
            "base_url": client.base_url,
            "timeout": f"{client.timeout:g} s",
            "format": self.format,
            "api_key": key,
            "cache": self._cache().path,
        }
        return "".join(f"{name:<9} {value}\n" for name, value in facts.items())

    def _probe(self, agent_id: str, base_url: str, timeout: str) -> RunAgentClient:
        """Return a client that has the settings, and needs no key to have them."""
        arguments = {"base_url": base_url, "timeout": timeout}
        arguments = {name: value for name, value in arguments.items() if value}
        return RunAgentClient(agent_id, "", **arguments)  # type: ignore[arg-type] # text of numbers

    def _ask_for_key(self, base_url: str) -> Secret | None:
        """Ask for the key to a server; return it unless nobody answers."""
        kernel = getattr(self._shell, "kernel", None)
        if not (sys.stdin.isatty() if kernel is None else getattr(kernel, "_allow_stdin", False)):
            return None
        with suppress(StdinNotImplementedError, EOFError, KeyboardInterrupt):
            key = getpass.getpass(f"API key for {base_url}: ").strip()
            if key:
                self._keys[base_url] = Secret(key)
                return self._keys[base_url]
        return None

    def _parse(self, line: str) -> tuple[argparse.Namespace, str]:
        """Split the line into options and the question that follows the agent's id."""
        valued = {
            name
            for action in parser_of("runagent")._actions  # noqa: SLF001
            if action.nargs is None
            for name in action.option_strings
        }
        words: list[str] = []
        position, has_agent, wants_value = 0, False, False
        while match := _TOKEN.match(line, position):
            key, double, single, plain = match.groups()
            word = plain or (key or "") + (single or re.sub(r"\\(.)", r"\1", double or ""))
            if not (wants_value or (plain and word.startswith("--"))):
                if has_agent:
                    break
                has_agent = True
            wants_value = not wants_value and word in valued
            words.append(word)
            position = match.end()
        return _parsed("runagent", words), line[position:].strip()

    def _ask(self, options: argparse.Namespace, question: str, cell: str | None) -> Any:
        _check(options, question, is_cell=cell is not None)
        body = (question if cell is None else cell).rstrip("\n")
        is_json = looks_like_json(body) and not (options.text or options.input)
        if "{{" in body and not options.no_template:
            # Before the body is read as JSON, but as what it is.
            body = fill(body, options.variables, is_json=is_json)
        reply = Reply(options.agent, self._input(options, body, is_json=is_json))
        reply.format = options.format or self.format
        if not options.quiet or cell is not None or self._is_shown_by_the_hook():
            reply._shown_in = self._shell.execution_count  # noqa: SLF001
        cache = self._cache() if options.cache else None
        key = cache.key(self._question(options, reply)) if cache else ""
        if cache and cache.find(key, reply):
            self._display(options, reply, is_cell=cell is not None).end(reply)
            self._put(options.out, reply)
            if options.bg:
                return self._hand_over_job(options, Job(reply), is_cell=cell is not None)
            return self._hand_over(options, reply, is_cell=cell is not None)
        client = self._client(options)
        call = Call(
            client,
            reply,
            self._display(options, reply, is_cell=cell is not None),
            entrypoint=options.entrypoint,
            streams=not options.no_stream and (options.entrypoint or "_stream").endswith("_stream"),
        )

        def end(reply: Reply) -> None:
            if isinstance(reply.error, AuthenticationError):
                self._keys.pop(client.base_url, None)  # it was mistyped, perhaps
            if reply.error is not None:
                if isinstance(reply.error, AgentNotFoundError) and not options.base_url:
                    add_near_matches(reply.error, options.agent)
                _say_in_options(reply.error, options.base_url)
            self._put(options.out, reply)
            if cache and not reply.stopped and reply.error is None:
                try:
                    cache.keep(key, reply)
                except ValidationError as exc:  # the answer is there all the same
                    sys.stderr.write(f"{summary(exc)}\n")

        if options.bg:
            return self._hand_over_job(options, Job(reply, call, end), is_cell=cell is not None)
        if call.run(end):
            self._shell.displayhook.update_user_ns(reply)
            what = f"stopped after {reply.elapsed:.1f} s; what came is in _"
            raise shortly(KeyboardInterrupt(), what)
        return self._hand_over(options, reply, is_cell=cell is not None)

    def _put(self, name: str | None, value: object) -> None:
        """Put a value into the variable of that name, if one is asked for."""
        if name:
            self._shell.user_ns[name] = value

    def _hand_over_job(self, options: argparse.Namespace, job: Job, *, is_cell: bool) -> Job | None:
        """Return the job to the line, or leave it in `_`."""
        self._put(options.proc, job)
        if not (options.quiet or hasattr(self._shell, "kernel")):
            # Its text would come into the middle of what is being typed.
            how = f"{options.proc or '_'}.wait() shows it"
            sys.stdout.write(f"{options.agent} answers in the background; {how}.\n")
        if not is_cell:
            return job
        self._shell.displayhook.update_user_ns(job)
        return None

    def _hand_over(
        self, options: argparse.Namespace, reply: Reply, *, is_cell: bool
    ) -> Reply | None:
        """Return the reply to the cell, raise its error, or leave it in `_` alone."""
        if reply.error is not None:
            if not options.no_raise_error:
                self._shell.displayhook.update_user_ns(reply)
                raise reply.error
            sys.stderr.write(f"{summary(reply.error)}\n")
        if is_cell and not hasattr(self._shell, "kernel"):
            # A terminal would print an empty Out[…] prompt below the answer.
            self._shell.displayhook.update_user_ns(reply)
            return None
        return reply

    def _display(self, options: argparse.Namespace, reply: Reply, *, is_cell: bool) -> Display:
        from runagent_jupyter.display import display_for  # noqa: PLC0415 - loads the renderer

        return display_for(
            self._shell,
            options.agent,
            # In the background, other cells write meanwhile: one output, known by its id.
            owns_cell=is_cell and not options.bg and self._is_all_of_the_cell(),
            rendered=reply.format == "markdown",
            quiet=options.quiet,
            background=options.bg,
        )

    def _is_all_of_the_cell(self) -> bool:
        """Whether the magic is what is being executed, and is not called from other code."""
        return self._code().startswith("%%runagent")

    def _is_shown_by_the_hook(self) -> bool:
        """Whether the line is the last one of its cell, and its value is assigned to nothing."""
        return self._code().rpartition("\n")[2].lstrip().startswith("%")

    def _code(self) -> str:
        """Return the cell that is being executed, as far as that is known."""
        kernel = getattr(self._shell, "kernel", None)
        request = {} if kernel is None else kernel.get_parent("shell") or {}
        return str(request.get("content", {}).get("code", "")).strip()

    def _arguments(self, options: argparse.Namespace) -> dict[str, Any]:
        """Return the client's arguments, as the line or the settings give them."""
        given = {
            "base_url": options.base_url or self.base_url,
            "timeout": options.timeout or self.timeout,
        }
        if not options.base_url and options.agent in agent_ids():
            del given["base_url"]  # it is served here
        return {name: value for name, value in given.items() if value}

    def _client(self, options: argparse.Namespace) -> RunAgentClient:
        arguments = self._arguments(options)
        server = RunAgentClient(options.agent, "", **arguments).base_url
        arguments["headers"] = _headers(options)
        try:
            return RunAgentClient(options.agent, self._keys.get(server), **arguments)
        except AuthenticationError as exc:
            if exc.code != "MISSING_API_KEY":
                raise
            missing = exc
        missing.hint = "Enter it with %runagent_config --key, or set RUNAGENT_API_KEY."
        is_near = not options.base_url and add_near_matches(missing, options.agent)
        key = None if is_near else self._ask_for_key(server)
        if key is None:
            raise missing
        return RunAgentClient(options.agent, key, **arguments)

    def _widget(self, options: argparse.Namespace, question: str) -> Any:
        _check_widget(options, question)
        from runagent_jupyter.widget import AgentWidget  # noqa: PLC0415 - loads ipywidgets

        context: dict[str, Any] = {}
        if options.input:
            value = self._variable(options)
            context = dict(value) if isinstance(value, Mapping) else {options.input: value}
        context |= _assigned(options)
        widget = AgentWidget(
            self._client(options),
            context=context,
            field=options.field,
            entrypoint=options.entrypoint,
            session_id=self._session_id(options) if options.session else None,
        )
        self._put(options.out, widget)
        return widget

    def _variable(self, options: argparse.Namespace) -> Any:
        if options.input not in options.variables:
            raise ValidationError(f"--input: there is no variable {options.input!r}.", code="USAGE")
        value = options.variables[options.input]
        return value.value if isinstance(value, Reply) else value

    def _session_id(self, options: argparse.Namespace) -> str:
        return self._sessions.setdefault((options.agent, options.session), uuid.uuid4().hex)

    def _cache(self) -> ReplyCache:
        from runagent_jupyter.cache import ReplyCache, default_path  # noqa: PLC0415

        return ReplyCache(Path(self.cache_path).expanduser() if self.cache_path else default_path())

    def _question(self, options: argparse.Namespace, reply: Reply) -> dict[str, Any]:
        """Return all that may shape an answer; how it is shown does not."""
        arguments = self._arguments(options)
        local = "base_url" not in arguments and options.agent in agent_ids()
        arguments.pop("timeout", None)
        return {
            "agent": options.agent,
            # What is served here is on another port each time.
            "server": None if local else RunAgentClient(options.agent, "", **arguments).base_url,
            "entrypoint": options.entrypoint,
            "stream": not options.no_stream,
            "headers": dict(_headers(options)),
            "input": reply.input_data,
        }

    def _input(self, options: argparse.Namespace, body: str, *, is_json: bool) -> dict[str, Any]:
        """Return what is sent: from a variable, from JSON, or the text in its field."""
        if options.input:
            value = self._variable(options)
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
        elif is_json:
            data = check_json(body, body)
        else:
            data = {options.field: body} if body.strip() else {}
        data |= _assigned(options)
        if options.session:
            if "session_id" in data:
                raise ValidationError(
                    "--session and the input's own session_id exclude each other.", code="USAGE"
                )
            data["session_id"] = self._session_id(options)
        return data


def parser_of(magic: str) -> Any:
    """Return the parser of a magic's options."""
    parser = vars(vars(RunAgentMagics)[magic])["parser"]
    parser.allow_abbrev = False  # what takes a value must be known by its name
    return parser


def _parsed(magic: str, words: list[str]) -> argparse.Namespace:
    try:
        options: argparse.Namespace = parser_of(magic).parse_args(words)
    except UsageError as exc:
        raise _misused(magic, exc) from None
    return options


def _misused(magic: str, problem: Exception) -> ValidationError:
    error = ValidationError(
        f"%{magic}: {problem}.", code="USAGE", hint=f"%{magic}? lists the options."
    )
    return shortly(error)


def _fill_in(options: argparse.Namespace, variables: Mapping[str, Any]) -> None:
    """Fill `{{expression}}` in the values of options in."""
    for name, value in vars(options).items():
        if isinstance(value, str) and "{{" in value:
            setattr(options, name, fill(value, variables))
        elif isinstance(value, list):
            setattr(options, name, [fill(v, variables) if "{{" in v else v for v in value])


def _say_in_options(error: RunAgentError, base_url: str | None) -> None:
    """Let what a client says of its arguments name what is written in cells instead."""
    for name, option in {
        "the api_key argument": "what was entered here; it is asked for again the next time",
        "the base_url argument": "--base-url" if base_url else "%runagent_config",
        "timeout= ": "--timeout ",
        "timeout='": "--timeout '",
        "pass allow_http=True": "set RUNAGENT_ALLOW_HTTP=1",
    }.items():
        error.hint = error.hint and error.hint.replace(name, option)
        if error.code == "INVALID_SETTING":
            error.message = error.message.replace(name, option)


def _check(options: argparse.Namespace, question: str, *, is_cell: bool) -> None:
    """Refuse what contradicts itself."""
    if is_cell and question:
        raise ValidationError(
            f"%%runagent {options.agent}: {question!r} stands where options are expected.",
            code="USAGE",
            hint="The question goes below the first line.",
        )
    contradictions = {
        "--stream and --no-stream": options.stream and options.no_stream,
        "--cache and --session": options.cache and options.session,  # an answer has a past
    }
    for both, given in contradictions.items():
        if given:
            raise ValidationError(f"{both} exclude each other.", code="USAGE")
    for option, name in (("--out", options.out), ("--proc", options.proc)):
        if name is not None and (not name.isidentifier() or keyword.iskeyword(name)):
            raise ValidationError(f"{option} {name!r} is no name of a variable.", code="USAGE")
    if options.proc and not options.bg:
        raise ValidationError("--proc is only for --bg.", code="USAGE")


def _check_widget(options: argparse.Namespace, question: str) -> None:
    """Refuse what a chat would not heed."""
    if question:
        raise ValidationError(
            f"--widget opens a chat, and {question[:80]!r} is no option.",
            code="USAGE",
            hint="Ask in the chat.",
        )
    flags = "text no_template stream no_stream format cache bg proc quiet no_raise_error".split()  # noqa: SIM905
    given = [f"--{flag.replace('_', '-')}" for flag in flags if getattr(options, flag)]
    if given:
        raise ValidationError(f"{' and '.join(given)} cannot be had with --widget.", code="USAGE")


def _assigned(options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields that `--set` adds."""
    data: dict[str, Any] = {}
    for assignment in options.set:
        key, equals, value = assignment.partition("=")
        if not (key and equals):
            raise ValidationError(f"--set {assignment!r} is not KEY=VALUE.", code="USAGE")
        try:
            data[key] = json.loads(value)
        except ValueError:
            data[key] = value
    return data


def _headers(options: argparse.Namespace) -> dict[str, str]:
    headers = {}
    for header in options.header:
        name, colon, value = header.partition(":")
        if not colon:
            raise ValidationError(f"--header {name!r} is not NAME:VALUE.", code="USAGE")
        headers[name.strip()] = value.strip()
    return headers


@context_matcher()
def complete(context: CompletionContext) -> dict[str, Any]:
    """Complete the options of the magics, agents this process serves, and names of variables."""
    line = _LINE.search(context.text_until_cursor)
    if not line:
        return {"completions": []}
    magic, before, word = line.groups()
    fitting = [text for text in _candidates(magic, before.split(), word) if text.startswith(word)]
    return {
        "completions": [SimpleCompletion(text=text) for text in fitting],
        "matched_fragment": word,
        "suppress": bool(fitting),
        "ordered": True,
    }


def _candidates(magic: str, before: list[str], word: str) -> list[str]:
    """Return what may stand where `word` begins, after the words `before` it."""
    options: dict[str, argparse.Action] = parser_of(magic)._option_string_actions  # noqa: SLF001
    last = options.get(before[-1]) if before else None
    if last is not None and last.nargs is None:  # it takes a value
        if last.dest in ("input", "out", "proc"):
            shell = get_ipython()
            return sorted(n for n in getattr(shell, "user_ns", {}) if not n.startswith("_"))
        return list(last.choices or ()) or (agent_ids() if last.dest == "agent" else [])
    if word.startswith("-"):
        return sorted(option for option in options if option.startswith("--"))
    positional = [
        text
        for text, previous in zip(before, ["", *before], strict=False)
        if not text.startswith("--") and getattr(options.get(previous), "nargs", 0) is not None
    ]
    return agent_ids() if magic == "runagent" and not positional else []


def _overview() -> str:
    return (
        "%%runagent AGENT         ask, with the question below; the answer streams into the cell\n"
        "%runagent AGENT ...      ask on one line\n"
        "%runagent AGENT --widget a chat\n"
        "%runagent_config         show and set the server, the timeout, the agent, the key\n"
        "%runagent?               all options\n"
        f"Served in this process: {', '.join(agent_ids())}\n"
    )
