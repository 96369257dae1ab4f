"""Pictures in answers: as data in text and in objects, checked before they may be shown."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from runagent_jupyter.control_characters import strip_controls
from runagent_jupyter.data.image_headers import ImageError, read_header

MOST_BYTES: Final = 4_000_000
"""Bytes of one picture."""

MOST_PIXELS: Final = 25_000_000
"""Pixels of one picture. A page takes four bytes of memory for each."""

MIMES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""The types that are shown. SVG is none of them: it is a document, which can hold scripts."""

_URI = re.compile(r"data:image/(?:png|jpe?g|gif|webp);base64,([A-Za-z0-9+/]*={0,2})", re.IGNORECASE)
_IMAGE = re.compile(
    r"!\[([^\[\]\n]{0,1000})\]\(<?(data:image/(?:png|jpe?g|gif|webp);base64,[A-Za-z0-9+/]*={0,2})>?"
    r"(?:[ \t][^()\n]{0,1000})?\)",
    re.IGNORECASE,
)
_MIME = ("mime", "mime_type", "mimeType", "mimetype", "media_type", "content_type", "format")
_DATA = (
    "image",
    "data",
    "image_url",
    "url",
    "source",
    "base64",
    "b64_json",
    "inline_data",
    "content",
)
_ALT = ("alt", "alt_text", "caption", "title", "name", "text", "description")
_KINDS = frozenset({"", "image", "image_url", "input_image", "output_image", "picture", "figure"})
_BRACKETS = str.maketrans("[]\\", "()/")  # which Markdown would take for the end, or for a formula
_ACTIVE = re.compile(r"[`*_$<&~]")
_SHORTEST: Final = 64
"""Characters of base64 below which a text is no picture that has no type beside it."""


@dataclass(frozen=True)
class Picture:
    """A picture that may be shown.

    Attributes:
        mime: Its media type, as its bytes say.
        content: Its bytes in base64.
        width: Pixels.
        height: Pixels.
    """

    mime: str
    content: str
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as an address that holds its data."""
        return f"data:{self.mime};base64,{self.content}"

    def __str__(self) -> str:
        kind = self.mime.removeprefix("image/").upper()
        return f"{kind}, {self.width:,} × {self.height:,}"  # noqa: RUF001


def picture_of(uri: str) -> Picture:
    """Decode a picture and check it, without decoding a pixel.

    Args:
        uri: A `data:` address of a type that is shown, in base64.

    Returns:
        The picture.

    Raises:
        ImageError: It is of another type, damaged, too large, or lies about its size.
    """
    match = _URI.fullmatch(uri)
    if not match:
        raise ImageError("it is no PNG, JPEG, GIF or WebP in base64")
    content = match[1].rstrip("=")
    if len(content) * 3 // 4 > MOST_BYTES:
        raise ImageError(f"it has more than {MOST_BYTES / 1e6:g} MB")
    try:
        data = base64.b64decode(content + "=" * (-len(content) % 4), validate=True)
    except binascii.Error:
        raise ImageError("its base64 is damaged") from None
    header = read_header(data)
    if header.width * header.height > MOST_PIXELS:
        size = f"{header.width:,} × {header.height:,}"  # noqa: RUF001
        raise ImageError(f"it has {size} pixels, more than {MOST_PIXELS / 1e6:g} million")
    return Picture(header.mime, base64.b64encode(data).decode(), header.width, header.height)


def is_picture_uri(text: str) -> bool:
    """Whether a text is a `data:` address of a type that is shown. Its data is not checked."""
    return text[:11].lower() == "data:image/" and _URI.fullmatch(text) is not None


def uri_in(value: object, levels: int = 2) -> tuple[str, str] | None:
    """Find the picture that an object is.

    Args:
        value: `{"image": ..., "mime": ...}`, or another form in which agents send pictures: the
            data may be base64 or a `data:` address, and may be in an object of its own.
        levels: Levels of objects in which the data is looked for.

    Returns:
        The `data:` address, which is still to be checked, and the text that describes it; or `None`
        for any other value.
    """
    if not isinstance(value, Mapping):
        return None
    kind = value.get("type", "")
    if not isinstance(kind, str) or kind.lower() not in _KINDS:
        return None
    for mime in MIMES:  # as Jupyter has it
        if isinstance(data := value.get(mime), str) and (uri := _uri(data, mime, "data")):
            return uri, _alt(value)
    mime = next((value[name] for name in _MIME if isinstance(value.get(name), str)), "")
    for name in _DATA:
        data = value.get(name)
        if isinstance(data, Mapping) and levels > 1:
            kind_less = {key: item for key, item in data.items() if key != "type"}
            inner = uri_in(kind_less, levels - 1)
            if inner:
                return inner[0], _alt(value) or inner[1]
        if isinstance(data, str) and (uri := _uri(data, mime, name)):
            return uri, _alt(value)
    return None


def _uri(data: str, mime: str, name: str) -> str:
    if data[:5].lower() == "data:":
        return data if _URI.fullmatch(data) else ""
    mime = mime.strip().lower()
    mime = mime if not mime or "/" in mime else f"image/{mime}"
    if mime and mime not in (*MIMES, "image/jpg"):
        return ""
    if not mime and (name not in ("image", "b64_json") or len(data) < _SHORTEST):
        return ""
    content = "".join(data.split())  # encoders wrap lines
    uri = f"data:{mime or MIMES[0]};base64,{content}"
    # Without a type beside it, only a text that is a picture is taken for one.
    return uri if _URI.fullmatch(uri) and (mime or _is_picture(uri)) else ""


def _is_picture(uri: str) -> bool:
    try:
        picture_of(uri)
    except ImageError:
        return False
    return True


def _alt(value: Mapping[Any, Any]) -> str:
    found = next((value[name] for name in _ALT if isinstance(value.get(name), str)), "")
    return " ".join(strip_controls(found[:1_000]).split())


def markdown_of(value: object) -> str | None:
    """Write a picture as Markdown.

    Args:
        value: Any value.

    Returns:
        An image whose address holds its data; `None` if the value is no picture.
    """
    found = uri_in(value)
    if found is None:
        return None
    uri, alt = found
    alt = _ACTIVE.sub(r"\\\g<0>", alt.translate(_BRACKETS))
    return f"![{alt}]({uri})"


def described(text: str) -> str:
    """Describe the pictures in a text, for where none can be shown.

    Args:
        text: Markdown.

    Returns:
        The text, with words in the place of each image whose address holds its data.
    """
    return _IMAGE.sub(lambda match: words_for(match[2], match[1]), text)


def words_for(uri: str, alt: str = "") -> str:
    """Describe a picture.

    Args:
        uri: Its `data:` address.
        alt: The text that describes it.

    Returns:
        The text, the type and the size, or the reason why it is not shown; in brackets.
    """
    try:
        facts = str(picture_of(uri))
    except ImageError as exc:
        facts = f"not shown: {exc}"
    alt = " ".join(alt.split())
    return f"[image: {alt} ({facts})]" if alt else f"[image: {facts}]"
