"""Values as `runagent serve` sends them: JSON text within JSON, with the name of its type."""

from __future__ import annotations

import math
from typing import Any

from runagent.wire.text import ExpansionError, parse_json

_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_INFINITIES = {"inf": math.inf, "-inf": -math.inf}


def decode(content: Any, limit: int | None = None, held: int = 0) -> Any:
    """Return the value in `{"type": …, "payload": …}`, given as JSON text or decoded.

    The payload is JSON text again. Anything without that structure is the value itself.

    Args:
        content: The structure.
        limit: The bytes that messages may have, `None` for no limit.
        held: Bytes of memory that the message takes already.

    Raises:
        ExpansionError: A structure that would take more memory than a message may.
    """
    structure = content
    if isinstance(content, str):
        try:
            structure = parse_json(content, limit, held)
        except ExpansionError:
            raise
        except ValueError:
            return content
    if not isinstance(structure, dict) or structure.keys() != {"type", "payload"}:
        return content
    kind, payload = structure["type"], structure["payload"]
    if not isinstance(kind, str) or kind not in _TYPES:
        return content
    if isinstance(payload, str):
        try:
            value = parse_json(payload, limit, held)
        except ExpansionError:
            raise
        except ValueError:
            return payload
        payload = value if kind != "string" or isinstance(value, str) else payload
    if kind == "number" and payload is None:
        return math.nan
    if kind == "number" and isinstance(payload, str):
        return _INFINITIES.get(payload, payload)
    return payload
