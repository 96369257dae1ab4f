"""Makes the input for an agent of a cell's body, its options and the notebook's variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from runagent import ValidationError
from runagent_jupyter.fields import as_fields, is_dictionary
from runagent_jupyter.magic_line.options import AskOptions
from runagent_jupyter.reply import Reply
from runagent_jupyter.templates.template import check_json, fill, looks_like_json, value_of

_BRACES = re.compile(r"\s*\{\{(.*)\}\}\s*", re.DOTALL)


def input_of(
    options: AskOptions,
    body: str,
    variables: Mapping[str, Any],
    session_id: str | None,
    *,
    needs_values: bool = False,
) -> dict[str, Any]:
    """Make the input of a call.

    Args:
        options: The options of the magic.
        body: The cell's body, or the question on the line.
        variables: The variables that the body and `--input` may name.
        session_id: The id of the session, if `--session` names one.
        needs_values: Whether `None` in a text is an error, as of a row without a value.

    Returns:
        The input: the JSON in the body, or the body as text in its field, and beside it the values
        of `--input`, each under its name. A dictionary that is named alone is the input itself, and
        another value without a question is the question.

    Raises:
        ValidationError: There is no question, there are two, or it cannot be read.
    """
    is_json = looks_like_json(body) and not options.text
    if "{{" in body and not options.no_template:
        # Filling in comes before reading the JSON, but depends on whether it is JSON.
        body = fill(body, variables, is_json=is_json, needs_values=needs_values)
    given = _inputs(options, variables)
    if not (body.strip() or options.set or options.input):
        raise ValidationError(
            f"There is no question for {options.agent!r}.",
            code="USAGE",
            hint="Write it below %%runagent, or behind the agent's id with %runagent.",
        )
    question: dict[str, Any] = {}
    if is_json:
        question = check_json(body, body)
    elif body.strip():
        question = {options.field: body}
    data = _joined(given, question, options)
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
    given = _inputs(options, variables)
    lone = _lone(given, options)
    return as_fields(lone[0] if lone and is_dictionary(lone[0]) else given) | options.fields()


def _inputs(options: AskOptions, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all `--input` by the names of their fields."""
    found: dict[str, Any] = {}
    for given in options.input:
        name, equals, expression = given.partition("=")
        name = name.strip()
        if not name.isidentifier():
            raise ValidationError(
                f"--input {given!r} is neither NAME nor NAME=EXPRESSION.",
                code="USAGE",
                hint=f"Give the value a name: --input rows={given}",
            )
        if name in found:
            raise ValidationError(f"--input names {name!r} twice.", code="USAGE")
        if equals:
            # Braces are not needed here, but nothing else could be meant by them.
            inner = _BRACES.fullmatch(expression)
            value = value_of((inner[1] if inner else expression).strip(), variables)
        elif name in variables:
            value = variables[name]
            value = value.value if isinstance(value, Reply) else value
        else:
            raise ValidationError(f"--input: there is no variable {name!r}.", code="USAGE")
        found[name] = value
    return found


def _lone(given: dict[str, Any], options: AskOptions) -> list[Any]:
    """Return the value that is the only one and has no other name than its own, if there is one."""
    return list(given.values()) if len(given) == 1 and options.input == tuple(given) else []


def _joined(given: dict[str, Any], question: dict[str, Any], options: AskOptions) -> dict[str, Any]:
    """Return the input with the values and the question."""
    lone = _lone(given, options)
    if lone and is_dictionary(lone[0]):
        return {**as_fields(lone[0]), **question}
    if lone and not question:
        return as_fields({options.field: lone[0]})
    for name in given.keys() & question.keys():
        raise ValidationError(
            f"--input {name} and the question are both the field {name!r}.",
            code="USAGE",
            hint="Give one of them another name: --input NAME=EXPRESSION, or --field KEY.",
        )
    return as_fields(given) | question
