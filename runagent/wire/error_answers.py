"""Answers and events that are errors, in the shapes of all kinds of servers, as exceptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runagent import errors
from runagent.results import number
from runagent.retry import retry_after, sensible
from runagent.wire.text import (
    ExpansionError,
    as_dict,
    as_text,
    brief,
    describe,
    excerpt,
    joined,
    parse_json,
)

_MESSAGES = ("message", "error_description", "msg", "detail", "title", "reason", "description")
"""Names of the field in which servers say what went wrong, the most telling ones first."""

_TOO_LARGE_HINT = "Pass a larger max_message_size= if that is right."


@dataclass
class Problem:
    """The words of a server about an error.

    Attributes:
        message: What went wrong, empty if the server does not say.
        code: Its code for that.
        details: Everything else it says about it.
        request_id: Its id of the request.
        retry_after: Seconds to wait before the next attempt.
        hint: Its advice.
        fields: The object that holds all this, as the server sent it.
    """

    message: str = ""
    code: str | None = None
    details: dict[str, Any] | None = None
    request_id: str | None = None
    retry_after: float | None = None
    hint: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


def error_from(
    status: int, headers: Mapping[str, str], body: bytes, data: Any = None
) -> errors.RunAgentError:
    """Return the exception for a response that is not a good one, whatever its body.

    Args:
        status: The HTTP status.
        headers: The headers, by their names in lower case.
        body: The body.
        data: The decoded body, if that is known.
    """
    if data is None:
        try:
            data = parse_json(body)
        except ValueError:
            data = {}
    problem = problem_in(data)
    kind = errors.for_status(status)
    return kind(
        problem.message or f"The server answered {status} with {describe(body)}.",
        problem.code,
        problem.details,
        status_code=status,
        request_id=problem.request_id or as_text(headers.get("x-request-id")),
        retry_after=retry_after(headers, problem.fields, limited=kind is errors.RateLimitError),
        hint=problem.hint or errors.hint_for(kind),
    )


def unreadable(
    status: int, headers: Mapping[str, str], body: bytes, problem: Exception, hint: str | None
) -> errors.RunAgentError:
    """Return the exception for a response that should be JSON, and cannot be read as such."""
    request_id = as_text(headers.get("x-request-id"))
    if isinstance(problem, ExpansionError):
        return errors.RunAgentError(
            f"The server's answer of {len(body):,} bytes is too large: {problem}.",
            code="MESSAGE_TOO_LARGE",
            status_code=status,
            request_id=request_id,
            hint=_TOO_LARGE_HINT,
        )
    return errors.RunAgentError(
        f"The server answered with {describe(body)} instead of JSON ({problem}).",
        code="INVALID_RESPONSE",
        status_code=status,
        request_id=request_id,
        hint=hint,
    )


def is_error(data: Any) -> bool:
    """Whether a decoded answer with a good status says that the call has failed.

    An answer that has a field `error` among others is an answer.
    """
    if not isinstance(data, dict):
        return False
    if data.get("status") == "error" or data.get("success") is False:
        return True
    return data.keys() == {"error"} and data["error"] not in (None, False)


def problem_in(data: Any, levels: int = 3) -> Problem:
    """Return what a server says in a decoded body or event, in any of the known shapes.

    They are the documented one, `{"error": {"code": …, "message": …}}`, its fields without
    `error`, FastAPI's `{"detail": …}`, lists under `errors`, and RFC 9457's problem details.

    Args:
        data: The decoded body or event.
        levels: How many objects under `detail` are opened, one in the other.
    """
    if isinstance(data, str):
        return Problem(data)
    if isinstance(data, list):
        data = {"errors": data}
    outer = as_dict(data)
    inner = outer.get("error")
    fields = outer
    if isinstance(inner, dict):
        fields = {**{name: outer[name] for name in ("request_id",) if name in outer}, **inner}
    found = _list_in(outer, inner)
    if found is not None:
        return _of_list(found, outer)
    nested = fields.get("detail")
    if levels and isinstance(nested, dict) and not fields.get("message"):
        problem = problem_in(nested, levels - 1)
        problem.message = problem.message or brief(nested, errors.MAX_MESSAGE)
        problem.code = problem.code or _code(outer)
        problem.details = problem.details or nested
        problem.fields = nested
        return problem
    message = _message(fields)
    if isinstance(inner, str) and inner:
        # OAuth says in words what its code under `error` means.
        described = outer.get("error_description")
        message = described if isinstance(described, str) and described else inner
        fields = {"code": inner, **fields} if message is described else fields
    code = _code(fields)
    if code is None and fields is not outer:
        # Servers of models call it "type". Elsewhere a type is the kind of a message, or a URI.
        code = _code(outer) or _code(fields, ["type"])
    return Problem(
        message,
        code,
        _details(fields),
        as_text(fields.get("request_id")),
        _seconds(fields),
        next((excerpt(text, 500) for text in _hints(fields, outer)), None),
        fields,
    )


def _message(fields: Mapping[str, Any]) -> str:
    texts = [fields[name] for name in _MESSAGES if isinstance(fields.get(name), str)]
    found = next((text for text in texts if text), "")
    title = fields.get("title")
    if found and found == fields.get("detail") and isinstance(title, str) and title:
        return f"{title}: {found}"
    return found


def _code(fields: Mapping[str, Any], names: Iterable[str] = ("code", "error_code")) -> str | None:
    values = (fields.get(name) for name in names)
    return next((as_text(value) for value in values if value is not None and value != ""), None)


def _seconds(fields: Mapping[str, Any]) -> float | None:
    return sensible(number(fields.get("retry_after")))


def _details(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    details = fields.get("details")
    if isinstance(details, dict):
        return details
    if details:
        return {"details": details}
    if isinstance(fields.get("title"), str) and not isinstance(fields.get("message"), str):
        return dict(fields)  # problem details may have fields of their own
    return None


def _hints(*objects: Mapping[str, Any]) -> Iterable[str]:
    for fields in objects:
        for name in ("suggestion", "hint"):
            hint = fields.get(name)
            if isinstance(hint, str) and hint:
                yield hint


def _list_in(outer: Mapping[str, Any], inner: Any) -> list[Any] | None:
    """Return the list of problems in an error's body, `None` if it has none."""
    if isinstance(inner, list) and inner:
        return inner
    if inner is not None or outer.get("message"):
        return None
    for name in ("detail", "errors"):
        found = outer.get(name)
        if isinstance(found, list) and found:
            return found
        if name == "errors" and isinstance(found, (dict, str)) and found:
            return [found]
    return None


