"""Bounds the work of templates: what an operator, a method or a filter would make, beforehand."""

from __future__ import annotations

import numbers
import re
from collections.abc import Iterable, Mapping, Sized
from datetime import timedelta
from itertools import chain
from math import prod
from typing import Any

WORK = 5_000_000
"""The characters and items that the expressions of one text may make or look at, together."""

_BITS = 20_000
_DIGITS = 1_000
_LONG = 1_000
_BROAD = 500
_OBJECT = 20
"""Characters that an object takes as text, at least."""
_BY_COLUMN = {"corr", "describe", "mode", "nunique"}
_ENCODINGS = {"utf-8", "utf8", "ascii", "latin-1", "utf-16", "utf-32"}
_CONVERSION = re.compile(r"%(?:\([^)]*\))?([#0\- +.\d*]*)")


class TooMuchError(Exception):
    """An expression would make more than a question needs; the message says of what."""


class Budget:
    """The work that is left for the expressions of one text."""

    def __init__(self) -> None:
        self._left = WORK

    def afford(self, amount: int) -> None:
        """Check that there is that much work left, before a loop that takes it bit by bit.

        Raises:
            TooMuchError: There is less left.
        """
        if amount > self._left:
            raise TooMuchError(f"it makes more than {WORK:,} characters or items")

    def spend(self, amount: float) -> None:
        """Take an amount of work.

        Raises:
            TooMuchError: There is less left.
        """
        self._left -= int(amount)
        if self._left < 0:
            raise TooMuchError(f"it makes more than {WORK:,} characters or items")

    def through(self, value: Any) -> None:
        """Take the work of going through the items of a value once.

        Raises:
            TooMuchError: It has too many, or does not say how many.
        """
        if isinstance(value, Iterable) and not isinstance(value, Sized):
            raise TooMuchError("a value has no length, so it may have no end")
        self.spend(_length(value) + 1)

    def whole(self, value: Any, times: int = 1) -> None:
        """Take the work of writing a value as text.

        Args:
            value: The value, with all that is in it. An item that is in it often counts often.
            times: How often it is written.
        """
        self.spend(times * _weight(value, self._left + 1, {}))

    def filled_in(self, value: Any) -> None:
        """Take the work of writing the value of an expression.

        Tables, text and bytes have bounds of their own where they are written.
        """
        if not (_is_array(value) or isinstance(value, (str, bytes, bytearray, memoryview))):
            self.whole(value)

    # ---- operators

    def operator(self, sign: str, left: Any, right: Any) -> None:
        """Take the work of an operator before it runs.

        Args:
            sign: The operator, as it is written.
            left: The operand on its left.
            right: The operand on its right.

        Raises:
            TooMuchError: The result would be too large.
        """
        self.spend(1)
        if _is_array(left) or _is_array(right):
            _check_arrays(sign, left, right)
        elif sign == "*":
            self._multiplied(left, right)
        elif sign == "**":
            _check_power(left, right)
        elif sign == "%" and isinstance(left, (str, bytes, bytearray)):
            self.formatted(left, right)
        elif sign in {"in", "not in"}:
            self.spend(0 if isinstance(right, (dict, set, frozenset, range)) else _length(right))
        else:
            self.spend(_length(left) + _length(right))

    def _multiplied(self, left: Any, right: Any) -> None:
        for some, times in ((left, right), (right, left)):
            if isinstance(some, Sized) and isinstance(times, numbers.Integral):
                self.whole(some, max(int(times), 0))
        if _bits(left) + _bits(right) > _BITS:
            raise TooMuchError("the number would be too long")

    def formatted(self, text: Any, values: Any) -> None:
        """Take the work of filling values into a text with `%`.

        Raises:
            TooMuchError: A width is large or comes from a value, or a long value is repeated.
        """
        shown = text if isinstance(text, str) else bytes(text).decode("latin-1")
        count = 0
        for conversion in _CONVERSION.finditer(shown):
            count += 1
            flags = conversion[1]
            if "*" in flags or any(int(n) > _DIGITS for n in re.findall(r"\d+", flags)):
                raise TooMuchError(f"the width in {conversion[0]!r} is too large or not fixed")
        self.spend(len(shown) + count)
        # The values of a tuple are written once, and those with a name as often as it stands there.
        self.whole(values, 1 if isinstance(values, tuple) else count)

    # ---- methods and functions

    def method(self, value: Any, name: str, arguments: list[Any], named: Mapping[str, Any]) -> None:
        """Take the work of a method before it is called.

        Raises:
            TooMuchError: The result would be too large.
        """
        given = [*arguments, *named.values()]
        if isinstance(value, (str, bytes, bytearray)):
            self.text_method(str(value) if isinstance(value, str) else value, name, given)
        elif isinstance(value, (list, tuple, set, frozenset, dict)):
            self.spend(1 + (0 if name == "get" else _length(value) + sum(map(_length, given))))
        elif name == "strftime":
            self.formatted(str(given[0]) if given else "", ())
        elif _is_array(value):
            if any(isinstance(g, str) and len(g) > _LONG for g in _flat(given)):
                raise TooMuchError(f"an argument of {name}() is longer than {_LONG:,} characters")
            if name in _BY_COLUMN and _columns(value) > _BROAD:
                raise TooMuchError(f"{name}() is for tables of up to {_BROAD} columns")
        self.spend(1)

    def text_method(self, text: Any, name: str, given: list[Any]) -> None:
        """Take the work of a method of text before it is called."""
        numbers_given = [int(g) for g in given if isinstance(g, int)]
        texts = [len(g) for g in given if isinstance(g, (str, bytes))]
        self.spend(len(text) + 1)
        if name in {"center", "ljust", "rjust", "zfill"}:
            self.spend(max(numbers_given, default=0))
        elif name == "expandtabs":
            self.spend(text.count("\t") * max(numbers_given, default=8))
        elif name == "replace" and len(texts) > 1:
            found = text.count(given[0])
            limit = numbers_given[0] if numbers_given and numbers_given[0] >= 0 else found
            self.spend(min(found, limit) * texts[1])
        elif name == "join":
            items = given[0] if given else ()
            self.spend(_length(items) * (len(text) + 1) + sum(map(_length, items)))
        elif name.startswith("r") or name.endswith("strip"):  # from the right it may be quadratic
            self.spend(len(text) * max(texts, default=1))
        elif name in {"encode", "decode"} and str(given[0] if given else "utf-8") not in _ENCODINGS:
            raise TooMuchError(f"the encoding may be one of {', '.join(sorted(_ENCODINGS))}")

    def function(self, name: str, given: list[Any]) -> None:
        """Take the work of a builtin function before it is called.

        Raises:
            TooMuchError: The result would be too large, or an argument has no length.
        """
        self.spend(1)
        if name in {"dict", "list", "max", "min", "set", "sorted", "sum", "tuple"}:
            for argument in given:
                self.through(argument)
        elif name == "range":
            self.spend(len(range(*given)))
        elif name == "round":
            self.digits(given[1:])
        elif name in {"int", "float"}:
            self.digits([_length(given[0]) if given else 0])
        if name == "sum":
            self.added_up(given[1:])

    def added_up(self, starts: Iterable[Any]) -> None:
        """Check that a sum begins with a number: a sum of lists is made again for each of them.

        Raises:
            TooMuchError: It begins with something else.
        """
        if not all(isinstance(start, (numbers.Number, timedelta)) for start in starts):
            raise TooMuchError("a sum begins with a number")

    def digits(self, given: Iterable[Any]) -> None:
        """Check numbers of digits.

        Raises:
            TooMuchError: One is large.
        """
        if any(isinstance(n, int) and abs(n) > _DIGITS for n in given):
            raise TooMuchError(f"it asks for more than {_DIGITS:,} digits")

    # ---- items

    def item(self, value: Any, key: Any) -> None:
        """Take the work of looking an item up.

        Raises:
            TooMuchError: A list of keys would make a table or an array much larger.
        """
        self.spend(1)
        if type(value).__name__.endswith("Indexer"):
            value = getattr(value, "obj", value)  # `table` for `table.loc`
        if _is_array(value):
            keys = [k for k in (key if isinstance(key, tuple) else (key,)) if not _is_mask(k)]
            parts = [_length(k) for k in keys if isinstance(k, Sized) and not isinstance(k, str)]
            rows = max(_rows(value), 1)
            repeated = 1 if getattr(getattr(value, "index", None), "is_unique", True) else rows
            if parts and prod(parts) * repeated * (_area(value) / rows) > max(WORK, _area(value)):
                raise TooMuchError("the list of keys is too long")
        elif isinstance(key, slice):
            self.spend(_length(value))


