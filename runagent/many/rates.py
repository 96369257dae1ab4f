"""A rate as users write it, such as `"50/s"` or `"3000/min"`."""

from __future__ import annotations

import math
import re

from runagent.checks import refuse

_RATE = re.compile(
    r"\s*([0-9][0-9_,]*(?:\.[0-9]+)?)\s*(?:/|per)\s*([0-9]*\s*)([a-z]+)\s*", re.IGNORECASE
)
_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
}
_HINT = 'Write it as "50/s", "3000/min" or "100/h"; a number means requests per second.'


def check_rate(rate: object) -> float | None:
    """Return a rate in requests per second, `None` for none.

    Raises:
        ValidationError: Anything else than a rate above zero.
    """
    if rate is None:
        return None
    if isinstance(rate, str):
        found = _RATE.fullmatch(rate)
        if found is None or found[3].lower() not in _UNITS:
            refuse("rate=", rate, "is not a rate", _HINT)
        seconds = _UNITS[found[3].lower()] * float(found[2] or 1)
        value = float(re.sub("[_,]", "", found[1])) / seconds if seconds else math.nan
    elif isinstance(rate, bool) or not isinstance(rate, (int, float)):
        refuse("rate=", rate, "is not a rate", _HINT)
    else:
        value = float(rate)
    if not 0 < value < math.inf:
        refuse("rate=", rate, "is not a rate above zero", _HINT)
    return value
