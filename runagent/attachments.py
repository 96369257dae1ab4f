"""Pictures and files as JSON: an object with their type and their content in base64."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any

LARGEST = 20_000_000
"""Bytes of an attachment. Servers refuse larger requests."""

LARGEST_TOGETHER = 40_000_000
"""Bytes of all attachments of a question in a chat; in base64 they are a third more."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)
_WEBP = 12
"""Bytes of the signature of a WebP file, which holds the file's length in its middle."""

_UNKNOWN = "application/octet-stream"


def attachment(value: Any, name: str | None = None) -> dict[str, str]:
    """Make an attachment of a picture or a file, to be put into an input.

    >>> attachment(b"a,b", name="table.csv")
    {'mime': 'text/csv', 'data': 'YSxi'}

    Args:
        value: The path to a file, bytes, a matplotlib figure or a PIL image. A string is a path,
            too. matplotlib figures and PIL images in an input become attachments by themselves.
        name: The name of the file that bytes are from. Default: none.

    Returns:
        `{"mime": ..., "data": ...}`: the media type, such as `"image/png"`, and the content in
        base64. The type is told from the content, else from the file's name.

    Raises:
        ValueError: A value of another type, a file that cannot be read, or more than 20 MB.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _attachment(bytes(value), _guessed(name or ""))
    if isinstance(value, (str, os.PathLike)):
        return _file_attachment(Path(value))
    for base in type(value).__mro__:
        package = base.__module__.partition(".")[0]
        if (package, base.__name__) == ("matplotlib", "Figure"):
            return figure_attachment(value)
        if (package, base.__name__) == ("PIL", "Image"):
            return image_attachment(value)
    raise ValueError(
        f"{type(value).__name__} cannot be attached; pass the path to a file, its bytes, a "
        "matplotlib figure or a PIL image"
    )


def figure_attachment(figure: Any) -> dict[str, str]:
    """Return a matplotlib figure as an attachment: a PNG, as `figure.savefig` draws it.

    Raises:
        ValueError: The picture has more than 20 MB.
    """
    file = io.BytesIO()
    # The box of the drawing, as notebooks show a figure.
    figure.savefig(file, format="png", bbox_inches="tight")
    return _attachment(file.getvalue())


def image_attachment(image: Any) -> dict[str, str]:
    """Return a PIL image as an attachment: a PNG, or a JPEG if it is one and is not changed.

    Raises:
        ValueError: The image has a mode that PNG does not have, or more than 20 MB.
    """
    file = io.BytesIO()
    is_unchanged = getattr(image, "format", None) == "JPEG" and hasattr(image, "quantization")
    try:
        if is_unchanged:
            image.save(file, format="JPEG", quality="keep")
        else:
            image.save(file, format="PNG")
    except (OSError, ValueError) as exc:
        raise ValueError(f'{exc}; pass its convert("RGB")') from exc
    return _attachment(file.getvalue())


def display_attachment(image: Any) -> dict[str, str]:
    """Return an `IPython.display.Image` as an attachment.

    Raises:
        ValueError: It has an address in place of its data, or more than 20 MB.
    """
    if not isinstance(image.data, bytes):
        raise ValueError(  # noqa: TRY004 - the type is right, and its content is missing
            "it holds no data; make it with embed=True, or pass the bytes"
        )
    return _attachment(image.data)


def _file_attachment(path: Path) -> dict[str, str]:
    path = path.expanduser()
    try:
        if not path.is_file():
            problem = "a directory" if path.is_dir() else "not a file"
            raise ValueError(f"{str(path)!r} is {problem}; pass the path to a file")
        size = path.stat().st_size
        if size > LARGEST:
            raise _too_large(size)
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as exc:
        raise ValueError(f"{str(path)!r} cannot be read: {exc.strerror or exc}") from exc
    return _attachment(content, _guessed(path.name))


def _guessed(name: str) -> str:
    """Return the media type that a file's name stands for."""
    import mimetypes  # noqa: PLC0415 - it takes time to load, and few need it

    return mimetypes.guess_type(name)[0] or _UNKNOWN


def _attachment(content: bytes, mime: str = _UNKNOWN) -> dict[str, str]:
    if len(content) > LARGEST:
        raise _too_large(len(content))
    found = [kind for signature, kind in _SIGNATURES if content.startswith(signature)]
    if content[:4] == b"RIFF" and content[8:_WEBP] == b"WEBP":
        found = ["image/webp"]
    return {"mime": found[0] if found else mime, "data": base64.b64encode(content).decode()}


def _too_large(size: int) -> ValueError:
    return ValueError(
        f"it has {size / 1e6:,.1f} MB, and an attachment at most {LARGEST / 1e6:,.0f} MB; "
        "make it smaller"
    )
