"""Content encodings of responses: which of them can be read, and gzip in several members."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec

import httpx2

_GZIP = (["gzip"], ["x-gzip"])

_OPTIONAL = {
    "br": ("brotli", "brotlicffi"),
    "zstd": ("compression.zstd", "backports.zstd"),
}
"""Encodings that httpx2 reads if one of these modules is installed."""


class GzipDecoder:
    """Decodes gzip whose members follow each other, as of a server that compresses each event.

    zlib stops at the end of the first member, and so does httpx2.
    """

    def __init__(self, size: int) -> None:
        """Yield pieces of at most `size` bytes, so that a few bytes never become very many."""
        self._size = size
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes; yield what they say.

        Raises:
            DecodingError: Bytes that are not gzip.
        """
        try:
            while True:
                if self._member.eof:
                    # Zeros may fill up the last block of a file.
                    data = data.lstrip(b"\0")
                    if not data:
                        return
                    self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
                piece = self._member.decompress(data, self._size)
                if piece:
                    yield piece
                data = self._member.unused_data or self._member.unconsumed_tail
                if not data and (self._member.eof or len(piece) < self._size):
                    return
        except zlib.error as exc:
            raise httpx2.DecodingError(str(exc)) from exc


def is_gzip(headers: Mapping[str, str]) -> bool:
    """Whether gzip is the one encoding of a response."""
    return _encodings(headers) in _GZIP


def unreadable_encoding(headers: Mapping[str, str]) -> str | None:
    """Return the encoding of a response that cannot be read here, `None` if there is none."""
    if is_gzip(headers):
        return None
    for encoding in _encodings(headers):
        if encoding not in ("gzip", "deflate") and not _is_installed(encoding):
            return encoding
    return None


def _encodings(headers: Mapping[str, str]) -> list[str]:
    """Return the encodings of a response, but for those that change nothing."""
    found = map(str.strip, headers.get("content-encoding", "").lower().split(","))
    return [encoding for encoding in found if encoding not in ("", "identity")]


def install_hint(encoding: str) -> str | None:
    """Return advice on how to make an encoding readable, `None` if it never is."""
    if encoding not in _OPTIONAL:
        return None
    extra = "brotli" if encoding == "br" else encoding
    return f'To read it: pip install "httpx2[{extra}]".'


def _is_installed(encoding: str) -> bool:
    for name in _OPTIONAL.get(encoding, ()):
        with suppress(ModuleNotFoundError):  # of the package around it
            if find_spec(name) is not None:
                return True
    return False


def slices(data: bytes, size: int) -> Iterator[bytes]:
    """Yield bytes in pieces of at most `size`."""
    if len(data) <= size:
        yield data
        return
    for start in range(0, len(data), size):
        yield data[start : start + size]
