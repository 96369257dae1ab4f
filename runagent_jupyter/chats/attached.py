"""The files, pictures and values that go along with a question of a chat."""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runagent import RunAgentError, ValidationError, attachment
from runagent.attachments import LARGEST, LARGEST_TOGETHER
from runagent.encode import to_json
from runagent_jupyter.reply import Reply
from runagent_jupyter.templates.kinds import kind_of, least_bytes

MOST = 100
"""Attachments of one question."""

_LIMITS = (
    f"A question takes {MOST} files, with {LARGEST // 1_000_000} MB each at most and "
    f"{LARGEST_TOGETHER // 1_000_000} MB together, and no folders."
)

BOUNDS = [MOST, LARGEST, LARGEST_TOGETHER, _LIMITS]
"""What a page checks before it sends anything: the number of files, and their bytes; in words."""

KEPT = 200_000_000
"""Bytes of attachments that a chat keeps in memory, so that they can be sent again."""

ATTACHMENTS = "attachments"
"""The field of an input that carries what is attached."""

_FILE = frozenset({"mime", "data"})

_LONGEST_NAME = 100
_NAME_END = 30
"""Characters of a long name, and of its end, which says the type of a file."""

# Controls, among them those that reorder a line, and halves of characters.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


@dataclass
class Attached:
    """A file, a picture or a value that went along with a question.

    >>> chat = AgentWidget("reader")  # an agent that takes attachments
    >>> answer = chat.ask("What is this?", attach={"note.txt": b"Hello"})
    >>> chat.turns[0].attachments
    [Attached(name='note.txt', kind='text/plain', size=5, is_variable=False)]

    Attributes:
        name: The name of the file or the variable, or a name for a value that has none.
        kind: The media type of a file, such as `"image/png"`, or what a value is, such as
            `"list of 3"`.
        size: Its bytes; those of its JSON, if it is a value.
        is_variable: Whether it is a variable of the notebook that the question names with `@`.
        content: The form in which it was sent; `None` if it is not kept any more. It is not
            written to files, and only the newest 200 MB of a chat are kept in memory.
    """

    name: str
    kind: str
    size: int
    is_variable: bool = False
    content: Any = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        """What people read: its name and its kind or size."""
        if self.is_variable:
            return f"@{self.name} · {self.kind}"
        about = readable(self.size) if "/" in self.kind else self.kind
        return f"{self.name} · {about}"


def attached(values: Any) -> list[Attached]:
    """Prepare what `ask` was given to go along with a question.

    Args:
        values: A list, or a dictionary with a name for each: paths of files, bytes, matplotlib
            figures, PIL images, and any other values that JSON can express, such as tables.

    Returns:
        An attachment for each.

    Raises:
        TypeError: It is neither a list nor a dictionary.
        ValidationError: A file cannot be read, a value cannot be sent, or one is too large.
    """
    if isinstance(values, Mapping):
        return [_of(value, f"attach[{name!r}]", str(name)) for name, value in values.items()]
    if not isinstance(values, (list, tuple)):
        kind = type(values).__name__
        raise TypeError(f"attach is a {kind}; give a list, such as attach=[df, 'plot.png'].")
    return [_of(value, f"attach[{index}]") for index, value in enumerate(values)]


def file_of(name: str, content: bytes) -> Attached:
    """Prepare a file that a page has sent.

    Raises:
        ValidationError: It is too large.
    """
    name = clean_name(name)
    try:
        return _file(attachment(content, name), name)
    except ValueError as exc:
        raise _invalid(name, exc) from None


def variable_of(name: str, value: Any) -> Attached:
    """Prepare a variable of the notebook.

    Raises:
        ValidationError: It cannot be sent, or is too large.
    """
    return _value(value, name, f"@{name}", is_variable=True)


def explain_refusal(error: RunAgentError) -> None:
    """Add a hint to the error of an agent that takes no attachments."""
    if f"'{ATTACHMENTS}'" in error.message and error.hint is None:
        error.hint = (
            "The agent takes no attachments. Give its function a parameter "
            f"{ATTACHMENTS}=(), or ask without them."
        )


def fields_of(items: Sequence[Attached], name: str) -> dict[str, Any]:
    """Return attachments as fields of an input.

    Args:
        items: The attachments.
        name: The field of those that are not variables.

    Returns:
        A field for each variable under its own name, and one with a list of all others.

    Raises:
        ValidationError: There are too many, they are too large together, or one is not kept.
    """
    check(items)
    for item in items:
        if item.content is None:
            raise ValidationError(
                f"The content of {item.name!r} is not kept any more, so it cannot be sent again.",
                code="INVALID_INPUT",
                hint="Press Edit, take it away, and attach it anew.",
            )
    fields = {item.name: item.content for item in items if item.is_variable}
    others = [item for item in items if not item.is_variable]
    if not others:
        return fields
    if name in fields:
        raise ValidationError(
            f"@{name} and the other attachments are both the field {name!r}.",
            code="INVALID_INPUT",
            hint="Give the variable another name.",
        )
    names = _distinct([item.name for item in others])
    sent = [{"name": own, **item.content} for own, item in zip(names, others, strict=True)]
    return {**fields, name: sent}


