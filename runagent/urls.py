"""Base URLs: which are valid, and which belong to this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from runagent.checks import refuse
from runagent.errors import ValidationError

_MAX_LABEL = 63


def check_base_url(url: str, source: str) -> str:
    """Return a base URL without a trailing slash or `/v1`.

    Raises:
        ValidationError: The URL cannot be used; the message says why and where it came from.
    """
    where = f"The base URL from {source}, "
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        refuse(where, url, f"is not a URL: {exc}")
    if "@" in parts.netloc:
        raise ValidationError(
            f"The base URL from {source} has a user name or password in it.",
            code="INVALID_SETTING",
            hint="Pass credentials as api_key= or headers=.",
        )
    if parts.scheme not in ("http", "https") or not host:
        refuse(where, url, "is not a URL that begins with https:// or http://")
    if not all(0 < len(label) <= _MAX_LABEL for label in host.removesuffix(".").split(".")):
        refuse(where, url, f"has an invalid host name: {host!r}")
    if parts.query or parts.fragment or not url.isprintable() or " " in url.strip():
        refuse(where, url, "has more than a scheme, a host and a path")
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path.removesuffix('/v1').rstrip('/')}"


def is_loopback(url: str) -> bool:
    """Return whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
