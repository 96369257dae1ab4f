"""The documented cloud API: `/v1/agents/{id}/invoke`, and `/stream` with server-sent events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from runagent import errors
from runagent.results import RateLimit, RunResult, cost_in, number
from runagent.wire.error_answers import error_from, is_error, unreadable
from runagent.wire.interface import Input, Outgoing, Wire
from runagent.wire.rest_events import EventStreamReader
from runagent.wire.text import as_dict, as_text, parse_json

_EVENT_STREAM = "text/event-stream"

_NOT_THE_AGENT = "Check the base URL: something between here and the agent may have answered."


@dataclass(frozen=True)
class RestWire(Wire):
    """Speaks the documented API with one agent."""

    name: ClassVar[str] = "rest"

    def invoke(self, data: Input) -> Outgoing:
        """Return the request that runs the agent."""
        return self._post("invoke", data, "application/json")

    def stream(self, data: Input) -> Outgoing:
        """Return the request that starts a stream."""
        return self._post("stream", data, _EVENT_STREAM)

    def health(self) -> Outgoing:
        """Return the request that asks for the agent's health."""
        url = f"{self.base_url}/v1/agents/{self.agent}/health"
        return Outgoing("GET", url, None, {"Accept": "application/json"})

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
        if streams:
            # Two headers of that name arrive as one, with a comma.
            kinds = headers.get("content-type", _EVENT_STREAM).lower().split(",")
            return status == 200 and any(  # noqa: PLR2004
                kind.partition(";")[0].strip() == _EVENT_STREAM for kind in kinds
            )
        return 200 <= status < 300  # noqa: PLR2004

    def answer(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        max_message_size: int | None = None,
    ) -> RunResult:
        """Read a 2xx response in either documented shape, or as the bare result."""
        try:
            data = parse_json(body, max_message_size)
        except ValueError as exc:
            raise unreadable(status, headers, body, exc, _NOT_THE_AGENT) from None
        if is_error(data):
            raise error_from(status, headers, body, data)
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
            agent_version=as_text(version),
            request_id=as_text(request_id),
            metadata=metadata,
            status_code=status,
            rate_limit=RateLimit.from_headers(headers),
            raw=data,
            cost=cost_in(*_envelopes(data), metadata, usage),
        )

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> errors.RunAgentError:
        """Return the exception for a response that is not accepted, whatever its body."""
        error = error_from(status, headers, body)
        if status < 300:  # noqa: PLR2004
            error.code = error.code or "INVALID_RESPONSE"
            error.hint = f"A stream was expected. {_NOT_THE_AGENT}"
        return error

    def reader(self, data: Input, max_message_size: int) -> EventStreamReader:  # noqa: ARG002
        """Return a reader for the events of a stream."""
        return EventStreamReader(max_message_size)


def _envelopes(data: Any) -> list[dict[str, Any]]:
    """Return the objects around the result of a decoded answer; none if it is the bare result."""
    if not isinstance(data, dict):
        return []
    inner = data.get("data")
    if data.get("status") == "success" and isinstance(inner, dict) and "result" in inner:
        return [data, inner]
    return [data] if "result" in data else []


def _unwrap(data: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return result, usage and metadata of a decoded response."""
    if isinstance(data, dict):
        inner = data.get("data")
        if data.get("status") == "success" and isinstance(inner, dict) and "result" in inner:
            data = {"usage": data.get("usage"), "metadata": data.get("metadata"), **inner}
        if "result" in data:
            return data["result"], as_dict(data.get("usage")), as_dict(data.get("metadata"))
    return data, {}, {}
