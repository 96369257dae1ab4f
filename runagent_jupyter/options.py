"""The options of the magics: their grammar, their parsers, and the rules between them."""

from __future__ import annotations

import json
import keyword
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

from runagent import RunAgentError, ValidationError
from runagent_jupyter.failure import shortly
from runagent_jupyter.template import fill

if TYPE_CHECKING:
    from typing_extensions import Self

FORMATS = ("markdown", "text", "json", "code")

# A word, or KEY=VALUE with a value that may be quoted as a whole.
_TOKEN = re.compile(r"""\s*(?:([^\s"'=:]+[=:])?(?:"((?:[^"\\]|\\.)*)"|'([^']*)')(?=\s|\Z)|(\S+))""")

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
            raise _misused(magic, exc) from None
        values = {n: tuple(v) if isinstance(v, list) else v for n, v in vars(found).items()}
        return cls(**values)

    def filled(self, variables: Mapping[str, Any]) -> Self:
        """Return the options with the value of each `{{expression}}` in them.

        Args:
            variables: The variables that expressions may name.

        Raises:
            ValidationError: An expression is not valid, fails or names an unknown variable.
        """
        changed: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, str) and "{{" in value:
                changed[name] = fill(value, variables)
            elif isinstance(value, tuple):
                changed[name] = tuple(fill(v, variables) if "{{" in v else v for v in value)
        return replace(self, **changed)


@dataclass(frozen=True)
class AskOptions(_Options):
    """The options of `%%runagent`. Each field is one option, with its name and its help."""

    agent: str = _option("agent", default="", nargs="?", help="The agent's id; `demo` is built in.")
    out: str | None = _option("--out", metavar="NAME", help="Put the reply into this variable.")
    field: str = _option(
        "--field", default="query", metavar="KEY", help="Send text as this field. Default: query."
    )
    input: str | None = _option(
        "--input", metavar="NAME", help="Send this variable: a dictionary, or a field's value."
    )
    set: tuple[str, ...] = _option(
        "--set",
        default=(),
        metavar="KEY=VALUE",
        action="append",
        help="Add a field; JSON or text.",
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
        "--timeout", metavar="SECONDS", help="For this call; inf for no limit."
    )
    header: tuple[str, ...] = _option(
        "--header", default=(), metavar="NAME:VALUE", action="append", help="Send this header."
    )
    base_url: str | None = _option(
        "--base-url", metavar="URL", help="Call the agent on this server."
    )
    stream: bool = _flag("--stream", "Show the answer as it comes; the default.")
    no_stream: bool = _flag("--no-stream", "Ask for the answer in one piece.")
    format: str | None = _option(
        "--format", choices=FORMATS, help="How the answer is shown. Default: markdown."
    )
    cache: bool = _flag(
        "--cache", "Keep the reply in a local file, and take it from there the next time."
    )
    bg: bool = _flag("--bg", "Return at once; the answer streams into the cell.")
    proc: str | None = _option(
        "--proc",
        metavar="NAME",
        help="With --bg: put the handle that waits for the answer and stops it here.",
    )
    widget: bool = _flag("--widget", "Open a chat with the agent.")
    quiet: bool = _flag("--quiet", "Show nothing; the reply is in _ and --out.")
    no_raise_error: bool = _flag("--no-raise-error", "Show a failure, and go on.")

    @classmethod
    def parse(cls, line: str) -> tuple[Self, str]:
        """Split the line of a magic.

        Args:
            line: The text behind `%%runagent`.

        Returns:
            The options, and the question that follows the agent's id.

        Raises:
            ValidationError: An option is unknown, or its value is missing or not allowed.
        """
        valued = {
            name
            for action in parser_of("runagent")._actions  # noqa: SLF001 - nothing public
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
        return cls._parsed("runagent", words), line[position:].strip()

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
                raise ValidationError(f"--set {assignment!r} is not KEY=VALUE.", code="USAGE")
            try:
                data[key] = json.loads(value)
            except ValueError:
                data[key] = value
        return data

    def headers(self) -> dict[str, str]:
        """Return the headers that `--header` adds, by name.

        Raises:
            ValidationError: One is not NAME:VALUE.
        """
        headers = {}
        for header in self.header:
            name, colon, value = header.partition(":")
            if not colon:
                raise ValidationError(f"--header {name!r} is not NAME:VALUE.", code="USAGE")
            headers[name.strip()] = value.strip()
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
        if self.proc and not self.bg:
            raise ValidationError("--proc is only for --bg.", code="USAGE")

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
        others = "text no_template stream no_stream format cache bg proc quiet no_raise_error"
        given = [f"--{n.replace('_', '-')}" for n in others.split() if getattr(self, n)]
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
        "--timeout", metavar="SECONDS", help="For a call; inf for no limit."
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
        try:
            words = shlex.split(line)
        except ValueError as exc:  # a quotation without an end
            raise _misused("runagent_config", exc) from None
        return cls._parsed("runagent_config", words)


def name_options(error: RunAgentError, base_url: str | None) -> None:
    """Make the message of a client name options of the magic instead of arguments.

    Args:
        error: The client's error; its message and hint are changed.
        base_url: The value of `--base-url`, if it is given.
    """
    for argument, option in {
        "the api_key argument": "the prompt of this notebook; the next call asks for it again",
        "the base_url argument": "--base-url" if base_url else "%runagent_config",
        "timeout= ": "--timeout ",
        "timeout='": "--timeout '",
        "pass allow_http=True": "set RUNAGENT_ALLOW_HTTP=1",
    }.items():
        error.hint = error.hint and error.hint.replace(argument, option)
        if error.code == "INVALID_SETTING":
            error.message = error.message.replace(argument, option)


def documented(function: F) -> F:
    """Put the help of a magic's options behind its docstring; `%runagent?` shows both."""
    parser = parser_of(function.__name__)
    parser.description = function.__doc__
    function.__doc__ = parser.format_help()
    return function


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


def _misused(magic: str, problem: Exception) -> ValidationError:
    error = ValidationError(
        f"%{magic}: {problem}.", code="USAGE", hint=f"%{magic}? lists the options."
    )
    return shortly(error)


_PARSERS = {
    "runagent": _parser("runagent", AskOptions),
    "runagent_config": _parser("runagent_config", ConfigOptions),
}
