"""The response by which a server of either protocol reports its health."""

from __future__ import annotations

from runagent.results import Health, number
from runagent.wire.text import as_dict, as_text, excerpt, parse_json


def health(body: bytes) -> Health:
    """Read a report of health.

    Raises:
        ValueError: A body that is not one.
    """
    report = as_dict(parse_json(body))
    status = report.get("status")
    if not isinstance(status, str):
        raise ValueError(f"it has no status: {excerpt(body)!r}")  # noqa: TRY004 - of the server
    return Health(
        status=status,
        version=as_text(report.get("version")),
        uptime=number(report.get("uptime", report.get("uptime_seconds"))),
        checks=as_dict(report.get("checks")),
        raw=report,
    )
