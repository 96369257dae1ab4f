"""Picture files: whole ones, and those that lie about themselves or carry something else."""

from __future__ import annotations

import base64
import struct
import zlib


def png(
    width: int = 2,
    height: int = 2,
    *,
    rows: bytes | None = None,
    extra: bytes = b"",
    tail: bytes = b"",
) -> bytes:
    """A grey PNG; `rows` is what it holds in truth, `extra` stands before it and `tail` behind all."""
    content = (b"\0" + b"\x80" * width) * height if rows is None else rows
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(content, 9))
        + chunk(b"IEND", b"")
        + tail
    )


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def gif(width: int, height: int, frame: tuple[int, int] = (1, 1)) -> bytes:
    """A GIF that declares a size, with one frame of another."""
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0x80, 0, 0)
        + b"\0\0\0\xff\xff\xff"
        + b"\x2c"
        + struct.pack("<HHHHB", 0, 0, *frame, 0)
        + b"\x02\x02\x44\x01\x00;"
    )


def jpeg(width: int, height: int) -> bytes:
    """The beginning of a JPEG that declares a size."""
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    return (
        b"\xff\xd8\xff\xc0"
        + struct.pack(">H", len(frame) + 2)
        + frame
        + b"\xff\xda\x00\x08"
        + b"\1" * 6
    )


def webp(width: int, height: int) -> bytes:
    """A lossless WebP that declares a size."""
    bits = (width - 1) | (height - 1) << 14
    content = b"VP8L" + struct.pack("<I", 6) + b"\x2f" + struct.pack("<I", bits) + b"\0"
    return b"RIFF" + struct.pack("<I", len(content) + 4) + b"WEBP" + content


def uri(content: bytes, mime: str = "image/png") -> str:
    """A file as an address that holds it."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


PNG = uri(png())
"""A whole picture of two by two pixels."""
