"""The magics `%%runagent` and `%runagent_config`: read the line, ask, and hand the answer over."""

from __future__ import annotations

import sys
import uuid
from collections import ChainMap
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from traitlets import CUnicode, Enum, Unicode, observe

from runagent import (
    AgentNotFoundError,
    AuthenticationError,
    RunAgentError,
    ValidationError,
)
from runagent.registry import agent_ids
from runagent_jupyter import prices, usage
from runagent_jupyter.cell import CellRequest
from runagent_jupyter.clients import Clients, Settings, server_of
from runagent_jupyter.control_characters import strip_controls
from runagent_jupyter.failure import say_what_is_served, shortly, summary
from runagent_jupyter.handing_over import pass_over_shown
from runagent_jupyter.jobs import Job
from runagent_jupyter.magic_line.options import (
    FORMATS,
    AskOptions,
    ConfigOptions,
    documented,
    help_of,
    name_options,
)
from runagent_jupyter.magic_line.question import chat_context, input_of
from runagent_jupyter.model_names import model_of
from runagent_jupyter.reply import Reply
from runagent_jupyter.shell import has_kernel, is_last_line, is_whole_cell, request_id

if TYPE_CHECKING:
    from runagent_jupyter.cache import ReplyCache
    from runagent_jupyter.outputs.display import Display
    from runagent_jupyter.usage import NotebookUsage


J = TypeVar("J")

_KEPT_AS = "_runagent_magics"
"""The attribute of a shell that keeps our magics while the extension is loaded again."""


def add(shell: Any) -> None:
    """Add the magics to a shell, with the settings, keys and sessions that they had there before.

    Args:
        shell: The IPython shell.
    """
    kept = getattr(shell, _KEPT_AS, None)
    if not isinstance(kept, RunAgentMagics):
        kept = RunAgentMagics(shell)
        setattr(shell, _KEPT_AS, kept)
    if kept not in shell.configurables:
        shell.configurables.append(kept)
    shell.register_magics(kept)


def remove(shell: Any) -> None:
    """Remove the magics from a shell; what they know is kept for the next time."""
    for kind, names in RunAgentMagics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    loaded = shell.magics_manager.registry.pop(RunAgentMagics.__name__, None)
    if loaded in shell.configurables:
        shell.configurables.remove(loaded)


