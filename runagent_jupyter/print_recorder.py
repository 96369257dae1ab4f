"""Records the text that is printed into a cell, so that it can be printed again."""

from __future__ import annotations

import sys
from typing import Any


class PrintRecorder:
    """Records the text that is printed into the running cell while a display owns its output.

    An agent that runs in the same process prints there, for example. The text is shown as usual;
    when the display clears the cell's output, `replay` brings it back. Outside a kernel, nothing is
    recorded.
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
        """Return whether anything was recorded."""
        return bool(self._texts)

    def stop(self) -> None:
        """End the recording."""
        self._is_over = True
        for stream, listening, write in self._listening:
            if stream.write is not listening:
                continue  # something else has replaced it since
            del stream.write
            if stream.write != write:  # it was an attribute of the stream and not a method
                stream.write = write

    def replay(self) -> None:
        """Print the recorded text again."""
        for stream, text in self._texts:
            stream.write(text)


def _cell_of(stream: Any) -> Any:
    """Return the id of the request whose outputs get the text that this thread prints."""
    return stream.parent_header.get("msg_id")
