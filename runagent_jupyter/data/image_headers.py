"""The sizes that pictures declare, read from their bytes without decoding a pixel."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8"

# Pixels that one byte of a file can hold at most. A file that declares more lies about its size,
# and a decoder would take memory for all of them.
_DEFLATED: Final = 1_032  # bytes of a row that one byte of deflate can hold
_GIF_PIXELS: Final = 4_096 * 8 // 9  # the longest entry of the table, in a code of nine bits
_JPEG_PIXELS: Final = 512  # one bit for each block of 64 pixels

_PNG_SAMPLES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the type of colour
_JPEG_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive
_JPEG_OTHER_FRAMES: Final = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN: Final = 0xDA
_JPEG_END: Final = 0xD9


class ImageError(ValueError):
    """The bytes are no picture that a page can show, or they lie about its size."""


class Header(NamedTuple):
    """The facts that a picture declares about itself."""

    mime: str
    width: int
    height: int


def read_header(data: bytes) -> Header:
    """Read the header of a PNG, JPEG, GIF or WebP file, and check its structure.

    Args:
        data: The whole file.

    Returns:
        The type that the bytes have, and the size in pixels: the largest of all that the file
        declares, for itself and for its frames.

    Raises:
        ImageError: The file is of another type, is cut off or damaged, or is far too short for
            the number of pixels that it declares.
    """
    for matches, read in _READERS:
        if matches(data):
            try:
                header = read(data)
            except IndexError:
                raise ImageError("it is cut off") from None
            if not (header.width and header.height):
                raise ImageError("it has no pixels")
            return header
    raise ImageError("it is no PNG, JPEG, GIF or WebP")


def _int(data: bytes, start: int, size: int, order: str = "big") -> int:
    if start + size > len(data):
        raise IndexError(start)
    return int.from_bytes(data[start : start + size], "big" if order == "big" else "little")


# PNG


def _png(data: bytes) -> Header:
    chunks = list(_png_chunks(data))
    names = [name for name, _, _ in chunks]
    if names[0] != b"IHDR" or names.count(b"IHDR") > 1 or chunks[0][2] != 13:  # noqa: PLR2004
        raise ImageError("it does not begin with one header")
    start = chunks[0][1]
    width, height = _int(data, start, 4), _int(data, start + 4, 4)
    depth, colour = data[start + 8], data[start + 9]
    if colour not in _PNG_SAMPLES or depth not in {1, 2, 4, 8, 16}:
        raise ImageError("its header is damaged")
    row = 1 + (width * depth * _PNG_SAMPLES[colour] + 7) // 8
    content = sum(size for name, _, size in chunks if name == b"IDAT")
    if row * height > content * _DEFLATED:
        raise _lie(width, height)
    return Header("image/png", width, height)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each chunk, and the position and the size of its content."""
    position, name = len(_PNG), b""
    while name != b"IEND":
        size = _int(data, position, 4)
        name = data[position + 4 : position + 8]
        end = position + 8 + size
        if _int(data, end, 4) != zlib.crc32(memoryview(data)[position + 4 : end]):
            raise ImageError("it is damaged")
        yield name, position + 8, size
        position = end + 4


# JPEG


def _jpeg(data: bytes) -> Header:
    width = height = 0
    position = 2
    while True:
        if data[position] != 0xFF:  # noqa: PLR2004 - every marker begins with it
            raise ImageError("it is damaged")
        while data[position] == 0xFF:  # noqa: PLR2004 - it may be repeated
            position += 1
        marker = data[position]
        size = _int(data, position + 1, 2)
        if marker in _JPEG_FRAMES:
            if width:
                raise ImageError("it has two headers")
            height, width = _int(data, position + 4, 2), _int(data, position + 6, 2)
        elif marker in _JPEG_OTHER_FRAMES:
            raise ImageError("it is a JPEG of a kind that pages do not show")
        elif marker in {_JPEG_SCAN, _JPEG_END}:
            break
        position += 1 + size
    # Behind the first scan, headers may follow only in further scans of the same frame.
    if width * height > (len(data) - position) * _JPEG_PIXELS:
        raise _lie(width, height)
    return Header("image/jpeg", width, height)


# GIF


def _gif(data: bytes) -> Header:
    width, height = _int(data, 6, 2, "little"), _int(data, 8, 2, "little")
    position = 13 + _gif_colours(data[10])
    is_empty = True
    while (kind := data[position]) != 0x3B:  # noqa: PLR2004 - its end
        if kind == 0x21:  # noqa: PLR2004 - an extension
            position = _gif_blocks(data, position + 2)
        elif kind == 0x2C:  # noqa: PLR2004 - a frame
            left, top, wide, high = (
                _int(data, position + offset, 2, "little") for offset in (1, 3, 5, 7)
            )
            width, height = max(width, left + wide), max(height, top + high)
            position = _gif_blocks(data, position + 11 + _gif_colours(data[position + 9]))
            is_empty = False
        else:
            raise ImageError("it is damaged")
    if is_empty:
        raise ImageError("it has no pixels")
    if width * height > len(data) * _GIF_PIXELS:
        raise _lie(width, height)
    return Header("image/gif", width, height)


def _gif_colours(flags: int) -> int:
    """Return the bytes of a table of colours."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_blocks(data: bytes, position: int) -> int:
    """Return the position behind a series of blocks."""
    while size := data[position]:
        position += 1 + size
    return position + 1


# WebP


def _webp(data: bytes) -> Header:
    end = 8 + _int(data, 4, 4, "little")
    if end > len(data):
        raise ImageError("it is cut off")
    width = height = 0
    position, has_content = 12, False
    while position + 8 <= end:
        name = data[position : position + 4]
        size = _int(data, position + 4, 4, "little")
        start = position + 8
        if start + size > end:
            raise ImageError("it is cut off")
        wide, high = _webp_size(data, name, start)
        width, height = max(width, wide), max(height, high)
        has_content = has_content or name in {b"VP8 ", b"VP8L", b"ANMF"}
        position = start + size + size % 2
    if not has_content:
        raise ImageError("it has no pixels")
    return Header("image/webp", width, height)


def _webp_size(data: bytes, name: bytes, start: int) -> tuple[int, int]:
    """Return the width and the height that a chunk declares; nothing for other chunks."""
    if name == b"VP8 ":
        if data[start + 3 : start + 6] != b"\x9d\x01\x2a":
            raise ImageError("it is damaged")
        low = 0x3FFF
        return _int(data, start + 6, 2, "little") & low, _int(data, start + 8, 2, "little") & low
    if name == b"VP8L":
        if data[start] != 0x2F:  # noqa: PLR2004 - its signature
            raise ImageError("it is damaged")
        bits = _int(data, start + 1, 4, "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if name == b"VP8X":
        return _int(data, start + 4, 3, "little") + 1, _int(data, start + 7, 3, "little") + 1
    if name == b"ANMF":  # its frame begins with a chunk of its own, which is no larger
        inner = _webp_size(data, data[start + 16 : start + 20], start + 24)
        wide, high = _int(data, start + 6, 3, "little") + 1, _int(data, start + 9, 3, "little") + 1
        return max(wide, inner[0]), max(high, inner[1])
    return 0, 0


def _lie(width: int, height: int) -> ImageError:
    return ImageError(f"it is far too short for the {width:,} × {height:,} pixels it declares")  # noqa: RUF001


_READERS: Final[tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Header]], ...]] = (
    (lambda data: data.startswith(_PNG), _png),
    (lambda data: data.startswith(_JPEG), _jpeg),
    (lambda data: data[:6] in {b"GIF87a", b"GIF89a"}, _gif),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp),
)
