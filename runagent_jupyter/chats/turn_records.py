"""Turns of a chat as data: as JSON for files, as rows of a table, and their sum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import runagent
from runagent import RunAgentError, StreamEvent
from runagent_jupyter.answer import FACTS
from runagent_jupyter.chats.attached import Attached
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.event_log import EventLog
from runagent_jupyter.failure import with_cells
from runagent_jupyter.prices import money, tokens_in, tokens_out, tokens_total
from runagent_jupyter.usage import AgentUsage

_ERROR = ("message", "code", "status_code", "request_id", "retry_after", "attempts", "hint")
_STATUS = ("done", "streaming", "stopped", "error")
_NUMBER = (int, float, type(None))
_KINDS: dict[str, Any] = {
    "text": str,
    "usage": dict,
    "execution_time": _NUMBER,
    "request_id": (str, type(None)),
    "cost": _NUMBER,
    "elapsed": (int, float),
    "feedback": (str, type(None)),
    "events": list,
    "agent": str,
    "attachments": list,
}
_ATTACHED: dict[str, type] = {"name": str, "kind": str, "size": int, "is_variable": bool}


def record_of(turn: Turn) -> dict[str, Any]:
    """Return a turn as JSON. Pieces of text that follow each other are one event in it."""
    if turn.role == "user":
        attached = [{name: getattr(item, name) for name in _ATTACHED} for item in turn.attachments]
        return {"role": "user", "text": turn.text} | ({"attachments": attached} if attached else {})
    named = {} if turn.agent is None else {"agent": turn.agent}
    return {
        "role": "agent",
        **named,
        "text": turn.text,
        "status": turn.status,
        "elapsed": turn.elapsed,
        **{name: getattr(turn, name) for name in FACTS},
        "feedback": turn.feedback,
        "error": None if turn.error is None else _error_record(turn.error),
        "events": [[event.kind, event.value, event.text] for event in turn.events.joined()],
    }


def turn_of(record: Any) -> Turn:
    """Return the turn of a record.

    An answer that was still coming when it was written has been stopped.

    Raises:
        ValueError: It is no record of a turn.
    """
    if not isinstance(record, dict) or record.get("role") not in ("user", "agent"):
        raise ValueError("it has a turn that is neither a question nor an answer")
    given = {name: record[name] for name in _KINDS if name in record}
    if not all(isinstance(value, _KINDS[name]) for name, value in given.items()):
        raise ValueError("a turn in it is damaged")
    events = given.pop("events", [])
    turn = Turn(record["role"])
    for name, value in given.items():
        setattr(turn, name, value)
    turn.attachments = [_attached_of(item) for item in turn.attachments]
    if turn.role == "agent":
        turn.events = EventLog(map(_event, events))
        if record.get("status") not in _STATUS:
            raise ValueError("an answer in it does not say how it ended")
        turn.status = "stopped" if record["status"] == "streaming" else record["status"]
        turn.stopped = turn.status == "stopped"
        turn.error = _error_of(record.get("error"))
    return turn


def _attached_of(record: Any) -> Attached:
    facts = {name: record[name] for name in _ATTACHED}
    if not all(isinstance(facts[name], kind) for name, kind in _ATTACHED.items()):
        raise ValueError("an attachment in it is damaged")
    return Attached(**facts)


def row_of(turn: Turn) -> dict[str, Any]:
    """Return the facts about a turn as a row of a table; those that are missing are `None`."""
    is_answer = turn.role == "agent"
    return {
        "role": turn.role,
        "text": turn.text,
        "status": turn.status,
        "input_tokens": tokens_in(turn.usage),
        "output_tokens": tokens_out(turn.usage),
        "total_tokens": tokens_total(turn.usage),
        "cost": turn.cost,
        "elapsed": turn.elapsed if is_answer else None,
        "execution_time": turn.execution_time,
        "request_id": turn.request_id,
        "feedback": turn.feedback,
        "error": None if turn.error is None else str(turn.error),
        "agent": turn.agent,
        "attachments": [item.name for item in turn.attachments] or None,
    }


def sum_of(turns: Iterable[Turn], branches: int = 1) -> str:
    """Say how many answers there are, and their tokens, time and cost, as far as they are known.

    Args:
        turns: The turns, of all branches.
        branches: The number of branches.
    """
    sums = AgentUsage("")
    for turn in turns:
        if turn.role == "agent" and turn.status != "streaming":
            sums.add(turn)
    if not sums.calls:
        return ""
    facts = [f"{sums.calls:,} answer{'' if sums.calls == 1 else 's'}", f"{sums.seconds:,.1f} s"]
    if sums.total_tokens:
        facts.append(f"{sums.total_tokens:,} tokens")
    if sums.unpriced < sums.calls:
        facts.append(f"cost {money(sums.cost)}")
    if branches > 1:
        facts.append(f"{branches:,} branches")
    return " · ".join(facts)


def _event(record: Any) -> StreamEvent:
    kind, value, text = record  # a ValueError or a TypeError if it is something else
    return StreamEvent(str(kind), value, None if text is None else str(text))


def _error_record(error: RunAgentError) -> dict[str, Any]:
    facts = {name: getattr(error, name) for name in _ERROR}
    # The numbers of cells are those of this kernel, in which the files of cells have odd names.
    notes = [with_cells(note) for note in getattr(error, "__notes__", [])]
    return {"type": type(error).__name__, **facts, "notes": notes}


def _error_of(record: Any) -> RunAgentError | None:
    if record is None:
        return None
    facts = {name: record.get(name) for name in _ERROR}
    known = getattr(runagent, str(record.get("type")), None)
    kind = known if isinstance(known, type) and issubclass(known, RunAgentError) else RunAgentError
    error: RunAgentError = kind(str(facts.pop("message")))
    for name, value in facts.items():
        setattr(error, name, value)
    vars(error)["__notes__"] = [str(note) for note in record.get("notes", [])]
    return error