def _length(value: Any) -> int:
    if isinstance(value, numbers.Number) or not isinstance(value, Sized):
        return 0
    return len(value)


def _weight(value: Any, limit: int, known: dict[int, int]) -> int:
    """Return the characters and items in a value, or a number above `limit` if there are more."""
    if isinstance(value, (str, bytes, bytearray)):
        return len(value) + 1
    if value is None or isinstance(value, numbers.Number):
        return 1
    if not isinstance(value, (list, tuple, set, frozenset, Mapping)):
        return _OBJECT + (_area(value) if _is_array(value) else 0)
    if id(value) in known:
        return known[id(value)]
    known[id(value)] = 1  # if it contains itself, Python writes `...` there
    weight = 1
    parts = chain(value, value.values()) if isinstance(value, Mapping) else value
    for part in parts:
        weight += _weight(part, limit, known)
        if weight > limit:
            break
    known[id(value)] = weight
    return weight


def _flat(values: list[Any]) -> Iterable[Any]:
    for value in values:
        yield value
        if isinstance(value, Mapping):
            yield from value.values()
        elif isinstance(value, (list, tuple)):
            yield from value


def _bits(value: Any) -> int:
    if isinstance(value, numbers.Rational):
        return int(value.numerator).bit_length() + int(value.denominator).bit_length()
    return 0


