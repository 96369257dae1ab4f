"""Writes a cell that asks with the magic the question that was asked in a chat."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from runagent import AsyncRunAgentClient, RunAgentError


def cell_source(
    client: AsyncRunAgentClient,
    question: str,
    *,
    field: str,
    entrypoint: str | None,
    context: Mapping[str, Any],
    variables: Sequence[str] = (),
) -> str:
    """Write the source of a cell.

    Args:
        client: The chat's client; its key is left out.
        question: The question.
        field: The field that carries the question.
        entrypoint: The agent's entrypoint; `None` for the usual one.
        context: The fields that go along; a value that JSON cannot express is left out.
        variables: The names of variables that go along.

    Returns:
        The cell's source.
    """
    options = ["--text", "--no-template"]
    if field != "query":
        options += ["--field", field]
    if entrypoint is not None:
        options += ["--entrypoint", entrypoint]
    if client.base_url != _default_base_url(client.agent_id):
        options += ["--base-url", client.base_url]
    for name, value in context.items():
        with contextlib.suppress(TypeError, ValueError):
            # Without an apostrophe, one pair of them holds the whole together.
            encoded = json.dumps(value, ensure_ascii=False).replace("'", "\\u0027")
            options += ["--set", f"{name}={encoded}"]
    for name in variables:
        options += ["--input", name]
    line = shlex.join(["%%runagent", client.agent_id, *options])
    return f"{line}\n{question}"


def _default_base_url(agent_id: str) -> str | None:
    """Return the base URL that a client of this agent has without an argument for it."""
    try:
        return AsyncRunAgentClient(agent_id, api_key="none").base_url
    except RunAgentError:
        return None