def _of_list(problems: list[Any], outer: Mapping[str, Any]) -> Problem:
    """Return several problems as one: GraphQL's and JSON:API's, and FastAPI's with places."""
    objects = [as_dict(problem) for problem in problems[:100]]
    speaks = any(isinstance(problem, str) for problem in problems) or any(map(_message, objects))
    code = next((found for fields in objects if (found := _code_in_list(fields))), None)
    return Problem(
        joined(map(_one_of_list, problems), errors.MAX_MESSAGE) if speaks else "",
        code or _code(outer),
        {"errors": problems} if any(objects) else None,
        as_text(outer.get("request_id")),
        _seconds(outer),
        fields=dict(outer),
    )


def _code_in_list(fields: Mapping[str, Any]) -> str | None:
    extensions = as_dict(fields.get("extensions"))  # of GraphQL
    return as_text(fields.get("code") or extensions.get("code"))


def _one_of_list(problem: Any) -> str:
    if isinstance(problem, str):
        return problem
    fields = as_dict(problem)
    message = _message(fields) or brief(problem, errors.MAX_MESSAGE)
    place = fields.get("loc")
    if isinstance(place, list) and place:
        parts = (part if isinstance(part, str) else brief(part) for part in place[:20])
        message = f"{'.'.join(parts)}: {message}"
    return message
