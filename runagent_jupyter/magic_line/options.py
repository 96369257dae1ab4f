"""The options of the magics: their grammar, their parsers, and the rules between them."""

from __future__ import annotations

import argparse
import json
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

from runagent import RunAgentError, ValidationError
from runagent_jupyter.magic_line.reader import LineReader, misused
from runagent_jupyter.templates.template import fill, fill_assignment

if TYPE_CHECKING:
    from typing_extensions import Self

FORMATS = ("markdown", "wrapped", "text", "json", "code")
"""How an answer can be shown. `wrapped` is Markdown in which the end of a line is a space."""

_CONSTANTS = {"True": True, "False": False, "None": None}
"""Words of Python that --set understands besides JSON."""

_UNITS = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|sec|s|min|m|h)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")

F = TypeVar("F", bound=Callable[..., Any])


def _option(*names: str, default: Any = None, **settings: Any) -> Any:
    """Make a field of an option; the names and settings are those of argparse."""
    return field(default=default, metadata={"names": names, "settings": settings})


def _flag(name: str, description: str) -> Any:
    return _option(name, default=False, action="store_true", help=description)


@dataclass(frozen=True)
class _Options:
    """Options as a line gives them."""

    @classmethod
    def _parsed(cls, magic: str, words: list[str]) -> Self:
        try:
            found = parser_of(magic).parse_args(words)
        except UsageError as exc:
            raise misused(magic, exc) from None
        values = {n: tuple(v) if isinstance(v, list) else v for n, v in vars(found).items()}
        return cls(**values)

    def filled(self, variables: Mapping[str, Any], *, but: Sequence[str] = ()) -> Self:
        """Return the options with the value of each `{{expression}}` in them.

        Args:
            variables: The variables that expressions may name.
            but: The names of options that are left as they are.

        Raises:
            ValidationError: An expression is not valid, fails or names an unknown variable.
        """
        changed: dict[str, Any] = {}
        for name, value in vars(self).items():
            if name in but:
                continue
            if isinstance(value, str) and "{{" in value:
                changed[name] = fill(value, variables)
            elif isinstance(value, tuple):
                # A value of --set may be a table, which text would spoil; those of --input are
                # expressions anyway.
                write = fill_assignment if name == "set" else fill
                changed[name] = tuple(
                    write(text, variables)
                    if "{{" in text and not (name == "input" and "=" in text)
                    else text
                    for text in value
                )
        return replace(self, **changed)


