"""Pictures in HTML: checked, bounded, and put in behind the allow-list."""

from __future__ import annotations

import html
import re
from typing import Final

from runagent_jupyter.control_characters import strip_controls
from runagent_jupyter.data.image_headers import ImageError
from runagent_jupyter.data.pictures import Picture, picture_of
from runagent_jupyter.html.escaping import escape

_MOST_CHARACTERS: Final = 16_000_000  # of all pictures of an answer, in base64
_MOST_PIXELS: Final = 100_000_000  # of all pictures of an answer

_ALT: Final = 1_000
"""Characters of the text that describes a picture."""

# A place for a picture, as the allow-list returns it. Text cannot look like it, as it has no `<`.
_SLOT = re.compile(r'<span class="runagent-slot">([^<>]*)</span>')


class PictureBudget:
    """Bounds the pictures of one answer together."""

    def __init__(self) -> None:
        self._costs: dict[int, tuple[int, int]] = {}  # characters and pixels by part
        self._characters = self._pixels = 0  # of all parts

    @property
    def characters(self) -> int:
        """The number of characters of all pictures so far, in base64."""
        return self._characters

    def slots(self, part: int) -> PictureSlots:
        """Begin a part of the answer, or render it again.

        Args:
            part: The number of the part.

        Returns:
            The places for its pictures.
        """
        before = self._costs.pop(part, (0, 0))
        self._characters -= before[0]
        self._pixels -= before[1]
        return PictureSlots(self, part)

    def take(self, part: int, picture: Picture) -> None:
        """Count a picture.

        Raises:
            ImageError: The answer has shown too many already.
        """
        characters, pixels = len(picture.content), picture.width * picture.height
        if self._characters + characters > _MOST_CHARACTERS or self._pixels + pixels > _MOST_PIXELS:
            raise ImageError("the answer holds too many or too large pictures")
        before = self._costs.get(part, (0, 0))
        self._costs[part] = before[0] + characters, before[1] + pixels
        self._characters += characters
        self._pixels += pixels


class PictureSlots:
    """The places for the pictures of one part of an answer.

    Args:
        budget: The pictures of the answer.
        part: The number of the part.
    """

    def __init__(self, budget: PictureBudget, part: int) -> None:
        self._budget = budget
        self._part = part
        self._pictures: list[Picture] = []

    def image(self, uri: str, alt: str) -> str:
        """Make a place for a picture.

        Args:
            uri: Its `data:` address, from anybody.
            alt: The text that describes it.

        Returns:
            HTML to be sanitized and then given to `fill`; a note, if the picture must not be shown.
        """
        try:
            picture = picture_of(uri)
            self._budget.take(self._part, picture)
        except ImageError as exc:
            return picture_note(alt, f"not shown: {exc}")
        self._pictures.append(picture)
        shown = html.escape(" ".join(strip_controls(alt[:_ALT]).split()) or "picture")
        return f'<span class="runagent-slot">{shown}</span>'

    def fill(self, content: str) -> str:
        """Put the pictures into their places.

        Args:
            content: Sanitized HTML with the places that `image` made, in their order.

        Returns:
            The HTML with the pictures; without any, if the places are not the same.
        """
        if not self._pictures:
            return content
        if len(_SLOT.findall(content)) != len(self._pictures):
            return _SLOT.sub("", content)
        waiting = iter(self._pictures)

        def filled(match: re.Match[str]) -> str:
            picture = next(waiting)
            alt = html.escape(html.unescape(match[1]), quote=True)
            return (
                f'<img class="runagent-picture" alt="{alt}"'
                f' width="{picture.width}" height="{picture.height}" src="{picture.uri}">'
            )

        return _SLOT.sub(filled, content)


def picture_note(alt: str, note: str = "") -> str:
    """Show text in the place of a picture.

    Args:
        alt: The text that describes it.
        note: The reason why it is not there.

    Returns:
        HTML to be sanitized.
    """
    words = " · ".join(filter(None, (" ".join(alt[:_ALT].split()), note)))
    return f'<span class="runagent-cut">[image: {escape(words)}]</span>'
