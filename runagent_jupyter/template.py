"""Replaces each `{{expression}}` in a cell's body by a value from the notebook."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from runagent import ValidationError
from runagent.encode import to_json
from runagent_jupyter.fields import as_field
from runagent_jupyter.reply import Reply
from runagent_jupyter.whole_text import NoTextError, whole_text

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

_BUILTINS = (abs, bool, dict, float, int, len, list, max, min, round, set, sorted, str, sum, tuple)

_STRING = re.compile(r'"(?:[^"\\]|\\.)*("|\Z)', re.DOTALL)


def fill(body: str, variables: Mapping[str, Any], *, is_json: bool = False) -> str:
    """Replace each `{{expression}}` by its value.

    Expressions are written in Jinja's language and evaluated in its sandbox. An inserted value is
    never evaluated again. In a JSON object, a value is inserted as JSON; within a JSON string, it
    is inserted as characters of that string. So no value can change the shape of the object.

    Args:
        body: The cell's body.
        variables: The variables that expressions may name, besides a few builtins such as `len`
            and `sorted`.
        is_json: Whether the body is a JSON object.

    Returns:
        The body with the values.

    Raises:
        ValidationError: An expression is not valid, fails, or names an unknown variable; or the
            body should be a JSON object and is not.
    """
    filled, position, in_string = [], 0, False
    found = list(_expressions(body))
    if is_json and found:
        check_json(_blank(body, found), body)
    for start, end, evaluate in found:
        text = body[position:start]
        filled.append(text)
        position = end
        in_string = is_json and _ends_in_string(text, in_string)
        source = body[start:end]
        value = _evaluate(evaluate, source, variables)
        if in_string:
            filled.append(json.dumps(_text(value, source))[1:-1])
        elif is_json:
            filled.append(_json(value, source))
        else:
            filled.append(_text(value, source))
    return "".join([*filled, body[position:]])


def fill_assignment(assignment: str, variables: Mapping[str, Any]) -> str:
    """Replace the expressions in `KEY=VALUE`.

    Args:
        assignment: The text. If VALUE is one expression, its value is inserted as JSON, so that a
            table stays one; otherwise values are inserted as text.
        variables: The variables that expressions may name.

    Returns:
        The text with the values.

    Raises:
        ValidationError: As from `fill`.
    """
    key, equals, value = assignment.partition("=")
    if equals and "{{" not in key and (source := value.strip()).startswith("{{"):
        found = list(_expressions(source))
        if [(start, end) for start, end, _ in found] == [(0, len(source))]:
            return f"{key}={_json(_evaluate(found[0][2], source, variables), source)}"
    return fill(assignment, variables)


def value_of(expression: str, variables: Mapping[str, Any]) -> Any:
    """Return the value of an expression that stands by itself, without braces.

    Args:
        expression: The expression, in the language of `fill`.
        variables: The variables that it may name.

    Returns:
        The value; that of a reply is the agent's answer.

    Raises:
        ValidationError: The expression is not valid, fails, or names an unknown variable.
    """
    evaluate, problem = _compiled(expression)
    if evaluate is None:
        raise ValidationError(
            f"{expression!r} is not a valid expression: {problem}.", code="TEMPLATE"
        )
    return _unwrapped(_evaluate(evaluate, expression, variables))


def looks_like_json(body: str) -> bool:
    """Whether a body begins like a JSON object; `{{` begins an expression."""
    text = body.lstrip()
    return text.startswith("{") and not text.startswith("{{")


def check_json(text: str, shown: str) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        text: The JSON.
        shown: The text with the same lines that an error quotes.

    Returns:
        The object.

    Raises:
        ValidationError: The text is not a JSON object; the message says where the fault is.
    """
    try:
        data: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as exc:
        line = "".join(shown.split("\n")[exc.lineno - 1 : exc.lineno]).strip()
        raise ValidationError(
            f"The body begins with {{ but is not JSON: {exc.msg} "
            f"in line {exc.lineno}, column {exc.colno}: {line!r}.",
            code="INVALID_INPUT",
            hint="Correct it, or add --text to send it as text.",
        ) from None
    except RecursionError:
        raise ValidationError("The JSON is nested too deeply.", code="INVALID_INPUT") from None
    return data


