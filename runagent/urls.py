"""Base URLs: which are valid, and which belong to this machine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runagent.checks import refuse
from runagent.errors import ValidationError

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

_MAX_LABEL = 63

_NUMERIC = re.compile(r"[0-9a-fx.]*[0-9][0-9a-fx.]*")
"""Every form of an IPv4 address: decimal, octal and hexadecimal numbers, joined by dots."""


def check_base_url(url: str, source: str) -> str:
    """Return a base URL without a trailing slash or `/v1`.

    Raises:
        ValidationError: The URL cannot be used; the message says why and where it came from.
    """
    where = f"from {source}"
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        refuse("The base URL ", url, f"{where} is not a URL: {exc}")
    if "@" in parts.netloc:
        raise ValidationError(
            f"The base URL {where} has a user name or password in it.",
            code="INVALID_SETTING",
            hint="Pass credentials as api_key= or headers=.",
        )
    if parts.scheme not in ("http", "https") or not host:
        refuse("The base URL ", url, f"{where} is not one that begins with https:// or http://")
    if not all(0 < len(label) <= _MAX_LABEL for label in host.removesuffix(".").split(".")):
        refuse("The base URL ", url, f"{where} has an invalid host name: {host!r}")
    if not url.isprintable() or " " in url.strip():
        refuse("The base URL ", url, f"{where} has a space or an invisible character in it")
    if parts.query or parts.fragment:
        refuse("The base URL ", url, f"{where} has more than a scheme, a host and a path")
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path.removesuffix('/v1').rstrip('/')}"


def is_loopback(url: str) -> bool:
    """Return whether a URL's host is this machine."""
    return is_loopback_host(urlsplit(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    """Return whether a host is this machine, by its name or address alone.

    That includes the unspecified addresses `0.0.0.0` and `::`, which a client reaches this machine
    by, and short forms of IPv4 addresses such as `127.1`. No name is looked up.
    """
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    if _NUMERIC.fullmatch(name):
        return _is_this_machine(_ipv4(name))
    from ipaddress import ip_address  # noqa: PLC0415 - importing runagent stays cheap

    try:
        address = ip_address(name)
    except ValueError:
        return False
    return _is_this_machine(getattr(address, "ipv4_mapped", None) or address)


def _ipv4(name: str) -> IPv4Address | None:
    """Return the address that a system's resolver makes of numbers and dots."""
    import socket  # noqa: PLC0415 - importing runagent stays cheap
    from ipaddress import IPv4Address  # noqa: PLC0415

    try:
        return IPv4Address(socket.inet_aton(name))
    except OSError:
        return None


def _is_this_machine(address: IPv4Address | IPv6Address | None) -> bool:
    return address is not None and (address.is_loopback or address.is_unspecified)
