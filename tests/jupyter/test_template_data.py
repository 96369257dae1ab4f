"""What a question needs of its data can be written in `{{ }}`."""

from __future__ import annotations

import argparse
import collections
import datetime as dt
import decimal
import enum
import itertools
import json
import pathlib
import re
import sqlite3
import types
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pytest
from IPython.display import Image

from runagent import ValidationError
from runagent_jupyter.reply import Reply
from runagent_jupyter.templates import template


class Config:
    RATE = 0.5
    names = ("a", "b")


class Color(enum.Enum):
    RED = "#f00"


@dataclass
class Order:
    item: str
    price: float

    @property
    def total(self) -> float:
        return self.price * 1.25


class Point(NamedTuple):
    x: int
    y: int


class Lazy:
    """Has its attributes made by code of its own, as many libraries do."""

    def __getattr__(self, name: str) -> str:
        return f"<{name}>"

    def __str__(self) -> str:
        return "lazy"


class Loud(str):
    __slots__ = ()

    def upper(self) -> str:
        raise AssertionError("a method of the user's was called")


REPLY = Reply("demo", {"query": "x"}, value={"n": [1, 2]})
ROW = sqlite3.connect(":memory:")
ROW.row_factory = sqlite3.Row
VARIABLES: dict[str, Any] = {
    "name": "Ada Lovelace",
    "n": 7,
    "x": 2.71828,
    "rows": [{"a": 1, "b": "x", "items": 3}, {"a": 2, "b": "y", "items": 4}],
    "pairs": [("b", 2), ("a", 1)],
    "nested": {"list": [1, [2, 3]], "get": 5},
    "day": dt.date(2024, 1, 31),
    "at": dt.datetime(2024, 1, 31, 12, 30, tzinfo=dt.timezone.utc),
    "took": dt.timedelta(minutes=2),
    "price": decimal.Decimal("1.10"),
    "path": pathlib.PurePosixPath("/data/train.csv"),
    "match": re.search(r"(\d+)", "abc 42"),
    "color": Color.RED,
    "Color": Color,
    "Config": Config,
    "order": Order("tea", 4),
    "point": Point(1, 2),
    "args": argparse.Namespace(epochs=3),
    "space": types.SimpleNamespace(a={"b": [1]}),
    "counts": collections.Counter("banana"),
    "groups": collections.defaultdict(list, {"a": [1]}),
    "lazy": Lazy(),
    "loud": Loud("hello"),
    "err": ValueError("no such column"),
    "row": ROW.execute("select 1 as id, 'x' as word").fetchone(),
    "reply": REPLY,
    "df": pd.DataFrame(
        {
            "city": ["Rome", "Oslo", "Bonn"],
            "temp": [20.0, 5.0, 11.0],
            "day": pd.date_range("2024-01-01", periods=3),
        }
    ),
    "table": pl.DataFrame({"city": ["Rome", "Oslo", "Bonn"], "temp": [20, 5, 11]}),
    "array": np.array([[1.0, 2.0], [3.0, 4.0]]),
    "number": np.float64(1.5),
    "self": types.SimpleNamespace(name="me"),
    "_": "the last one",
    "Out": {3: "third"},
    "___": "long ago",
    "image": Image(data=b"\x89PNG", format="png"),
    "photo": b"x" * 6_000_000,
}


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("name", "Ada Lovelace"),
        ("name.upper()", "ADA LOVELACE"),
        ("name.split()[0].lower()", "ada"),
        ("name.replace('Ada', 'A.')", "A. Lovelace"),
        ("name[:3]", "Ada"),
        ("name|length", "12"),
        ("'-'.join(['a', 'b'])", "a-b"),
        ("name.startswith('A') and 'yes' or 'no'", "yes"),
        ("'%s is %.1f' % (name, x)", "Ada Lovelace is 2.7"),
        ("'%05d'|format(n)", "00007"),
        ("name.center(14, '*')", "*Ada Lovelace*"),
        ("'a\\nb'|indent(2)", "a\n  b"),
        ("name ~ ' ' ~ n", "Ada Lovelace 7"),
        ("loud.upper()", "HELLO"),
        ("n * 2 + 1", "15"),
        ("n ** 2 // 3 % 5", "1"),
        ("round(x, 2)", "2.72"),
        ("x|round(1)", "2.7"),
        ("abs(-n) > 3 and n in [7, 8]", "True"),
        ("'big' if n > 5 else 'small'", "big"),
        ("'-' * 10", "----------"),
        ("1 < n < 10", "True"),
        ("max(1, n) + sum([1, 2]) + len(rows)", "12"),
        ("sorted([3, 1], reverse=true)", "[3, 1]"),
        ("range(3)|list", "[0, 1, 2]"),
        ("rows[0].a", "1"),
        ("rows[0]['b']", "x"),
        ("rows[0].items", "3"),
        ("rows[0].get('c', 'none')", "none"),
        ("rows[0].keys()", "['a', 'b', 'items']"),
        ("dict(pairs).items()", "[('b', 2), ('a', 1)]"),
        ("rows|map(attribute='a')|list", "[1, 2]"),
        ("rows|map(attribute='b')|map('upper')|join(', ')", "X, Y"),
        ("rows|selectattr('a', 'gt', 1)|map(attribute='b')|first", "y"),
        ("rows|sum(attribute='a')", "3"),
        ("pairs|sort|first|last", "1"),
        ("pairs|map('first')|join", "ba"),
        ("rows|tojson", '[{"a":1,"b":"x","items":3},{"a":2,"b":"y","items":4}]'),
        ("nested.list[1][0]", "2"),
        ("nested.get", "5"),
        ("nested.get('list')[0]", "1"),
        ("nested.missing|default('-')", "-"),
        ("missing is defined", "False"),
        ("day", "2024-01-31"),
        ("day.strftime('%d %B %Y')", "31 January 2024"),
        ("day.year + 1", "2025"),
        ("day.isoformat()", "2024-01-31"),
        ("(at + took).isoformat()", "2024-01-31T12:32:00+00:00"),
        ("took.total_seconds()", "120.0"),
        ("price * 2", "2.20"),
        ("path.name", "train.csv"),
        ("path.suffix", ".csv"),
        ("match.group(1)", "42"),
        ("match[0]", "42"),
        ("color.value", "#f00"),
        ("Color.RED.name", "RED"),
        ("Config.RATE * 2", "1.0"),
        ("Config.names|join", "ab"),
        ("order.item", "tea"),
        ("order.total", "5.0"),
        ("point.x + point[1]", "3"),
        ("args.epochs", "3"),
        ("space.a.b[0]", "1"),
        ("counts.most_common(1)", "[('a', 3)]"),
        ("counts.b", "1"),
        ("groups.a", "[1]"),
        ("lazy", "lazy"),
        ("lazy.anything", "<anything>"),
        ("err", "no such column"),
        ("err.args[0]", "no such column"),
        ("row.word ~ row['id']", "x1"),
        ("reply.value.n[1]", "2"),
        ("reply.text|length", "29"),
        ("reply.agent_id", "demo"),
        ("df.shape", "(3, 3)"),
        ("df.head(1).to_dict('records')[0].city", "Rome"),
        ("df.temp.mean()", "12.0"),
        ("df['temp'].max()|int", "20"),
        ("df.columns|join(' ')", "city temp day"),
        ("len(df)", "3"),
        ("df[df.temp > 10].city.tolist()", "['Rome', 'Bonn']"),
        ("df.loc[0, 'city']", "Rome"),
        ("df.iloc[-1].city", "Bonn"),
        ("df.sort_values('temp').city.iloc[0]", "Oslo"),
        ("df.nlargest(1, 'temp').city.to_list()[0]", "Rome"),
        ("df[['city']].to_csv(index=false)", "city\nRome\nOslo\nBonn\n"),
        ("df.temp.describe()['50%']", "11.0"),
        ("df.temp.describe().round(1).to_dict()['mean']", "12.0"),
        ("df.day.dt.year.tolist()[0]", "2024"),
        ("df.day[0].strftime('%d.%m.')", "01.01."),
        ("(df.temp * 2).sum()", "72.0"),
        ("(df.temp * 9 / 5 + 32).tolist()[1]", "41.0"),
        ("df.city.value_counts().to_dict()|length", "3"),
        ("df.city.nunique()", "3"),
        ("df.describe(include='all').shape", "(11, 3)"),
        ("df.corr(numeric_only=true).shape", "(1, 1)"),
        ("df.T.shape", "(3, 3)"),
        ("table.shape", "(3, 2)"),
        ("table.head(1).to_dicts()[0].city", "Rome"),
        ("table['temp'].mean()", "12.0"),
        ("table.temp.max()", "20"),
        ("table.sort('temp').row(0)[0]", "Oslo"),
        ("table.select('city').write_csv()", "city\nRome\nOslo\nBonn\n"),
        ("table.height", "3"),
        ("array.shape[0]", "2"),
        ("array.mean()", "2.5"),
        ("array.mean(axis=0).tolist()", "[2.0, 3.0]"),
        ("array[0, 1]", "2.0"),
        ("array[array > 2].tolist()", "[3.0, 4.0]"),
        ("(array * 2 + 1).round().tolist()[0]", "[3.0, 5.0]"),
        ("(array.T + array[0]).sum()", "16.0"),
        ("number.item()", "1.5"),
        ("number * 2", "3.0"),
        ("self.name", "me"),
        ("_", "the last one"),
        ("Out[3]", "third"),
        ("image.format", "png"),
        ("___", "long ago"),
        ("photo|length", "6000000"),
    ],
)
def test_data_is_filled_in(expression: str, text: str) -> None:
    assert template.fill(f"<{{{{ {expression} }}}}>", VARIABLES) == f"<{text}>"


