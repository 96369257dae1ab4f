"""Characters in untrusted text that steer a terminal, reorder a line, or fit in no message."""

from __future__ import annotations

import re

from runagent.wire.text import with_pairs_joined

_PRINTABLE = r"[^\x00-\x08\x0a-\x1f\x7f-\x9f]"
_STRING = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])" + _PRINTABLE + "{0,2048}"
_CSI = r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}"
# ECMA-48: control sequences (colours), control strings (OSC 8 links, titles), character sets.
_SEQUENCE = re.compile(rf"{_CSI}[@-~]|{_STRING}(?:\x07|\x9c|\x1b\\)|\x1b[()*+][0-9A-Z]")
_UNFINISHED = re.compile(rf"(?:{_CSI}|{_STRING}\x1b?|\x1b[()*+]?|\r|[\ud800-\udbff])\Z")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _visible(match: re.Match[str]) -> str:
    control = match[0]
    if control < " ":
        return chr(0x2400 + ord(control))
    if control == "\x7f":
        return "\u2421"
    if "\ud800" <= control <= "\udfff":
        return "\ufffd"
    return f"\u27e8U+{ord(control):04X}\u27e9"


def strip_controls(text: str) -> str:
    r"""Make text unable to steer a terminal or to reorder the text around it.

    Args:
        text: Any text; lone surrogates are allowed.

    Returns:
        The text without terminal sequences (colours, OSC 8 links, titles). Other control characters
        become visible: ESC becomes ``␛``, a bidirectional override ``⟨U+202E⟩``, and a lone
        surrogate U+FFFD. ``\r\n`` and ``\r`` become a newline. Newlines and tabs are kept.
    """
    if not _CONTROL.search(text):
        return text
    text = with_pairs_joined(text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub(_visible, _SEQUENCE.sub("", text))


class TextStream:
    """`strip_controls` for text that comes in chunks: a sequence may be split anywhere."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, chunk: str) -> str:
        """Take the next chunk.

        Returns:
            The text that can be shown now; the start of an unfinished sequence is held back.
        """
        text = self._held + chunk
        self._held = ""
        if not _CONTROL.search(text):
            return text
        if unfinished := _UNFINISHED.search(text):
            self._held = unfinished[0]
            text = text[: unfinished.start()]
        return strip_controls(text)

    def finish(self) -> str:
        """End the text.

        Returns:
            The text that was held back.
        """
        held, self._held = self._held, ""
        return strip_controls(held)


def sendable(text: str) -> str:
    """Return a text without lone surrogates, which no message can carry."""
    return text.encode("utf-8", "replace").decode()
