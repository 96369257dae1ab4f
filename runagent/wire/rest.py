"""The documented cloud API: `/v1/agents/{id}/invoke`, and `/stream` with server-sent events."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from runagent import errors
from runagent.results import RateLimit, RunResult, StreamEvent, number
from runagent.wire import Input, Outgoing, chunk_text, describe, excerpt, parse_json
from runagent.wire.sse import EventTooLargeError, SSEDecoder

_EVENT_STREAM = "text/event-stream"

_NOT_THE_AGENT = "Check the base URL: something between here and the agent may have answered."


@dataclass(frozen=True)
class RestWire:
    """Speaks the documented API with one agent.

    Attributes:
        base_url: The server, without `/v1`.
        agent: The agent's id, quoted for a path.
    """

    base_url: str
    agent: str
    name: str = "rest"

    def invoke(self, data: Input) -> Outgoing:
        """Return the request that runs the agent."""
        return self._post("invoke", data, "application/json")

    def stream(self, data: Input) -> Outgoing:
        """Return the request that starts a stream."""
        return self._post("stream", data, _EVENT_STREAM)

    def _post(self, action: str, data: Input, accept: str) -> Outgoing:
        return Outgoing(
            "POST",
            f"{self.base_url}/v1/agents/{self.agent}/{action}",
            data.content,
            {"Content-Type": "application/json", "Accept": accept},
        )

    def accepts(
        self,
        sent: Outgoing,  # noqa: ARG002
        status: int,
        headers: Mapping[str, str],
        *,
        streams: bool,
    ) -> bool:
        """Whether the status is good and, for a stream, the content type too."""
        kind = headers.get("content-type", _EVENT_STREAM).partition(";")[0].strip().lower()
        if streams:
            return status == 200 and kind == _EVENT_STREAM  # noqa: PLR2004
        return 200 <= status < 300  # noqa: PLR2004

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> RunResult:
        """Read a 2xx answer in either documented shape, or as the bare result."""
        try:
            data = parse_json(body)
        except ValueError as exc:
            raise errors.RunAgentError(
                f"The server answered with {describe(body)} instead of JSON ({exc}).",
                code="INVALID_RESPONSE",
                status_code=status,
                request_id=headers.get("x-request-id"),
                hint=_NOT_THE_AGENT,
            ) from None
        result, usage, metadata = _unwrap(data)
        tokens = number(metadata.get("tokens_used", usage.get("total_tokens")))
        version = metadata.get("agent_version")
        request_id = metadata.get("request_id") or headers.get("x-request-id")
        return RunResult(
            result=result if isinstance(result, dict) else {"result": result},
            value=result,
            usage=usage,
            execution_time=number(metadata.get("execution_time")),
            tokens_used=None if tokens is None else int(tokens),
            agent_version=None if version is None else str(version),
            request_id=None if request_id is None else str(request_id),
            metadata=metadata,
            status_code=status,
            rate_limit=RateLimit.from_headers(headers),
            raw=data,
        )

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> errors.RunAgentError:
        """Read an answer that is not accepted, whatever its body."""
        error = error_from(status, headers, body)
        if status < 300:  # noqa: PLR2004
            error.code = error.code or "INVALID_RESPONSE"
            error.hint = f"A stream was expected. {_NOT_THE_AGENT}"
        return error

    def reader(self, data: Input, max_message_size: int) -> EventStreamReader:  # noqa: ARG002
        """Return what reads the events of a stream."""
        return EventStreamReader(max_message_size)


def _unwrap(data: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return result, usage and metadata of a decoded answer."""
    if isinstance(data, dict):
        inner = data.get("data")
        if data.get("status") == "success" and isinstance(inner, dict) and "result" in inner:
            data = {"usage": data.get("usage"), "metadata": data.get("metadata"), **inner}
        if "result" in data:
            return data["result"], _dict(data.get("usage")), _dict(data.get("metadata"))
    return data, {}, {}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