def _expressions(body: str) -> Iterator[tuple[int, int, Callable[..., Any]]]:
    """Find expressions: the position and the end of each, and the function that evaluates it."""
    position = 0
    while (start := body.find("{{", position)) >= 0:
        line_end = body.find("\n", start)
        line_end = len(body) if line_end < 0 else line_end
        evaluate, position = _compile(body, start, line_end)
        yield start, position, evaluate


def _compile(body: str, start: int, line_end: int) -> tuple[Callable[..., Any], int]:
    problem = "it has no }} on its line"
    end = start + 2
    # An expression may have braces of its own. It ends at the first }} that makes it valid.
    while (end := body.find("}}", end, line_end)) >= 0:
        evaluate, problem = _compiled(body[start + 2 : end])
        if evaluate is not None:
            return evaluate, end + 2
        end += 1
    raise ValidationError(
        f"{body[start:line_end]!r} cannot be filled in: {problem}.",
        code="TEMPLATE",
        hint="To send braces as they are, add --no-template.",
    )


def _compiled(source: str) -> tuple[Callable[..., Any] | None, str]:
    """Return the function that evaluates an expression, or `None` and the fault in it."""
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - only for templates

    try:
        evaluate: Any = _environment().compile_expression(source, undefined_to_none=False)
    except TemplateSyntaxError as exc:
        return None, (exc.message or "it is not an expression").rstrip(".")
    return evaluate, ""


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    from jinja2 import StrictUndefined  # noqa: PLC0415
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    own = {function.__name__: function for function in _BUILTINS}
    # Jinja's other globals, such as `lipsum` and `cycler`, are left out.
    environment.globals = {"range": environment.globals["range"], **own}
    return environment


def _evaluate(evaluate: Callable[..., Any], source: str, variables: Mapping[str, Any]) -> Any:
    from jinja2 import StrictUndefined, UndefinedError  # noqa: PLC0415
    from jinja2.runtime import TemplateReference  # noqa: PLC0415

    try:
        value = evaluate(variables)
        if isinstance(value, StrictUndefined):
            str(value)
        own = _environment().globals.values()
        if any(value is function for function in own) or isinstance(value, TemplateReference):
            raise TypeError("this name belongs to the template and is not a value")
    except UndefinedError as exc:
        raise ValidationError(
            f"{source} cannot be filled in: {exc.message}.",
            code="TEMPLATE",
            hint="Define it in a cell above, or add --no-template to send braces as they are.",
        ) from None
    except Exception as exc:
        raise ValidationError(
            f"{source} cannot be filled in: {type(exc).__name__}: {exc}.", code="TEMPLATE"
        ) from exc
    return value


def _json(value: Any, source: str) -> str:
    return to_json(as_field(_unwrapped(value), source), source).decode()


def _unwrapped(value: Any) -> Any:
    """Return the value to write as JSON: the value of a reply, or of text that `tojson` made."""
    if isinstance(value, Reply):
        return value.value
    if hasattr(value, "__html__") and isinstance(value, str):
        with suppress(ValueError):
            return json.loads(value)
    return value


def _text(value: Any, source: str) -> str:
    """Return a value as text. Tables and arrays are written whole; `str` would leave gaps."""
    problem, hint = "", None
    try:
        return whole_text(value)
    except NoTextError as exc:
        problem, hint = str(exc), exc.hint
    except Exception as exc:
        raise ValidationError(
            f"{source} cannot be filled in as text: {type(exc).__name__}: {exc}.", code="TEMPLATE"
        ) from exc
    raise ValidationError(
        f"{source} cannot be filled in as text: {problem}.", code="TEMPLATE", hint=hint
    )


def _blank(body: str, found: list[tuple[int, int, Callable[..., Any]]]) -> str:
    """Return the JSON body with a number of the same length in the place of each expression."""
    text = body
    for start, end, _ in found:
        text = f"{text[:start]}{'0'.ljust(end - start)}{text[end:]}"
    return text


def _ends_in_string(text: str, in_string: bool) -> bool:
    """Whether a piece of JSON ends within a string, given whether it began within one."""
    strings = _STRING.finditer('"' + text if in_string else text)
    return any(not string[1] for string in strings)
