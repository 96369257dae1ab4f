"""Answers that are errors, in the shapes of all kinds of servers, as exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runagent import errors
from runagent.retry import retry_after
from runagent.wire.text import as_dict, as_text, describe, excerpt, parse_json


def error_from(status: int, headers: Mapping[str, str], body: bytes) -> errors.RunAgentError:
    """Return the exception for an answer that is not a good one, whatever its body."""
    problem = _problem(body)
    details = problem.get("details")
    kind = errors.for_status(status)
    message = problem.get("message")
    if not isinstance(message, str) or not message:
        message = f"The server answered {status} with {describe(body)}."
    request_id = problem.get("request_id") or headers.get("x-request-id")
    return kind(
        message,
        as_text(problem.get("code")),
        details if isinstance(details, dict) else {"details": details} if details else None,
        status_code=status,
        request_id=as_text(request_id),
        retry_after=retry_after(headers, problem, limited=kind is errors.RateLimitError),
        hint=_advice(problem) or errors.hint_for(kind),
    )


def _problem(body: bytes) -> dict[str, Any]:
    """Return the fields of an error's body, in the documented shape or in that of a framework."""
    try:
        data = as_dict(parse_json(body))
    except ValueError:
        return {}
    problem = data.get("error")
    if isinstance(problem, str):
        return {**data, "message": problem}
    if isinstance(problem, dict):
        # The envelope of `runagent serve` has the id, and the error inside has not.
        return {**{key: data[key] for key in ("request_id",) if key in data}, **problem}
    if "detail" in data:
        return {"message": _detail(data["detail"]), **data}
    return data


def _advice(problem: Mapping[str, Any]) -> str | None:
    advice = problem.get("suggestion") or problem.get("hint")
    return excerpt(advice, 500) if isinstance(advice, str) and advice else None


def _detail(detail: Any) -> str:
    """Return the message in FastAPI's `detail`: a text, or a list of problems and their places."""
    if isinstance(detail, str):
        return detail
    try:
        problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in detail]
    except (TypeError, KeyError):
        return excerpt(str(detail))
    return excerpt("; ".join(problems))
