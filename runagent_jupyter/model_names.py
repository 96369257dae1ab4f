"""The type that `--as` names: a class of the notebook, or a type made of such."""

from __future__ import annotations

import ast
import builtins
import functools
import operator
import typing
from collections.abc import Mapping
from typing import Any

from runagent import ValidationError
from runagent.response_models import check_model


def model_of(text: str, variables: Mapping[str, Any]) -> Any:
    """Find the type that a text names.

    Args:
        text: `Model`, `module.Model`, `list[Model]`, `dict[str, Model]`, `Model | None` and so on.
            Nothing else of Python is evaluated.
        variables: The variables of the notebook.

    Returns:
        The type.

    Raises:
        ValidationError: The text names no type.
    """
    try:
        model = _type_in(ast.parse(text.strip(), mode="eval").body, variables)
        check_model(model)
    except (AttributeError, SyntaxError, TypeError, ValueError, _NotATypeError) as exc:
        reason = "" if isinstance(exc, (SyntaxError, ValidationError)) else f": {exc}"
        raise ValidationError(
            f"--as {text!r} names no type{reason}.",
            code="USAGE",
            hint="Define a pydantic model or a dataclass in a cell above, and name it: "
            "--as Model, or --as list[Model].",
        ) from None
    return model


class _NotATypeError(Exception):
    """A part of the text is not the name of a type."""


def _type_in(node: ast.expr, variables: Mapping[str, Any]) -> Any:
    read = functools.partial(_type_in, variables=variables)
    match node:
        case ast.Name(id=name):
            return _named(name, variables)
        case ast.Constant(value=None):
            return None
        case ast.Attribute(value=owner, attr=name) if not name.startswith("_"):
            return getattr(read(owner), name)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return operator.or_(read(left), read(right))
        case ast.Subscript(value=generic, slice=ast.Tuple(elts=parts)):
            return read(generic)[tuple(_checked(read(part)) for part in parts)]
        case ast.Subscript(value=generic, slice=part):
            return read(generic)[_checked(read(part))]
    raise _NotATypeError(f"{ast.unparse(node)!r} is not the name of one")


def _checked(part: Any) -> Any:
    if part is not None:
        check_model(part)
    return part


def _named(name: str, variables: Mapping[str, Any]) -> Any:
    if name in variables:
        return variables[name]
    for module in (builtins, typing):
        if isinstance(found := getattr(module, name, None), type) or (
            found is not None and module is typing
        ):
            return found
    raise _NotATypeError(f"there is no {name!r}")
