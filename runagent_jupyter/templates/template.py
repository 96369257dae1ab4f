"""Replaces each `{{expression}}` in a cell's body by a value from the notebook."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from runagent import ValidationError
from runagent.encode import to_json
from runagent_jupyter.data.whole_text import NoTextError, whole_text
from runagent_jupyter.fields import as_field
from runagent_jupyter.reply import Reply
from runagent_jupyter.templates.bounds import Budget, TooMuchError
from runagent_jupyter.templates.reach import NotDataError

if TYPE_CHECKING:
    from runagent_jupyter.templates.expressions import Expression

LONGEST = 4_000
"""The characters that an expression may have."""

MISSING = "MISSING_VALUE"
"""The code of the error about a value that a row does not have."""

_SHOWN = 200
"""The characters of an expression that a message about its grammar shows."""

# The parts of an expression that matter for its end: texts in quotes, and braces.
_PART = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[{}]""")

_STRING = re.compile(r'"(?:[^"\\]|\\.)*("|\Z)', re.DOTALL)


def fill(
    body: str, variables: Mapping[str, Any], *, is_json: bool = False, needs_values: bool = False
) -> str:
    """Replace each `{{expression}}` by its value.

    Expressions are written in Jinja's language. They reach data and not code, because a body may
    have been pasted from anywhere. An inserted value is never evaluated again. In a JSON object, a
    value is inserted as JSON; within a JSON string, it is inserted as characters of that string. So
    no value can change the shape of the object.

    Args:
        body: The cell's body.
        variables: The variables that expressions may name, besides a few builtins such as `len`
            and `sorted`.
        is_json: Whether the body is a JSON object.
        needs_values: Whether `None` in a text is an error, as of a row without a value.

    Returns:
        The body with the values.

    Raises:
        ValidationError: An expression is not valid, fails, names an unknown variable, or asks for
            something else than data; or the body should be a JSON object and is not.
    """
    filled, position, in_string, budget = [], 0, False, Budget()
    found = list(_expressions(body))
    if is_json and found:
        check_json(_blank(body, found), body)
    for start, end, expression in found:
        text = body[position:start]
        filled.append(text)
        position = end
        in_string = is_json and _ends_in_string(text, in_string)
        source = body[start:end]
        value = _evaluate(expression, source, variables, budget)
        if needs_values and value is None and (in_string or not is_json):
            raise ValidationError(
                f"{source} has no value here.",
                code=MISSING,
                hint='To ask all the same, write what stands for it: {{ NAME or "unknown" }}.',
            )
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
            table stays one and a text stays text. Within JSON, values are inserted as JSON too, and
            in any other text as text.
        variables: The variables that expressions may name.

    Returns:
        The text, with JSON behind the equals sign.

    Raises:
        ValidationError: As from `fill`.
    """
    key, equals, value = assignment.partition("=")
    source = value.strip()
    if not equals or "{{" in key or "{{" not in source:
        return fill(assignment, variables)
    found = list(_expressions(source))
    if [(start, end) for start, end, _ in found] == [(0, len(source))]:
        filled = _json(_evaluate(found[0][2], source, variables, Budget()), source)
    elif _is_json(_blank(source, found)):
        filled = fill(source, variables, is_json=True)
    else:
        filled = json.dumps(fill(value, variables), ensure_ascii=False)
    return f"{key}={filled}"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return not text.lstrip().startswith(tuple("-0123456789"))  # digits around an expression


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
    parsed, problem = _parsed(expression)
    if parsed is None:
        raise ValidationError(
            f"{expression!r} is not a valid expression: {problem}.",
            code="TEMPLATE",
            hint="It is one of Jinja's expression language.",
        )
    return _unwrapped(_evaluate(parsed, expression, variables, Budget()))


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


def expression_end(text: str, start: int) -> int | None:
    """Find the end of an expression: the first `}}` that is in no text and closes no brace of it.

    Args:
        text: A text.
        start: The position of `{{` in it.

    Returns:
        The position behind `}}`, or `None` if there is none on the same line.
    """
    stop = text.find("\n", start)
    stop = min(len(text) if stop < 0 else stop, start + LONGEST)
    position, depth = start + 2, 0
    while part := _PART.search(text, position, stop):
        position = part.end()
        if part[0] == "{":
            depth += 1
        elif part[0] == "}" and depth:
            depth -= 1
        elif part[0] == "}" and text[position:stop].startswith("}"):
            return position + 1
    return None


def _expressions(body: str) -> Iterator[tuple[int, int, Expression]]:
    """Find expressions: the position and the end of each, and the expression."""
    position = 0
    while (start := body.find("{{", position)) >= 0:
        end = expression_end(body, start)
        shown = body[start : start + LONGEST].partition("\n")[0]
        if end is None:
            raise _cannot(shown, "it has no }} on its line")
        expression, problem = _parsed(body[start + 2 : end - 2])
        if expression is None:
            raise _cannot(body[start:end], problem)
        yield start, end, expression
        position = end


@functools.lru_cache(maxsize=64)
def _parsed(source: str) -> tuple[Expression | None, str]:
    """Return an expression, or `None` and the fault in it."""
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - only for templates

    from runagent_jupyter.templates.expressions import Expression  # noqa: PLC0415

    try:
        return Expression(source), ""
    except TemplateSyntaxError as exc:
        return None, (exc.message or "it is not an expression").rstrip(".")
    except RecursionError:
        return None, "it is nested too deeply"


def _cannot(source: str, problem: str) -> ValidationError:
    shown = source if len(source) <= _SHOWN else f"{source[:_SHOWN]}…"
    return ValidationError(
        f"{shown!r} cannot be filled in: {problem}.",
        code="TEMPLATE",
        hint="Braces hold an expression of Jinja's language. "
        "To send them as they are, add --no-template.",
    )


def _evaluate(
    expression: Expression, source: str, variables: Mapping[str, Any], budget: Budget
) -> Any:
    from jinja2 import StrictUndefined, UndefinedError  # noqa: PLC0415

    try:
        value = expression.value(variables, budget, lambda value: _text(value, source))
        if isinstance(value, StrictUndefined):
            str(value)
        budget.filled_in(value)
    except ValidationError:
        raise
    except UndefinedError as exc:
        problem = f"{exc.message}."
        hint = "Define it in a cell above, or add --no-template to send braces as they are."
    except NotDataError as exc:
        problem = f"{exc}. Templates reach data, not code."
        hint = (
            "Compute the value in a cell above, and fill its variable in. Braces hold an "
            "expression of Jinja's language; to send them as they are, add --no-template."
        )
    except TooMuchError as exc:
        problem = f"{exc}."
        hint = "Compute the value in a cell above, and fill its variable in."
    except Exception as exc:
        raise ValidationError(
            f"{source} cannot be filled in: {type(exc).__name__}: {exc}.", code="TEMPLATE"
        ) from exc
    else:
        return value
    raise ValidationError(f"{source} cannot be filled in: {problem}", code="TEMPLATE", hint=hint)


def _json(value: Any, source: str) -> str:
    return to_json(as_field(_unwrapped(value), source), source).decode()


def _unwrapped(value: Any) -> Any:
    """Return the value to write as JSON: the value of a reply, or of text that `tojson` made."""
    from runagent_jupyter.templates.expressions import Json  # noqa: PLC0415 - loaded with the expression

    if isinstance(value, Reply):
        return value.value
    return json.loads(value) if isinstance(value, Json) else value


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


def _blank(body: str, found: list[tuple[int, int, Expression]]) -> str:
    """Return the JSON body with a number of the same length in the place of each expression."""
    parts, position = [], 0
    for start, end, _ in found:
        parts += [body[position:start], "0".ljust(end - start)]
        position = end
    return "".join([*parts, body[position:]])


def _ends_in_string(text: str, in_string: bool) -> bool:
    """Whether a piece of JSON ends within a string, given whether it began within one."""
    strings = _STRING.finditer('"' + text if in_string else text)
    return any(not string[1] for string in strings)