def _check_power(base: Any, exponent: Any) -> None:
    if not (isinstance(base, numbers.Number) and isinstance(exponent, numbers.Number)):
        raise TooMuchError("** is for numbers")
    if isinstance(exponent, int) and _bits(base) * abs(exponent) > _BITS:
        raise TooMuchError("the number would be too long")


# ---- tables and arrays, of any library


def _is_array(value: Any) -> bool:
    kind = type(value)
    return hasattr(kind, "shape") and not isinstance(value, numbers.Number)


def _shape(value: Any) -> tuple[int, ...]:
    shape = getattr(value, "shape", ()) if _is_array(value) else ()
    return shape if isinstance(shape, tuple) else ()


def _area(value: Any) -> int:
    return prod(_shape(value))


def _rows(value: Any) -> int:
    return next(iter(_shape(value)), 1)


def _columns(value: Any) -> int:
    return prod(_shape(value)[1:])


def _is_mask(key: Any) -> bool:
    """Whether a key says of each row whether it is wanted: that makes nothing larger."""
    if _is_array(key):
        return str(getattr(key, "dtype", "")).lower() in {"bool", "boolean"}
    return isinstance(key, list) and bool(key) and all(isinstance(k, bool) for k in key[:_LONG])


def _check_arrays(sign: str, left: Any, right: Any) -> None:
    """Check an operator with a table or an array on one side at least."""
    if sign in {"*", "**", "%"} and not (_is_numeric(left) and _is_numeric(right)):
        raise TooMuchError(f"{sign} is for tables and arrays of numbers")
    for operand in (left, right):
        if isinstance(operand, (str, bytes, list, tuple)) and len(operand) > _LONG:
            raise TooMuchError(f"an operand of {sign} is longer than {_LONG:,}")
    if _grown(left, right) > max(WORK, 4 * (_area(left) + _area(right))):
        raise TooMuchError(f"the result of {sign} would be too large")


def _is_numeric(value: Any) -> bool:
    if not _is_array(value):
        return isinstance(value, (numbers.Number, timedelta)) or not isinstance(value, Sized)
    dtypes = getattr(value, "dtypes", None)
    if dtypes is None or not isinstance(dtypes, Iterable):
        dtypes = [getattr(value, "dtype", "number")]
    return all(map(_is_number_type, dtypes))


def _is_number_type(dtype: Any) -> bool:
    kind = getattr(dtype, "kind", None)  # as numpy and pandas have it
    if isinstance(kind, str):
        return kind in "biufcmM"
    return not any(word in str(dtype).lower() for word in _NOT_NUMBERS)


_NOT_NUMBERS = ("object", "str", "utf8", "char", "bytes", "binary", "categor", "list", "struct")


def _grown(left: Any, right: Any) -> int:
    """Return how many elements an operator makes, at most."""
    labels = [getattr(operand, "index", None) for operand in (left, right)]
    if all(hasattr(label, "is_unique") for label in labels):
        return _aligned(left, right)
    if hasattr(labels[0], "is_unique") or hasattr(labels[1], "is_unique"):
        return _area(left) + _area(right)  # labelled and not: the shapes have to fit
    one, other = sorted((_shape(left), _shape(right)), key=len)
    padded = (1,) * (len(other) - len(one)) + one
    return prod(max(pair) for pair in zip(padded, other, strict=True))


def _aligned(left: Any, right: Any) -> int:
    """Return how many elements an operator of pandas makes, which aligns labels, at most."""
    one, other = sorted((left, right), key=lambda operand: len(_shape(operand)))
    if len(_shape(one)) != len(_shape(other)):  # a row for a table: its labels are columns
        return _rows(other) * (_columns(other) + _rows(one))
    if one.index.equals(other.index):
        rows = _rows(one)
    elif one.index.is_unique and other.index.is_unique:
        rows = _rows(one) + _rows(other)
    else:
        rows = _rows(one) * _rows(other)
    return rows * (_columns(one) + _columns(other))
