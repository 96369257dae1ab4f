"""Evaluates expressions of Jinja's language one step at a time, so that each can be checked."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping, Sized
from itertools import islice
from typing import Any, TypeVar

from jinja2 import StrictUndefined, nodes
from jinja2.environment import Environment
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.tests import TESTS

from runagent.encode import to_json
from runagent_jupyter.templates import reach
from runagent_jupyter.templates.bounds import WORK, Budget
from runagent_jupyter.templates.reach import NotDataError
from runagent_jupyter.templates.reachable import names

N = TypeVar("N", bound=nodes.Expr)

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        abs,
        bool,
        dict,
        float,
        int,
        len,
        list,
        max,
        min,
        range,
        round,
        set,
        sorted,
        str,
        sum,
        tuple,
    )
}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gteq": operator.ge,
    "lt": operator.lt,
    "lteq": operator.le,
    "in": lambda left, right: left in right,
    "notin": lambda left, right: left not in right,
}
_UNARY: dict[type[nodes.Node], Callable[[Any], Any]] = {
    nodes.Not: operator.not_,
    nodes.Neg: operator.neg,
    nodes.Pos: operator.pos,
}
_FILTERS = names(
    """
    abs attr batch capitalize center count d default dictsort e escape filesizeformat first float
    format groupby indent int items join last length list lower map max min reject rejectattr
    replace reverse round select selectattr slice sort string sum title tojson trim truncate unique
    upper urlencode wordcount
    """
)
_TESTS = frozenset(TESTS) - {"callable", "escaped", "filter", "iterable", "test"}
_LOOKS_NOWHERE = names("attr count d default first join last length")
"""Filters that do not go through a value, or take the work for it themselves."""

_GO_THROUGH = names(
    """
    batch dictsort groupby items list map max min reject rejectattr reverse select selectattr slice
    sort sum unique
    """
)
"""Filters that go through the items of a value; all others make text of the whole."""

_CALL_FOR_EACH = names("map reject rejectattr select selectattr")
_GRAMMAR = Environment()
_STEP = 20
"""The work of a filter, a test or a look for one item of many."""


class Json(str):
    """JSON that the filter `tojson` made."""

    __slots__ = ()


class Expression:
    """An expression of Jinja's language.

    Args:
        source: The expression, without the braces.

    Raises:
        TemplateSyntaxError: It is not valid.
        RecursionError: It is nested too deeply.
    """

    def __init__(self, source: str) -> None:
        parser = Parser(_GRAMMAR, source, state="variable")
        self._tree = parser.parse_expression()
        if not parser.stream.eos:
            parser.fail("there is something behind the expression")

    def value(
        self, variables: Mapping[str, Any], budget: Budget, text_of: Callable[[Any], str]
    ) -> Any:
        """Evaluate the expression.

        Args:
            variables: The notebook's variables.
            budget: The work that it may take.
            text_of: Makes text of a value.

        Raises:
            NotDataError: It asks for something else than data.
            TooMuchError: It takes more work than the budget allows.
            Exception: Whatever the operators and methods of its data raise.
        """
        return _Evaluation(variables, budget, text_of).value(self._tree)


class _Evaluation:
    """The evaluation of one expression."""

    def __init__(
        self, variables: Mapping[str, Any], budget: Budget, text_of: Callable[[Any], str]
    ) -> None:
        self._variables = variables
        self._budget = budget
        self._environment = _Environment(budget, text_of)

    def value(self, node: nodes.Node) -> Any:
        """Return the value of a node of the tree, which is data."""
        self._budget.spend(1)
        for kind in type(node).__mro__:
            evaluate = _EVALUATORS.get(kind)
            if evaluate is not None:
                return evaluate(self, node)
        raise NotDataError(f"{type(node).__name__} is not possible in an expression")

    def _values(self, parts: list[Any]) -> list[Any]:
        return [self.value(part) for part in parts]

    def of_name(self, node: nodes.Name, *, may_be_class: bool = False) -> Any:
        missing = self._environment.undefined(name=node.name)
        value = reach.variable(node.name, self._variables, missing)
        if value is missing and (node.name in _FUNCTIONS or node.name == "self"):
            raise NotDataError(f"{node.name} belongs to the template and is not a value")
        if not (may_be_class and isinstance(value, type)):
            reach.check_data(value, node.name)
        return value

    def of_attribute(self, node: nodes.Getattr) -> Any:
        inner = node.node
        if isinstance(inner, nodes.Name):
            value = self.of_name(inner, may_be_class=True)
        else:
            value = self.value(inner)
        return self._environment.attribute(value, node.attr, _shown(inner))

    def of_item(self, node: nodes.Getitem) -> Any:
        return self._environment.item(
            self.value(node.node), self.value(node.arg), _shown(node.node)
        )

    def of_slice(self, node: nodes.Slice) -> slice:
        parts = (node.start, node.stop, node.step)
        return slice(*(None if part is None else self.value(part) for part in parts))

    def of_call(self, node: nodes.Call) -> Any:
        _refuse_stars(node)
        called = node.node
        if isinstance(called, nodes.Getattr):
            return self._method(node, called)
        shown = _shown(called)
        if not (isinstance(called, nodes.Name) and called.name in _FUNCTIONS):
            if isinstance(called, nodes.Name) and called.name not in self._variables:
                str(self._environment.undefined(name=called.name))  # raises
            raise NotDataError(f"{shown}() is a call of a function, which a template may not make")
        given, named = self._arguments(node)
        for argument in (*given, *named.values()):
            reach.check_data(argument, f"an argument of {shown}()")
        if called.name == "str":
            if len(given) > 1 or named:
                raise TypeError("str() makes text of one value")
            return self._environment.text(given[0] if given else "")
        self._budget.function(called.name, [*given, *named.values()])
        return _FUNCTIONS[called.name](*given, **named)

    def _method(self, node: nodes.Call, called: nodes.Getattr) -> Any:
        value, shown = self.value(called.node), _shown(called)
        try:
            method = reach.method(value, called.attr, _shown(called.node))
        except AttributeError:
            str(self._environment.undefined(obj=value, name=called.attr))  # raises
            raise
        given, named = self._arguments(node)
        reach.check_arguments(called.attr, value, given, named, shown)
        self._budget.method(value, called.attr, given, named)
        found = method(*given, **named)
        if called.attr in {"items", "keys", "values"} and hasattr(type(value), "keys"):
            found = list(islice(found, WORK))
        reach.check_data(found, f"{shown}()")
        return found

    def _arguments(self, node: Any) -> tuple[list[Any], dict[str, Any]]:
        return self._values(node.args), {pair.key: self.value(pair.value) for pair in node.kwargs}

    def of_filter(self, node: nodes.Filter) -> Any:
        _refuse_stars(node)
        value = self.value(node.node) if node.node is not None else ""
        given, named = self._arguments(node)
        return self._environment.filtered(node.name, value, given, named)

    def of_test(self, node: nodes.Test) -> Any:
        _refuse_stars(node)
        given, named = self._arguments(node)
        return self._environment.tested(node.name, self.value(node.node), given, named)

    def of_binary(self, node: nodes.BinExpr) -> Any:
        return self._operated(node.operator, self.value(node.left), self.value(node.right))

    def _operated(self, sign: str, left: Any, right: Any) -> Any:
        self._budget.operator(_SIGNS.get(sign, sign), left, right)
        result = _OPERATORS[sign](left, right)
        reach.check_data(result, f"the result of {_SIGNS.get(sign, sign)}")
        return result

    def of_comparison(self, node: nodes.Compare) -> Any:
        left, result = self.value(node.expr), True
        for operand in node.ops:
            right = self.value(operand.expr)
            result = self._operated(operand.op, left, right)
            if operand is not node.ops[-1] and not result:
                break
            left = right
        return result

    def of_and(self, node: nodes.And) -> Any:
        return self.value(node.left) and self.value(node.right)

    def of_or(self, node: nodes.Or) -> Any:
        return self.value(node.left) or self.value(node.right)

    def of_unary(self, node: nodes.UnaryExpr) -> Any:
        return _UNARY[type(node)](self.value(node.node))

    def of_condition(self, node: nodes.CondExpr) -> Any:
        if self.value(node.test):
            return self.value(node.expr1)
        if node.expr2 is None:
            return self._environment.undefined("the condition is not true, and there is no else")
        return self.value(node.expr2)

    def of_joined(self, node: nodes.Concat) -> str:
        return "".join(self._environment.text(self.value(part)) for part in node.nodes)

    def of_dict(self, node: nodes.Dict) -> dict[Any, Any]:
        return {self.value(pair.key): self.value(pair.value) for pair in node.items}


_SIGNS = {
    "eq": "==",
    "ne": "!=",
    "gt": ">",
    "gteq": ">=",
    "lt": "<",
    "lteq": "<=",
    "notin": "not in",
}
_EVALUATORS: dict[type, Callable[[_Evaluation, Any], Any]] = {
    nodes.Const: lambda _, node: node.value,
    nodes.TemplateData: lambda _, node: node.data,
    nodes.Name: _Evaluation.of_name,
    nodes.Getattr: _Evaluation.of_attribute,
    nodes.Getitem: _Evaluation.of_item,
    nodes.Slice: _Evaluation.of_slice,
    nodes.Call: _Evaluation.of_call,
    nodes.Filter: _Evaluation.of_filter,
    nodes.Test: _Evaluation.of_test,
    nodes.And: _Evaluation.of_and,
    nodes.Or: _Evaluation.of_or,
    nodes.BinExpr: _Evaluation.of_binary,
    nodes.UnaryExpr: _Evaluation.of_unary,
    nodes.Compare: _Evaluation.of_comparison,
    nodes.CondExpr: _Evaluation.of_condition,
    nodes.Concat: _Evaluation.of_joined,
    nodes.List: lambda self, node: self._values(node.items),
    nodes.Tuple: lambda self, node: tuple(self._values(node.items)),
    nodes.Dict: _Evaluation.of_dict,
}


class _Environment(Environment):
    """Has Jinja's own filters ask for attributes, items and other filters as expressions do."""

    def __init__(self, budget: Budget, text_of: Callable[[Any], str]) -> None:
        super().__init__(undefined=StrictUndefined)
        self._budget = budget
        self._text_of = text_of
        own = {
            "attr": lambda value, name: self.attribute(value, name, "the value"),
            "e": _escaped,
            "escape": _escaped,
            "join": self._joined,
            "string": self.text,
            "tojson": _tojson,
        }
        self.filters = {name: FILTERS[name] for name in _FILTERS} | own
        self.tests = {name: TESTS[name] for name in _TESTS}
        self.globals = {}
        self._context = Context(self, {}, None, {})

    def text(self, value: Any) -> str:
        """Return a value as text."""
        self._budget.whole(value)
        return self._text_of(value)

    def _joined(self, value: Any, d: str = "", attribute: str | int | None = None) -> str:
        self._budget.through(value)
        found = value
        if attribute is not None:
            found = map(make_attrgetter(self, attribute), value)
        separator = self.text(d)
        texts = []
        for item in found:
            texts.append(self.text(item))
            self._budget.spend(len(separator))
        return separator.join(texts)

    def attribute(self, value: Any, name: str, shown: str) -> Any:
        """Return an attribute, or else the item of that name; undefined if there is neither."""
        self._budget.spend(1)
        if isinstance(value, Mapping):
            try:
                return reach.item(value, name, shown)
            except (LookupError, TypeError):
                pass
        try:
            return reach.attribute(value, name, shown)
        except AttributeError:
            pass
        if isinstance(value, (str, type)) or not hasattr(type(value), "__getitem__"):
            return self.undefined(obj=value, name=name)
        try:
            return reach.item(value, name, shown)
        except NotDataError:
            raise
        except Exception:  # noqa: BLE001 - whatever a library raises for an unknown name
            return self.undefined(obj=value, name=name)

    def item(self, value: Any, key: Any, shown: str) -> Any:
        """Return an item, or else the attribute of that name; undefined if there is neither."""
        self._budget.item(value, key)
        try:
            return reach.item(value, key, shown)
        except (AttributeError, TypeError, LookupError):
            if isinstance(key, str):
                try:
                    return reach.attribute(value, key, shown)
                except AttributeError:
                    pass
            return self.undefined(obj=value, name=key)

    def filtered(self, name: str, value: Any, given: list[Any], named: Mapping[str, Any]) -> Any:
        """Return the result of a filter."""
        if name not in self.filters:
            raise NotDataError(f"there is no filter {name!r} for data")
        self._check(name, value, given, named)
        _check_filter(self._budget, name, value, [*given, *named.values()])
        found = super().call_filter(name, value, given, named, context=self._context)
        if isinstance(found, Iterator):
            found = list(islice(found, WORK))
        if isinstance(found, str) and not isinstance(found, Json):
            found = str.__str__(found)  # text that was escaped has a type of its own
        reach.check_data(found, f"the result of the filter {name}")
        return found

    def tested(self, name: str, value: Any, given: list[Any], named: Mapping[str, Any]) -> Any:
        """Return the result of a test, such as `is none`."""
        if name not in self.tests:
            raise NotDataError(f"there is no test {name!r} for data")
        self._check(name, value, given, named)
        for argument in (value, *given):
            if not isinstance(argument, StrictUndefined):
                self._budget.through(argument)
        if name == "divisibleby" and given:
            self._budget.operator("%", value, given[0])
        return super().call_test(name, value, given, named)

    def _check(self, name: str, value: Any, given: list[Any], named: Mapping[str, Any]) -> None:
        for argument in (value, *given, *named.values()):
            reach.check_data(argument, f"a value of {name}")

    # Jinja's filters, such as `map`, call these.

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return an attribute of an item."""
        self._budget.spend(_STEP)
        return self.attribute(obj, attribute, "an item")

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an item of an item."""
        self._budget.spend(_STEP)
        return self.item(obj, argument, "an item")

    def call_filter(
        self, name: str, value: Any, args: Any = None, kwargs: Any = None, *_: Any, **__: Any
    ) -> Any:
        """Return the result of a filter that another filter names, for one item of many."""
        self._budget.spend(_STEP)
        return self.filtered(name, value, list(args or ()), dict(kwargs or {}))

    def call_test(
        self, name: str, value: Any, args: Any = None, kwargs: Any = None, *_: Any, **__: Any
    ) -> Any:
        """Return the result of a test that a filter names, for one item of many."""
        self._budget.spend(_STEP)
        return self.tested(name, value, list(args or ()), dict(kwargs or {}))


