"""Asks a local server by plain HTTP, and reads its answers as the protocol describes them."""

from __future__ import annotations

import json
from typing import Any

import httpx2

from runagent.local import Server

Event = tuple[str, Any]


class Caller:
    """A server and a client of it."""

    def __init__(self, server: Server, http: httpx2.Client) -> None:
        self.server = server
        self.http = http

    def invoke(self, agent_id: str = "a", /, **input_data: Any) -> httpx2.Response:
        return self.http.post(f"/v1/agents/{agent_id}/invoke", json=input_data)

    def result(self, agent_id: str = "a", /, **input_data: Any) -> Any:
        answer = self.invoke(agent_id, **input_data)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def error(self, agent_id: str = "a", /, **input_data: Any) -> dict[str, Any]:
        answer = self.invoke(agent_id, **input_data)
        error: dict[str, Any] = answer.json()["error"]
        assert error["status"] == answer.status_code
        assert error["request_id"] == answer.headers["x-request-id"]
        return error

    def events(self, agent_id: str = "a", /, **input_data: Any) -> list[Event]:
        answer = self.http.post(f"/v1/agents/{agent_id}/stream", json=input_data)
        assert answer.status_code == 200, answer.text
        return read_events(answer.text)

    def chunks(self, agent_id: str = "a", /, **input_data: Any) -> list[Any]:
        events = self.events(agent_id, **input_data)
        assert events[0][0] == "start"
        assert events[-1][0] == "done", events[-1]
        data = [value for kind, value in events if kind == "chunk"]
        assert [value["index"] for value in data] == list(range(len(data)))
        return [value["content"] for value in data]


def read_events(text: str) -> list[Event]:
    assert text.endswith("\n\n")
    events = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        if block.startswith(":"):
            events.append(("comment", block[1:].strip()))
            continue
        event, data = block.split("\n")
        events.append((event.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events