@dataclass(frozen=True)
class AskOptions(_Options):
    """The options of `%%runagent`. Each field is one option, with its name and its help."""

    agent: str = _option("agent", default="", nargs="?", help="The agent's id; `demo` is built in.")
    out: str | None = _option("--out", metavar="NAME", help="Put the reply into this variable.")
    field: str = _option(
        "--field", default="query", metavar="KEY", help="Send text as this field. Default: query."
    )
    input: tuple[str, ...] = _option(
        "--input",
        default=(),
        metavar="NAME",
        action="append",
        help="Send this variable along under its name, or NAME=EXPRESSION; a dictionary that is "
        "the only one is the input itself.",
    )
    set: tuple[str, ...] = _option(
        "--set",
        default=(),
        metavar="KEY=VALUE",
        action="append",
        help="Add a field; JSON or text. In quotes it is text, and may have spaces.",
    )
    text: bool = _flag("--text", "Send the body as text, even if it begins with {.")
    no_template: bool = _flag("--no-template", "Send {{ and }} as they are; fill nothing in.")
    session: str | None = _option(
        "--session", metavar="NAME", help="Keep a conversation over cells."
    )
    entrypoint: str | None = _option(
        "--entrypoint", metavar="TAG", help="Call this entrypoint of `runagent serve`."
    )
    # Text, because the client checks it and reads `inf` too.
    timeout: str | None = _option(
        "--timeout", metavar="SECONDS", help="Limit this call: 90, 90s, 2m, 1h; inf for no limit."
    )
    header: tuple[str, ...] = _option(
        "--header", default=(), metavar="NAME:VALUE", action="append", help="Send this header."
    )
    base_url: str | None = _option(
        "--base-url", metavar="URL", help="Call the agent on this server."
    )
    model: str | None = _option(
        "--as",
        dest="model",
        metavar="MODEL",
        help="Read the answer into this pydantic model or dataclass, or list[MODEL].",
    )
    stream: bool = _flag("--stream", "Show the answer as it comes; the default.")
    no_stream: bool = _flag("--no-stream", "Ask for the answer in one piece.")
    format: str | None = _option(
        "--format", choices=FORMATS, help="How the answer is shown. Default: markdown."
    )
    cache: bool = _flag(
        "--cache", "Keep the reply in a local file, and take it from there the next time."
    )
    each: str | None = _option(
        "--each",
        metavar="TABLE",
        help="Ask about each row of this DataFrame or list; {{column}} in the body is filled in.",
    )
    id: str | None = _option(
        "--id", metavar="COLUMN", help="The column that identifies a row in the journal."
    )
    journal: str | None = _option(
        "--journal",
        metavar="FILE",
        help="Keep the answers of --each in this file, and go on there after an interrupt.",
    )
    output: str | None = _option(
        "--output",
        metavar="COLUMN",
        help="The new column of --each; or fields of the answer as columns: FIELD,FIELD=COLUMN. "
        "Default: output.",
    )
    rate: str | None = _option(
        "--rate", metavar="RATE", help="The server's limit if you know it: 50/s or 3000/min."
    )
    max_concurrency: int | None = _option(
        "--max-concurrency", metavar="N", type=int, help="Rows under way at the same time, at most."
    )
    fresh: bool = _flag("--fresh", "Ask all rows again, those of the journal too.")
    retry_failed: bool = _flag("--retry-failed", "Ask those rows again that failed before.")
    bg: bool = _flag("--bg", "Return at once; the answer comes while other cells run.")
    proc: str | None = _option(
        "--proc",
        metavar="NAME",
        help="Put the handle of --bg here: it waits for the answer, and stops it.",
    )
    widget: bool = _flag("--widget", "Open a chat with the agent.")
    quiet: bool = _flag("--quiet", "Show nothing; the reply is in _ and --out.")
    no_raise_error: bool = _flag("--no-raise-error", "Show a failure, and go on.")
    help: bool = _flag("--help", "Show this text, and ask nothing.")

    @classmethod
    def parse(cls, line: str, *, is_cell: bool = False) -> tuple[Self, str]:
        """Split the line of a magic.

        Args:
            line: The text behind `%%runagent`.
            is_cell: Whether the magic has a cell below its line.

        Returns:
            The options, and the question behind the agent's id.

        Raises:
            ValidationError: An option is unknown, or its value is missing or not allowed.
        """
        reader = _reader("runagent", line)
        question = reader.read(positions=1, is_cell=is_cell)
        return cls._parsed("runagent", reader.words), question

    @property
    def streams(self) -> bool:
        """Whether the answer is asked for as a stream."""
        return not self.no_stream and (self.entrypoint or "_stream").endswith("_stream")

    def fields(self) -> dict[str, Any]:
        """Return the fields that `--set` adds, as JSON values or text.

        Raises:
            ValidationError: One is not KEY=VALUE.
        """
        data: dict[str, Any] = {}
        for assignment in self.set:
            key, equals, value = assignment.partition("=")
            if not (key and equals):
                raise ValidationError(
                    f"--set {assignment!r} is not KEY=VALUE.",
                    code="USAGE",
                    hint="Write it without spaces around the equals sign: "
                    f"--set {assignment.strip('=') or 'KEY'}=VALUE",
                )
            if key in data:
                raise ValidationError(f"--set gives the field {key!r} twice.", code="USAGE")
            data[key] = _json_or_text(value)
        return data

    def headers(self) -> dict[str, str]:
        """Return the headers that `--header` adds, by name.

        Raises:
            ValidationError: One is not NAME:VALUE.
        """
        headers: dict[str, str] = {}
        for header in self.header:
            name, colon, value = header.partition(":")
            if not colon:
                raise ValidationError(f"--header {name!r} is not NAME:VALUE.", code="USAGE")
            name = name.strip()
            if name.lower() in map(str.lower, headers):
                raise ValidationError(f"--header gives {name!r} twice.", code="USAGE")
            headers[name] = value.strip()
        return headers

    def check(self, question: str, *, is_cell: bool) -> None:
        """Check the options of a call against each other.

        Args:
            question: The question on the line.
            is_cell: Whether the magic has a cell below its line.

        Raises:
            ValidationError: Two of them contradict each other, or a name is not valid.
        """
        if is_cell and question:
            raise ValidationError(
                f"%%runagent {self.agent}: {question!r} stands where options are expected.",
                code="USAGE",
                hint="The question goes below the first line.",
            )
        self._check_each(is_cell=is_cell)
        contradictions = {
            "--stream and --no-stream": self.stream and self.no_stream,
            "--cache and --session": self.cache and self.session,  # it depends on earlier answers
        }
        for both, given in contradictions.items():
            if given:
                raise ValidationError(f"{both} exclude each other.", code="USAGE")
        for option, name in (("--out", self.out), ("--proc", self.proc)):
            if name is not None and (not name.isidentifier() or keyword.iskeyword(name)):
                raise ValidationError(
                    f"{option} {name!r} is not the name of a variable.", code="USAGE"
                )
        if not self.field.strip():
            raise ValidationError("--field needs the name of a field.", code="USAGE")
        if self.proc and not self.bg:
            raise ValidationError("--proc is only for --bg.", code="USAGE")

    def _check_each(self, *, is_cell: bool) -> None:
        """Check the options of `--each`, which others do not go with."""
        if self.each is None:
            given = self._given("id journal output rate max_concurrency fresh retry_failed")
            if given:
                verb = "is" if len(given) == 1 else "are"
                raise ValidationError(
                    f"{' and '.join(given)} {verb} only for --each TABLE.", code="USAGE"
                )
            return
        given = self._given("widget cache session stream no_stream format")
        if given:
            hint = "--journal FILE keeps the answers of --each." if self.cache else None
            raise ValidationError(
                f"{' and '.join(given)} cannot be used with --each.", code="USAGE", hint=hint
            )
        if is_cell and not self.out:
            raise ValidationError(
                "--each needs --out NAME, a variable for the table with the answers.",
                code="USAGE",
                hint=f"Add --out answers to the line: %%runagent {self.agent} --each {self.each} "
                "--out answers",
            )

    def _given(self, names: str) -> list[str]:
        """Return those of some options that are given."""
        return [
            f"--{n.replace('_', '-')}"
            for n in names.split()
            if getattr(self, n) is not None and getattr(self, n) is not False
        ]

    @property
    def outputs(self) -> str | dict[str, str]:
        """The new column of `--each`, or the answer's fields with a column for each."""
        text = self.output or "output"
        if "," not in text and "=" not in text:
            return text.strip()
        parts = [part.partition("=") for part in text.split(",") if part.strip()]
        return {field.strip(): (column or field).strip() for field, _, column in parts}

    def check_for_chat(self, question: str) -> None:
        """Check that a chat understands all options that are given.

        Args:
            question: The question on the line or in the cell.

        Raises:
            ValidationError: There is a question, or an option that a chat does not have.
        """
        if question:
            raise ValidationError(
                f"--widget opens a chat, and {question[:80]!r} is not an option.",
                code="USAGE",
                hint="Ask in the chat.",
            )
        given = self._given(
            "text no_template stream no_stream format cache each bg proc quiet no_raise_error"
        )
        given += ["--as"] if self.model else []
        if given:
            raise ValidationError(
                f"{' and '.join(given)} cannot be used with --widget.", code="USAGE"
            )


