"""Files on their way from the pages of a chat, which send them in pieces."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from runagent import ValidationError
from runagent.attachments import LARGEST_TOGETHER
from runagent_jupyter.chats.attached import MOST, Attached, file_of

_MOST_AT_ONCE = 4
"""Questions whose files wait for the question. A page that is reloaded never sends it."""


class Uploads:
    """The pieces that have come, by the page's id of their question.

    A server closes the connection of a page that sends a message of more than 10 MB. The caller
    sees to it that one thread at a time uses this.
    """

    def __init__(self) -> None:
        self._files: OrderedDict[str, dict[int, bytearray]] = OrderedDict()

    def add(self, request: str, position: object, buffers: Iterable[Any]) -> None:
        """Take the next piece of a file.

        Args:
            request: The page's id of the question.
            position: The position of the file among those of the question.
            buffers: The piece.
        """
        files = self._files.setdefault(request, {})
        while len(self._files) > _MOST_AT_ONCE:
            self._files.popitem(last=False)
        if isinstance(position, int) and 0 <= position < MOST:
            content = files.setdefault(position, bytearray())
            for buffer in buffers:
                if sum(map(len, files.values())) <= LARGEST_TOGETHER:
                    content += buffer

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
        for position, file in enumerate(described if isinstance(described, list) else []):
            name, size = str(file.get("name", "")), file.get("size")
            content = files.pop(position, b"")
            if len(content) != size:
                raise ValidationError(
                    f"{name!r} did not arrive as a whole.",
                    code="INVALID_INPUT",
                    hint="Send the question again.",
                )
            found.append(file_of(name, bytes(content)))
        return found