def check(items: Sequence[Attached]) -> None:
    """Check that attachments may go along with one question.

    Raises:
        ValidationError: There are too many, or they are too large together.
    """
    size = sum(item.size for item in items)
    problem = ""
    if len(items) > MOST:
        problem = f"There are {len(items):,} attachments, and a question takes at most {MOST}"
    elif size > LARGEST_TOGETHER:
        problem = (
            f"The attachments have {size / 1e6:,.1f} MB together, and a question takes at most "
            f"{LARGEST_TOGETHER // 1_000_000} MB"
        )
    if problem:
        raise ValidationError(
            f"{problem}.", code="INVALID_INPUT", hint="Attach fewer or smaller ones."
        )


def forget_oldest(items: Iterable[Attached]) -> None:
    """Forget the content of old attachments, so that a chat keeps a bounded amount of them.

    Args:
        items: All attachments of a chat, the oldest first. One that went along again is there
            several times.
    """
    kept = 0
    newest_first = {id(item): item for item in reversed(list(items))}
    for item in newest_first.values():
        kept += 0 if item.content is None else item.size
        if kept > KEPT:
            item.content = None


def readable(size: int) -> str:
    """Write a number of bytes for people to read."""
    return f"{-(-size // 1_000)} kB"


def clean_name(name: str) -> str:
    """Return the name of a file without folders and without characters that nobody sees."""
    parts = [part.strip() for part in re.split(r"[/\\]", _UNSEEN.sub("", name))]
    name = next((part for part in reversed(parts) if part.strip(".")), "file")
    if len(name) > _LONGEST_NAME:
        return f"{name[: _LONGEST_NAME - _NAME_END - 1]}…{name[-_NAME_END:]}"
    return name


def _of(value: Any, shown: str, name: str = "") -> Attached:
    name = clean_name(name) if name else ""
    if not isinstance(value, (str, Path, bytes, bytearray, memoryview)):
        return _value(value, name, shown)
    if isinstance(value, (str, Path)):
        name = name or clean_name(Path(value).name)
    try:
        return _file(attachment(value, name), name)
    except ValueError as exc:
        raise _invalid(shown, exc) from None


def _file(made: dict[str, str], name: str) -> Attached:
    if not name:
        base = "image" if made["mime"].startswith("image/") else "file"
        name = base + (mimetypes.guess_extension(made["mime"]) or "")
    data = made["data"]
    size = len(data) // 4 * 3 - data[-2:].count("=")
    return Attached(name, made["mime"], size, content=made)


def _value(value: Any, name: str, shown: str, *, is_variable: bool = False) -> Attached:
    """Prepare a value as it is now; what becomes of it later changes nothing in the question."""
    value = value.value if isinstance(value, Reply) else value
    if isinstance(value, (Path, bytes, bytearray, memoryview)):
        try:
            value = attachment(value)
        except ValueError as exc:
            raise _invalid(shown, exc) from None
    # To find out from its JSON that a table is far too large would take long.
    encoded = b"" if least_bytes(value) > LARGEST else to_json(value, shown)
    if not 0 < len(encoded) <= LARGEST:
        raise ValidationError(
            f"{shown} has more than {LARGEST // 1_000_000} MB, which is too much for a question.",
            code="INVALID_INPUT",
            hint="Send a part of it, such as one that df.head(1000) gives.",
        )
    plain = json.loads(encoded)
    if isinstance(plain, dict) and plain.keys() == _FILE and not is_variable:
        return _file(plain, name)
    kind = kind_of(value) or type(value).__name__
    content = plain if is_variable else {"value": plain}
    return Attached(name or type(value).__name__, kind, len(encoded), is_variable, content)


def _distinct(names: Sequence[str]) -> list[str]:
    """Number the names that occur before: pictures from the clipboard all have the same one."""
    found: list[str] = []
    for name in names:
        stem, dot, end = name.rpartition(".")
        number, new = 1, name
        while new in found:
            number += 1
            new = f"{stem} ({number}){dot}{end}" if stem else f"{name} ({number})"
        found.append(new)
    return found


def _invalid(shown: str, exc: ValueError) -> ValidationError:
    return ValidationError(f"{shown}: {exc}.", code="INVALID_INPUT")