@pytest.mark.parametrize(
    ("body", "data"),
    [
        ('{"rows": {{ df.head(1)[["city", "temp"]] }}}', [{"city": "Rome", "temp": 20.0}]),
        ('{"rows": {{ table.head(1) }}}', [{"city": "Rome", "temp": 20}]),
        ('{"rows": {{ reply }}}', {"n": [1, 2]}),
        ('{"rows": {{ rows|map(attribute="a") }}}', [1, 2]),
        ('{"rows": {{ rows|tojson(indent=2) }}}', VARIABLES["rows"]),
        ('{"rows": "{{ name }} and {{ {"a": "}}"} }}"}', "Ada Lovelace and {'a': '}}'}"),
        ('{"rows": {{ Config.names }}}', ["a", "b"]),
        ('{"rows": "{{ photo|length }}", "photo": {{ photo }}}', "6000000"),
    ],
)
def test_in_json_it_is_json(body: str, data: Any) -> None:
    assert json.loads(template.fill(body, VARIABLES, is_json=True))["rows"] == data


def test_looking_changes_nothing() -> None:
    for expression in ("groups.nothing", "groups['nothing']"):
        with pytest.raises(ValidationError, match="nothing"):
            template.fill(f"{{{{ {expression} }}}}", VARIABLES)
    assert dict(VARIABLES["groups"]) == {"a": [1]}


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("name.upper", "name.upper is a method; call it: name.upper()"),
        ("df.apply('sum')", "df.apply() is not among the methods that a template may call"),
        ("df.to_csv('x.csv')", "may pass at most 0 arguments without a name to df.to_csv()"),
        ("df.head(key=1)", "the argument key="),
        ("nothing()", "'nothing' is undefined"),
        ("name.nothing()", "no attribute 'nothing'"),
        ("name|nothing", "there is no filter 'nothing'"),
        ("'a' * 10 ** 9", "more than 5,000,000 characters or items"),
    ],
)
def test_a_refusal_says_what_to_do(expression: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        template.fill(f"{{{{ {expression} }}}}", VARIABLES)
    assert words in str(caught.value)
    assert "in a cell above" in str(caught.value)


def test_it_says_that_the_language_is_jinjas() -> None:
    for body in ("{{ 1 + }}", "{{ x y }}", "{{ name.__class__ }}", "{{ '"):
        with pytest.raises(ValidationError, match="Jinja's language"):
            template.fill(body, VARIABLES)


@pytest.mark.parametrize(
    "body",
    [
        "{{ " + "(" * 3_000 + "1" + ")" * 3_000 + " }}",
        "{{ " + "-" * 3_900 + "1 }}",
        "{{ " + "[" * 1_900 + "]" * 1_900 + " }}",
        "{{ " + "'" * 100_001 + "}}",
        "{{ " + "\\'" * 50_000 + "}}",
        "{{ " * 30_000,
        "{{ a }} }} " * 10_000 + "{{",
        "{{" + "{" * 50_000 + "}" * 50_000,
    ],
)
def test_braces_without_sense_take_no_time(body: str) -> None:
    with pytest.raises(ValidationError) as caught:
        template.fill(body, {"a": 1})
    assert len(str(caught.value)) < 5_000


def test_very_many_expressions_are_filled_in() -> None:
    names = itertools.repeat("{{ a }} and {{ b.c }}", 3_000)
    assert template.fill("\n".join(names), {"a": 1, "b": {"c": 2}}).count("1 and 2") == 3_000