@magics_class
class RunAgentMagics(Magics):
    """Calls agents from cells."""

    agent = Unicode(help="The agent that %%runagent calls if it names none.").tag(config=True)
    base_url = Unicode(help="The server's base URL.").tag(config=True)
    timeout = CUnicode(help="Seconds for a call; inf for no limit.").tag(config=True)
    format = Enum(FORMATS, "markdown", help="How answers are shown.").tag(config=True)
    price = Unicode(help="The prices of a million tokens: IN,OUT.").tag(config=True)
    cache_path = Unicode(help="The file --cache keeps replies in.").tag(config=True)

    def __init__(self, shell: Any) -> None:
        """Belong to one IPython shell."""
        super().__init__(shell)
        self._shell = shell
        self._sessions: dict[tuple[str, str], str] = {}
        self._clients = Clients(shell)

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @documented
    def runagent(
        self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None
    ) -> Any:
        """Ask an agent, and show its answer as it comes.

        In a cell, everything below the first line is the question::

            %%runagent demo
            What can you do?

        A body that is a JSON object is the input itself, and ``{{expression}}`` is filled in from
        the notebook's variables, as JSON where the body is JSON. The expression is one of Jinja's
        language, and reaches data, not code::

            %%runagent agent-123 --out reply
            {"query": "Which of these stand out?", "rows": {{df.head(20)}}}

        The reply is in ``_`` too: ``_.text``, ``_.value``, ``_.usage``, ``_.to_frame()``.

        On one line, the rest of the line is the question, before or behind options, which are
        filled in, too. ``--`` before the question lets it have dashes of its own::

            reply = %runagent demo --set city={{city}} What can you do there?

        A conversation over several cells, more fields, an answer that comes in the background::

            %%runagent agent-123 --session trip --set city=Rome --bg --proc job
            Where shall we eat?

        For each row of a table, into a new table; with a journal, it goes on after an interrupt::

            %%runagent agent-123 --each df --id review_id --out answers --journal reviews.journal
            Is this review positive? {{text}}

        Interrupt the kernel to stop an answer; the part that came stays.
        """
        options, question = AskOptions.parse(line, is_cell=cell is not None)
        if options.help:
            sys.stdout.write(help_of("runagent"))
            return None
        if cell is None and not line.strip(" ?"):
            sys.stdout.write(_overview())
            return None
        # The local ones are those of the function that calls the magic, if a function does.
        variables = ChainMap(dict(local_ns or {}), self._shell.user_ns)
        try:
            return self._answer(options, question, cell, variables)
        except RunAgentError as exc:
            error = exc
        name_options(error, options.base_url)
        raise shortly(error)

    @no_var_expand
    @line_magic
    @documented
    def runagent_config(self, line: str) -> None:
        """Show and set what `%%runagent` uses where a cell does not say otherwise.

        The same settings are traits: ``%config RunAgentMagics.timeout = "60"``, or
        ``c.RunAgentMagics.timeout = "60"`` in ``ipython_config.py``.
        """
        options = ConfigOptions.parse(line)
        if options.help:
            sys.stdout.write(help_of("runagent_config"))
            return
        try:
            options = options.filled(self._shell.user_ns)
            self._configure(options)
        except RunAgentError as exc:
            error = exc
        else:
            sys.stdout.write(self._facts())
            return
        name_options(error, options.base_url)
        raise shortly(error)

    @no_var_expand
    @line_magic
    def runagent_usage(self, line: str) -> NotebookUsage:
        """Sum up the calls of this notebook: tokens, time and money, for each agent.

        ``u = %runagent_usage`` and ``u.to_frame()`` make a DataFrame of it. ``--reset`` begins
        again. Money is what servers say in a field ``cost``; where they do not, it is counted
        after ``%runagent_config --price IN,OUT``.
        """
        if line.strip() not in {"", "--reset"}:
            raise shortly(ValidationError(f"%runagent_usage takes --reset, not {line!r}."))
        found = usage.so_far()
        if line.strip():
            usage.begin_again()
        return found

    @observe("price")
    def _use_price(self, change: Any) -> None:
        with suppress(ValidationError):  # the next call says what is wrong
            prices.use(prices.Price.parse(change["new"]))

    @property
    def _settings(self) -> Settings:
        return Settings(self.agent, self.base_url, self.timeout, self.format)

    @property
    def _cache(self) -> ReplyCache:
        from runagent_jupyter.cache import ReplyCache, default_path  # noqa: PLC0415 - for --cache

        return ReplyCache(Path(self.cache_path) if self.cache_path else default_path())

    def _configure(self, options: ConfigOptions) -> None:
        settings = Settings() if options.reset else self._settings
        names = ("agent", "base_url", "timeout", "format")
        given = {name: getattr(options, name) for name in names}
        settings = replace(
            settings, **{n: value for n, value in given.items() if value is not None}
        )
        # Nothing is set if the client finds a setting that is not valid.
        settings.probe(options.agent or "-")
        price = options.price
        if price is None:
            price = "" if options.reset else self.price
        prices.Price.parse(price)
        self.price = price
        for name in names:
            setattr(self, name, getattr(settings, name))
        if options.reset:
            self._clients.forget_keys()
        if options.clear_cache:
            self._cache.clear()
        # The key is for the server of all agents but those that this process serves.
        if options.key and not self._clients.enter_key(settings.probe().base_url):
            raise ValidationError(
                "No API key was entered.",
                code="MISSING_API_KEY",
                hint="Where nobody can be asked, set RUNAGENT_API_KEY.",
            )

    def _facts(self) -> str:
        client = self._settings.probe()
        facts = {
            "agent": self.agent or "(named in each cell)",
            "base_url": client.base_url,
            "timeout": f"{client.timeout:g} s",
            "format": self.format,
            "price": f"{self.price} for a million tokens" if self.price else "(not set)",
            "api_key": self._clients.key_source(self._settings),
            "cache": self._cache.path,
        }
        return "".join(f"{name:<9} {value}\n" for name, value in facts.items())

    def _answer(
        self,
        options: AskOptions,
        question: str,
        cell: str | None,
        variables: ChainMap[str, Any],
    ) -> Any:
        options = replace(options, agent=options.agent or self.agent)
        if not options.no_template:
            # The fields of a row are filled in when its turn comes.
            later = () if options.each is None else ("each", "input", "set")
            options = options.filled(variables, but=later)
        if not options.agent:
            raise ValidationError(
                "No agent is named.",
                code="USAGE",
                hint="Name one: %%runagent AGENT. Or set one for this notebook: "
                "%runagent_config --agent AGENT",
            )
        if options.widget:
            return self._open_chat(options, question or (cell or "").strip(), variables)
        return self._ask(options, question, cell, variables)

    def _ask(
        self,
        options: AskOptions,
        question: str,
        cell: str | None,
        variables: ChainMap[str, Any],
    ) -> Any:
        is_cell = cell is not None
        prices.Price.parse(self.price)
        options.check(question, is_cell=is_cell)
        body = (question if cell is None else cell).rstrip("\n")
        if options.each is not None:
            return self._ask_each(options, body, variables, is_cell=is_cell)
        session = self._session_id(options)
        model = model_of(options.model, variables) if options.model else None
        reply = Reply(options.agent, input_of(options, body, variables, session))
        reply.format = options.format or self.format
        if not options.quiet or is_cell or is_last_line(self._shell):
            reply._shown_in = request_id(self._shell)  # noqa: SLF001 - the two belong together
        cache = self._cache if options.cache else None
        key = cache.key(self._cache_question(options, reply)) if cache else ""
        try:
            is_kept = cache is not None and cache.find(key, reply)
        except ValidationError as exc:  # the agent can be asked all the same
            cache, is_kept = None, False
            _pass_over_cache(exc)
        if is_kept:
            reply.read_as(model)
            self._display(options, reply, is_cell=is_cell).end(reply)
            self._put(options.out, reply)
            if options.bg:
                return self._hand_over_job(options, Job(reply), is_cell=is_cell)
            return self._hand_over(options, reply, is_cell=is_cell)
        client = self._clients.make(options, self._settings)
        display = self._display(options, reply, is_cell=is_cell)
        request = CellRequest(
            client, reply, display, entrypoint=options.entrypoint, streams=options.streams
        )

        def end(reply: Reply) -> None:
            if reply.error is not None:
                self._explain(reply.error, options, client.base_url)
            self._put(options.out, reply)
            if cache and not reply.stopped and reply.error is None:
                try:
                    cache.keep(key, reply)
                except ValidationError as exc:  # the answer is there all the same
                    _pass_over_cache(exc)
            reply.read_as(model)

        if options.bg:
            return self._hand_over_job(options, Job(reply, request, end), is_cell=is_cell)
        if request.run(end):
            self._shell.displayhook.update_user_ns(reply)
            told = f"stopped after {reply.elapsed:.1f} s; the part that came is in _"
            raise shortly(KeyboardInterrupt(), told)
        return self._hand_over(options, reply, is_cell=is_cell)

    def _ask_each(
        self, options: AskOptions, body: str, variables: ChainMap[str, Any], *, is_cell: bool
    ) -> Any:
        """Ask about each row of a table; return the table with the answers to a line."""
        from runagent_jupyter.each.run import EachJob, EachRun, prepare  # noqa: PLC0415 - for --each

        prepared = prepare(options, body, variables)
        client = self._clients.make_blocking(options, self._settings)
        run = EachRun(self._shell, client, prepared, shows_rows=is_cell)

        def end(run: EachRun) -> None:
            if isinstance(run.error, RunAgentError):
                self._explain(run.error, options, client.base_url)
            self._put(options.out, run.answers)

        if options.bg:
            return self._hand_over_job(options, EachJob(run, end), is_cell=is_cell)
        was_interrupted = run.run(end)
        answers = run.answers
        self._shell.displayhook.update_user_ns(answers)
        if was_interrupted:
            raise shortly(KeyboardInterrupt(), run.how_to_go_on())
        if run.error is not None:
            if not (options.no_raise_error and isinstance(run.error, RunAgentError)):
                raise run.error
            sys.stderr.write(f"{summary(run.error)}\n")
        return None if is_cell else answers

    def _explain(self, error: RunAgentError, options: AskOptions, base_url: str) -> None:
        """Add what the notebook knows about an error to its message."""
        if isinstance(error, AuthenticationError):
            self._clients.forget_key(base_url)  # perhaps it was mistyped
        if isinstance(error, AgentNotFoundError) and not options.base_url:
            say_what_is_served(error, options.agent)
        name_options(error, options.base_url)

    def _put(self, name: str | None, value: object) -> None:
        """Put a value into the variable of that name, if a name is given."""
        if name:
            self._shell.user_ns[name] = value

    def _hand_over_job(self, options: AskOptions, job: J, *, is_cell: bool) -> J | None:
        """Return the job to the line, or leave it in `_`."""
        self._put(options.proc, job)
        if not (options.quiet or has_kernel(self._shell)):
            # In a terminal, the answer would come into the middle of the user's typing.
            how = f"{options.proc or '_'}.wait() shows it"
            sys.stdout.write(f"{options.agent} answers in the background; {how}.\n")
        if not is_cell:
            self._leave_in_underscore(job)
            return job
        self._shell.displayhook.update_user_ns(job)
        return None

    def _hand_over(self, options: AskOptions, reply: Reply, *, is_cell: bool) -> Reply | None:
        """Return the reply, leave it in `_` alone, or raise its error."""
        if reply.error is not None:
            if not options.no_raise_error:
                self._shell.displayhook.update_user_ns(reply)
                raise reply.error
            sys.stderr.write(f"{summary(reply.error)}\n")
        if is_cell and not has_kernel(self._shell):
            # A terminal would print an empty Out[…] prompt below the answer.
            self._shell.displayhook.update_user_ns(reply)
            return None
        if not is_cell:
            self._leave_in_underscore(reply)
        pass_over_shown(self._shell)
        return reply

    def _leave_in_underscore(self, value: object) -> None:
        """Put the value of a line into `_` where IPython does not: in loops and assignments."""
        if not is_last_line(self._shell):
            self._shell.displayhook.update_user_ns(value)

    def _display(self, options: AskOptions, reply: Reply, *, is_cell: bool) -> Display:
        from runagent_jupyter.outputs.display import display_for  # noqa: PLC0415 - for the first answer

        return display_for(
            self._shell,
            options.agent,
            variable=self._variable(options, is_cell=is_cell),
            # Other cells write while an answer comes in the background.
            owns_cell=is_cell and not options.bg and is_whole_cell(self._shell),
            rendered=reply.format == "markdown",
            quiet=options.quiet,
            background=options.bg,
        )

    def _variable(self, options: AskOptions, *, is_cell: bool) -> str:
        """Name the variable that has the reply in the end, as far as it is known."""
        if options.bg:
            return f"{options.proc or '_'}.reply"
        is_value = is_whole_cell(self._shell) if is_cell else is_last_line(self._shell)
        return options.out or ("_" if is_value else "the reply")

    def _open_chat(self, options: AskOptions, question: str, variables: Mapping[str, Any]) -> Any:
        options.check_for_chat(question)
        from runagent_jupyter.widget import AgentWidget  # noqa: PLC0415 - loads ipywidgets

        context = chat_context(options, variables)
        widget = AgentWidget(
            self._clients.make(options, self._settings),
            context=context,
            field=options.field,
            entrypoint=options.entrypoint,
            session_id=self._session_id(options),
        )
        self._put(options.out, widget)
        return widget

    def _session_id(self, options: AskOptions) -> str | None:
        """Return the id of the session that `--session` names; a new name begins a new session."""
        if not options.session:
            return None
        return self._sessions.setdefault((options.agent, options.session), uuid.uuid4().hex)

    def _cache_question(self, options: AskOptions, reply: Reply) -> dict[str, Any]:
        """Return everything that may shape an answer; how it is shown does not."""
        return {
            "agent": options.agent,
            "server": server_of(options, self._settings),
            "entrypoint": options.entrypoint,
            "stream": not options.no_stream,
            "headers": options.headers(),
            "input": reply.input_data,
        }


def _pass_over_cache(error: ValidationError) -> None:
    sys.stderr.write(f"--cache is passed over. {strip_controls(error.message)} {error.hint}\n")


def _overview() -> str:
    return (
        "%%runagent AGENT         ask, with the question below; the answer streams into the cell\n"
        "%runagent AGENT ...      ask on one line\n"
        "%runagent AGENT --widget a chat\n"
        "%runagent_usage          calls, tokens, time and money of this notebook\n"
        "%runagent_config         show and set the server, the timeout, the agent, the key\n"
        "%runagent?               all options\n"
        f"Served in this process: {', '.join(agent_ids())}\n"
    )
