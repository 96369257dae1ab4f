"""The classes that JSON does not have, and how an instance of each comes closer to JSON."""

from __future__ import annotations

import base64
import dataclasses
import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn

from runagent.attachments import display_attachment, figure_attachment, image_attachment
from runagent.models import model_values
from runagent.tables import (
    array_values,
    arrow_array_values,
    arrow_values,
    computed,
    frame_records,
    interchange_records,
    numpy_values,
    pandas_values,
    polars_records,
    polars_values,
    pyarrow_value,
    series_values,
    xarray_records,
)


def _dataclass_fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _attrs_fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in value.__attrs_attrs__}


def _refuse_secret(_: object) -> NoReturn:
    # A mask would be wrong input, and its owner made it a secret so that it leaves only on purpose.
    raise ValueError("it keeps its value secret; pass its get_secret_value() to send it")


def _refuse_lazy(_: object) -> NoReturn:
    raise ValueError("it is a query that has not run; pass its collect()")


def _refuse(advice: str) -> Callable[[Any], NoReturn]:
    def refuse(_: object) -> NoReturn:
        raise ValueError(advice)

    return refuse


# Classes by the module and name of one of their bases, so that no package has to be imported.
# The order matters: an enum member may be a str, and a Timestamp is a datetime.
_BY_NAME: tuple[tuple[str, frozenset[str], Callable[[Any], Any]], ...] = (
    ("enum", frozenset({"Enum"}), lambda value: value.value),
    ("pandas", frozenset({"NaTType", "NAType"}), lambda _: None),
    ("pandas", frozenset({"Period", "Interval"}), str),
    ("pandas", frozenset({"DataFrame"}), frame_records),
    ("pandas", frozenset({"Series"}), series_values),
    ("pandas", frozenset({"Index", "ExtensionArray"}), pandas_values),
    ("polars", frozenset({"DataFrame"}), polars_records),
    ("polars", frozenset({"Series"}), polars_values),
    ("polars", frozenset({"LazyFrame"}), _refuse_lazy),
    ("xarray", frozenset({"Dataset", "DataArray"}), xarray_records),
    ("matplotlib", frozenset({"Figure"}), figure_attachment),
    ("matplotlib", frozenset({"Artist"}), _refuse("pass the figure it is drawn in: its .figure")),
    ("seaborn", frozenset({"Grid"}), _refuse("pass its .figure")),
    (
        "plotly",
        frozenset({"BaseFigure"}),
        _refuse("pass attachment(figure.to_image()) for a picture, figure.to_dict() for its data"),
    ),
    ("altair", frozenset({"TopLevelMixin"}), _refuse("pass its to_dict()")),
    ("PIL", frozenset({"Image"}), image_attachment),
    ("IPython", frozenset({"Image"}), display_attachment),
    ("_io", frozenset({"_IOBase"}), _refuse("pass runagent.attachment(path), or its read()")),
    ("pyarrow", frozenset({"Scalar"}), pyarrow_value),
    ("numpy", frozenset({"ndarray", "datetime64", "timedelta64", "void"}), numpy_values),
    # `item()` does not convert a number with more precision than Python's own.
    ("numpy", frozenset({"floating"}), float),
    ("numpy", frozenset({"complexfloating"}), complex),
    ("numpy", frozenset({"generic"}), lambda value: value.item()),
    ("torch", frozenset({"Tensor"}), lambda value: value.tolist()),
    ("datetime", frozenset({"date", "time"}), lambda value: value.isoformat()),
    ("datetime", frozenset({"timedelta"}), lambda value: value.total_seconds()),
    ("uuid", frozenset({"UUID"}), str),
    ("decimal", frozenset({"Decimal"}), str),
    ("collections", frozenset({"deque"}), list),
    ("collections", frozenset({"UserString"}), lambda value: value.data),
)

_BY_ATTRIBUTE: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("get_secret_value", _refuse_secret),
    ("__fspath__", os.fsdecode),
    ("model_dump", model_values),
    ("__dataclass_fields__", _dataclass_fields),
    ("__attrs_attrs__", _attrs_fields),
    ("__dask_graph__", computed),  # before the protocols, which it offers in part
    ("__arrow_c_stream__", arrow_values),
    ("__arrow_c_array__", arrow_array_values),
    ("__dataframe__", interchange_records),
    ("__geo_interface__", lambda value: value.__geo_interface__),
    ("to_pandas", lambda value: value.to_pandas()),
    ("toPandas", _refuse("it is a query on a cluster; pass its toPandas()")),
    ("__array__", array_values),
)


@lru_cache(maxsize=256)
def conversion(kind: Any) -> Callable[[Any], Any] | None:
    """Return the function that brings an instance of `kind` closer to JSON, `None` if none does."""
    for package, names, convert in _BY_NAME:
        for base in kind.__mro__:
            if base.__name__ in names and base.__module__.partition(".")[0] == package:
                return convert
    for attribute, convert in _BY_ATTRIBUTE:
        if hasattr(kind, attribute):
            return convert
    if issubclass(kind, (bytes, bytearray, memoryview)):
        return lambda value: base64.b64encode(bytes(value)).decode()
    return None