class EventStreamReader:
    """Reads the events of one stream."""

    def __init__(self, max_message_size: int) -> None:
        """Start reading; an event of more than `max_message_size` bytes is an error."""
        self._decoder = SSEDecoder(max_message_size)

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes; return the events they complete."""
        try:
            return [_event(event, text) for event, text in self._decoder.feed(data)]
        except EventTooLargeError as exc:
            return [_broken(f"{exc}; max_message_size= can raise the limit", "MESSAGE_TOO_LARGE")]

    def outgoing(self) -> bytes:
        """Return nothing: this wire only listens."""
        return b""

    def closing(self) -> bytes:
        """Return nothing: closing the connection says it all."""
        return b""

    def failure(self, event: StreamEvent) -> errors.RunAgentError:
        """Return the exception for an `"error"` event."""
        problem = _dict(event.value)
        if isinstance(problem.get("error"), dict):
            problem = problem["error"]
        message = problem.get("message") or problem.get("error") or event.value
        code = problem.get("code")
        return errors.StreamError(
            message
            if isinstance(message, str) and message
            else f"The stream failed with {message!r}.",
            code=None if code is None else str(code),
            details=problem or None,
            retry_after=number(problem.get("retry_after")),
            request_id=_text(problem.get("request_id")),
        )


def _event(kind: str, text: str) -> StreamEvent:
    try:
        value = parse_json(text)
    except ValueError as exc:
        if kind == "chunk":
            return _broken(f"a chunk is not JSON ({exc}): {excerpt(text)!r}", "INVALID_RESPONSE")
        value = text
    if kind != "chunk":
        return StreamEvent(kind, value)
    if isinstance(value, dict) and "content" in value:
        value = value["content"]
    return StreamEvent(kind, value, chunk_text(value))


def _broken(problem: str, code: str) -> StreamEvent:
    return StreamEvent("error", {"error": f"The stream cannot be read: {problem}.", "code": code})


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
        _text(problem.get("code")),
        details if isinstance(details, dict) else {"details": details} if details else None,
        status_code=status,
        request_id=_text(request_id),
        retry_after=retry_after(headers, problem, limited=kind is errors.RateLimitError),
        hint=errors.hint_for(kind),
    )


def _problem(body: bytes) -> dict[str, Any]:
    """Return the fields of an error body: the documented shape, and what frameworks send."""
    try:
        data = _dict(parse_json(body))
    except ValueError:
        return {}
    problem = data.get("error")
    if isinstance(problem, str):
        return {**data, "message": problem}
    if isinstance(problem, dict):
        return problem
    if "detail" in data:
        return {"message": _detail(data["detail"]), **data}
    return data


def _detail(detail: Any) -> str:
    """Return the message in what FastAPI sends: a text, or a list of what is wrong and where."""
    if isinstance(detail, str):
        return detail
    try:
        problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in detail]
    except (TypeError, KeyError):
        return excerpt(str(detail))
    return excerpt("; ".join(problems))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def retry_after(
    headers: Mapping[str, str], problem: Mapping[str, Any], *, limited: bool
) -> float | None:
    """Return the seconds a server asks to wait, zero or more, `None` if it does not say.

    `Retry-After` counts first (seconds or a date), then the body's `retry_after`, then, where a
    rate limit was met, `X-RateLimit-Reset-After` and `X-RateLimit-Reset`.
    """
    header = headers.get("retry-after")
    candidates = [number(header), _seconds_until(header)]
    candidates += [
        number(problem.get("retry_after")),
        number(_dict(problem.get("details")).get("retry_after")),
    ]
    if limited:
        limit = RateLimit.from_headers(headers)
        candidates.append(limit.reset_after)
        candidates.append(None if limit.reset is None else limit.reset - time.time())
    return next((max(0.0, seconds) for seconds in candidates if seconds is not None), None)


def _seconds_until(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date or "").timestamp() - time.time()
    except (TypeError, ValueError, OverflowError):
        return None
