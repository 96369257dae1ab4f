"""Files on their way from the pages of a chat, which send them in pieces."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from runagent import ValidationError
from runagent.attachments import LARGEST_TOGETHER
from runagent_jupyter.chats.attached import MOST, Attached, file_of

_MOST_AT_ONCE = 4
"""Questions whose files wait for the question. A page that is reloaded never sends it."""


class Uploads:
    """The pieces that have come, by the page's id of their question.

    A server closes the connection of a page that sends a message of more than 10 MB. In marimo each
    message is a request of its own, so that they come in any order. The caller sees to it that one
    thread at a time uses this.
    """

    def __init__(self) -> None:
        self._files: OrderedDict[str, dict[int, dict[int, bytes]]] = OrderedDict()

    def add(self, request: str, position: object, at: object, buffers: Iterable[Any]) -> None:
        """Take a piece of a file.

        Args:
            request: The page's id of the question.
            position: The position of the file among those of the question.
            at: The position of the piece in the file.
            buffers: The piece.
        """
        files = self._files.setdefault(request, {})
        while len(self._files) > _MOST_AT_ONCE:
            self._files.popitem(last=False)
        if not (isinstance(position, int) and 0 <= position < MOST and isinstance(at, int)):
            return
        piece = b"".join(buffers)
        if sum(map(_size, files.values())) + len(piece) <= LARGEST_TOGETHER:
            files.setdefault(position, {})[at] = piece

    def is_complete(self, request: str, described: Any) -> bool:
        """Whether all files of a question have come, as the page describes them for `take`."""
        files = self._files.get(request, {})
        return all(
            _size(files.get(position, {})) == size
            for position, (_, size) in enumerate(_facts(described))
        )

    def take(self, request: str, described: Any) -> list[Attached]:
        """Return the files of a question, and forget their pieces.

        Args:
            request: The page's id of the question.
            described: The name and the size of each file, as the page knows them.

        Raises:
            ValidationError: A file has not come as a whole, or is too large.
        """
        files = self._files.pop(request, {})
        found = []
        for position, (name, size) in enumerate(_facts(described)):
            pieces = files.pop(position, {})
            if _size(pieces) != size:
                raise ValidationError(
                    f"{name!r} did not arrive as a whole.",
                    code="INVALID_INPUT",
                    hint="Send the question again.",
                )
            found.append(file_of(name, b"".join(pieces[at] for at in sorted(pieces))))
        return found


def _size(pieces: dict[int, bytes]) -> int:
    return sum(map(len, pieces.values()))


def _facts(described: Any) -> Iterator[tuple[str, Any]]:
    for file in described if isinstance(described, list) else []:
        yield str(file.get("name", "")), file.get("size")