@dataclass(frozen=True)
class ConfigOptions(_Options):
    """The options of `%runagent_config`. Each field is one option, with its name and its help."""

    agent: str | None = _option(
        "--agent", metavar="ID", help="The agent that %%%%runagent calls if it names none."
    )
    base_url: str | None = _option("--base-url", metavar="URL", help="The server's base URL.")
    timeout: str | None = _option(
        "--timeout", metavar="SECONDS", help="Limit each call: 90, 90s, 2m, 1h; inf for no limit."
    )
    format: str | None = _option("--format", choices=FORMATS, help="How answers are shown.")
    price: str | None = _option(
        "--price",
        metavar="IN,OUT",
        help="The prices of a million input and output tokens, to show what answers cost.",
    )
    key: bool = _flag("--key", "Ask for the API key, out of the notebook's sight.")
    reset: bool = _flag("--reset", "Return to the settings of the environment and of files.")
    clear_cache: bool = _flag("--clear-cache", "Forget the replies that --cache kept.")
    help: bool = _flag("--help", "Show this text, and set nothing.")

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read the line of the magic.

        Args:
            line: The text behind `%runagent_config`.

        Returns:
            The options.

        Raises:
            ValidationError: An option is unknown, or its value is missing or not allowed.
        """
        reader = _reader("runagent_config", line)
        rest = reader.read(positions=0)
        if rest:
            near = f"--{rest.split()[0]}"
            raise misused(
                "runagent_config",
                f"{rest!r} is not an option",
                f"Did you mean {near}?"
                if near in parser_of("runagent_config").format_help()
                else "",
                is_list=True,
            )
        return cls._parsed("runagent_config", reader.words)


def name_options(error: RunAgentError, base_url: str | None) -> None:
    """Make the message of a client name options of the magic instead of arguments.

    Args:
        error: The client's error; its message and hint are changed.
        base_url: The value of `--base-url`, if it is given.
    """
    for argument, option in {
        "the api_key argument": "%runagent_config --key; enter it again there",
        "the base_url argument": "--base-url" if base_url else "%runagent_config",
        "base_url= or RUNAGENT_API_URL": "--base-url or %runagent_config",
        "timeout= ": "--timeout ",
        "timeout='": "--timeout '",
        "max_concurrency=": "--max-concurrency ",
        "rate='": "--rate '",
        "response_model=": "--as ",
        "pass allow_http=True": "set RUNAGENT_ALLOW_HTTP=1",
        "pass verify_ssl= the path of": "set SSL_CERT_FILE to the path of",
        "Use run_generic or run_generic_stream": "Leave --entrypoint out",
    }.items():
        error.hint = error.hint and error.hint.replace(argument, option)
        if error.code == "INVALID_SETTING":
            error.message = error.message.replace(argument, option)
    if error.code == "INVALID_SETTING" and "number of seconds" in error.message:
        error.hint = "Write 90, 90s, 2m or 1h; inf for no limit."


def seconds_of(duration: str) -> str:
    """Return a duration such as `2m` in seconds.

    Args:
        duration: A number with a unit: `ms`, `s`, `m` or `h`; or several, as in `1h30m`.

    Returns:
        The seconds, as text; a text that is no such duration as it is.
    """
    text = "".join(duration.lower().split())
    if not text or not _DURATION.fullmatch(text):
        return duration
    seconds = sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(text))
    return f"{seconds:.15g}"


def _json_or_text(value: str) -> Any:
    if value in _CONSTANTS:
        return _CONSTANTS[value]
    try:
        return json.loads(value, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")  # so it is text


def documented(function: F) -> F:
    """Put the help of a magic's options behind its docstring; `%runagent?` shows both."""
    parser = parser_of(function.__name__)
    parser.description = function.__doc__
    parser.usage = argparse.SUPPRESS  # the purpose and the examples come first
    function.__doc__ = parser.format_help()
    return function


def help_of(magic: str) -> str:
    """Return the help of a magic, as `%magic?` shows it."""
    return parser_of(magic).format_help()


def parser_of(magic: str) -> MagicArgumentParser:
    """Return the parser of a magic's options."""
    return _PARSERS[magic]


def _parser(magic: str, options: type[_Options]) -> MagicArgumentParser:
    parser = MagicArgumentParser(magic)
    parser.allow_abbrev = False  # the line is split before the parser sees it, by whole names
    for option in fields(options):
        settings: Mapping[str, Any] = option.metadata["settings"]
        names: Sequence[str] = option.metadata["names"]
        default = list(option.default) if isinstance(option.default, tuple) else option.default
        parser.add_argument(*names, default=default, **settings)
    return parser


def _reader(magic: str, line: str) -> LineReader:
    def options_of(name: str) -> dict[str, Any]:
        return parser_of(name)._option_string_actions  # noqa: SLF001 - nothing public

    others = {option: name for name in _PARSERS if name != magic for option in options_of(name)}
    return LineReader(magic, line, options_of(magic), others)


_PARSERS = {
    "runagent": _parser("runagent", AskOptions),
    "runagent_config": _parser("runagent_config", ConfigOptions),
}
