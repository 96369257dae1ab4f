"""What is printed into a cell while a display owns it: by an agent that runs here, for one."""

from __future__ import annotations

import sys
from typing import Any


class Printed:
    """Takes note of what is printed into the running cell, so that it outlives a cleared output.

    It is shown as ever meanwhile. Nothing is noted outside a kernel.
    """

    def __init__(self) -> None:
        self._texts: list[tuple[Any, str]] = []
        self._is_over = False
        self._listening: list[tuple[Any, Any, Any]] = []
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "parent_header"):
                self._listen(stream)

    def _listen(self, stream: Any) -> None:
        cell, write = _cell_of(stream), stream.write

        def listening(text: str) -> Any:
            if not self._is_over and _cell_of(stream) == cell:
                self._texts.append((stream, text))
            return write(text)

        stream.write = listening
        self._listening.append((stream, listening, write))

    def __bool__(self) -> bool:
        return bool(self._texts)

    def stop(self) -> None:
        """Listen no more."""
        self._is_over = True
        for stream, listening, write in self._listening:
            if stream.write is not listening:
                continue  # another one listens to it
            del stream.write
            if stream.write != write:  # it was no method
                stream.write = write

    def again(self) -> None:
        """Write what was printed once more."""
        for stream, text in self._texts:
            stream.write(text)


def _cell_of(stream: Any) -> Any:
    """Return the id of the request into whose outputs this thread prints."""
    return stream.parent_header.get("msg_id")
