"""Makes the input for an agent of a cell's body, its options and the notebook's variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runagent import ValidationError
from runagent_jupyter.options import AskOptions
from runagent_jupyter.reply import Reply
from runagent_jupyter.template import check_json, fill, looks_like_json


def input_of(
    options: AskOptions, body: str, variables: Mapping[str, Any], session_id: str | None
) -> dict[str, Any]:
    """Make the input of a call.

    Args:
        options: The options of the magic.
        body: The cell's body, or the question on the line.
        variables: The variables that the body and `--input` may name.
        session_id: The id of the session, if `--session` names one.

    Returns:
        The input: a variable, the JSON in the body, or the body as text in its field.

    Raises:
        ValidationError: There is no question, there are two, or it cannot be read.
    """
    is_json = looks_like_json(body) and not (options.text or options.input)
    if "{{" in body and not options.no_template:
        # Filling in comes before reading the JSON, but depends on whether it is JSON.
        body = fill(body, variables, is_json=is_json)
    if options.input:
        data = _with_variable(options, body, variables)
    elif not body.strip() and not options.set:
        raise ValidationError(
            f"There is no question for {options.agent!r}.",
            code="USAGE",
            hint="Write it below %%runagent, or behind the agent's id with %runagent.",
        )
    elif is_json:
        data = check_json(body, body)
    else:
        data = {options.field: body} if body.strip() else {}
    data |= options.fields()
    if session_id is not None:
        if "session_id" in data:
            raise ValidationError(
                "--session and the input's own session_id exclude each other.", code="USAGE"
            )
        data["session_id"] = session_id
    return data


def chat_context(options: AskOptions, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that go along with every question of a chat.

    Raises:
        ValidationError: `--input` names an unknown variable, or `--set` is not KEY=VALUE.
    """
    context: dict[str, Any] = {}
    if options.input:
        value = _variable(options.input, variables)
        context = dict(value) if isinstance(value, Mapping) else {options.input: value}
    return context | options.fields()


def _with_variable(options: AskOptions, body: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    value = _variable(options.input or "", variables)
    if not isinstance(value, Mapping):
        if body.strip():
            raise ValidationError("--input and the body are both the question.", code="USAGE")
        return {options.field: value}
    return {**value, options.field: body} if body.strip() else dict(value)


def _variable(name: str, variables: Mapping[str, Any]) -> Any:
    if name not in variables:
        raise ValidationError(f"--input: there is no variable {name!r}.", code="USAGE")
    value = variables[name]
    return value.value if isinstance(value, Reply) else value