def _check_filter(budget: Budget, name: str, value: Any, given: list[Any]) -> None:
    """Take the work of a filter before it runs."""
    if name in _GO_THROUGH:
        budget.through(value)
        if name in _CALL_FOR_EACH and isinstance(value, Sized):
            budget.afford(len(value) * _STEP)
    elif name not in _LOOKS_NOWHERE:
        budget.whole(value)
        for argument in given:
            budget.whole(argument)
    largest = max([int(number) for number in given if isinstance(number, (int, float))], default=0)
    if name in {"batch", "center", "slice"}:
        budget.spend(largest)
    elif name == "indent":
        width = len(given[0]) if given and isinstance(given[0], str) else max(largest, 4)
        budget.spend((str(value).count("\n") + 2) * width)
    elif name == "replace":
        texts = [str(text) for text in given[:2]]
        budget.text_method(str(value), "replace", [*texts, *given[2:3]])
    elif name == "trim":
        budget.text_method(str(value), "strip", given)
    elif name == "format":
        budget.formatted(str(value), dict(enumerate(given)))
    elif name in {"round", "int", "float"}:
        budget.digits([*given, len(value) if isinstance(value, (str, bytes)) else 0])
    elif name == "sum":
        budget.added_up(argument for argument in given if not isinstance(argument, str))


def _tojson(value: Any, indent: int | None = None) -> Json:
    text = to_json(value, "the value").decode()
    if indent is not None:
        text = json.dumps(json.loads(text), ensure_ascii=False, indent=min(int(indent), 8))
    return Json(text)


def _escaped(value: Any) -> str:
    return str.__str__(FILTERS["e"](value))


def _refuse_stars(node: Any) -> None:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise NotDataError("* and ** are not possible among arguments")


def _shown(node: nodes.Node) -> str:
    """Return the expression of a node for messages: names and attributes as they are written."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return f"{_shown(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem):
        return f"{_shown(node.node)}[...]"
    if isinstance(node, nodes.Call):
        return f"{_shown(node.node)}(...)"
    return "the value"
