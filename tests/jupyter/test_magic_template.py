"""Filling `{{expression}}` in: what stands there afterwards, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from runagent import ValidationError
from runagent_jupyter.templates import template
from runagent_jupyter.templates.template import looks_like_json


def fill(body: str, variables: dict[str, Any]) -> str:
    return template.fill(body, variables, is_json=looks_like_json(body))


NASTY = 'a "quoted" {{name}} \\ {% if %} }} \n\t{"x": 1}'


@pytest.mark.parametrize(
    ("body", "filled"),
    [
        ("Hello {{name}}!", "Hello Ada!"),
        ("{{ name }}", "Ada"),
        ("{{name.upper()}} {{ len(rows) }} {{rows[0] + 1}}", "ADA 2 2"),
        ("{{ {'a': {'b': 3}}['a']['b'] }}", "3"),
        ("{{ '}}' }}", "}}"),
        ("{{rows|join('-')}}", "1-2"),
        ("{{range(3)|list}} {{dict(a=1)}}", "[0, 1, 2] {'a': 1}"),
        ("{% if x %} {# kept #} {name} $name \\frac{a}{b}", None),
        ("no braces\nat all\n", None),
        ("{{nasty}} {{nasty}}", f"{NASTY} {NASTY}"),
    ],
)
def test_text(body: str, filled: str | None) -> None:
    variables = {"name": "Ada", "rows": [1, 2], "nasty": NASTY}
    assert fill(body, variables) == (body if filled is None else filled)


@pytest.mark.parametrize(
    ("body", "data"),
    [
        ('{"q": {{nasty}}}', {"q": NASTY}),
        ('{"q": "<{{nasty}}>"}', {"q": f"<{NASTY}>"}),
        ('{"q": "\\"{{nasty}}\\" {{number}}", "n": {{number}}}', {"q": f'"{NASTY}" 3', "n": 3}),
        ("{{{key}}: 1}", None),
        (
            '{\n "rows": {{rows}},\n "none": {{nothing}}, "s": "{{nothing}}"}',
            {"rows": [{"a": 1}], "none": None, "s": "None"},
        ),
        ('{"q": "{{number}}"}', {"q": "3"}),
        ('{"q": {{rows|tojson}}, "s": {{nasty|e}}}', {"q": [{"a": 1}], "s": str(escape(NASTY))}),
    ],
)
def test_a_value_cannot_change_the_shape_of_json(body: str, data: Any) -> None:
    variables = {"nasty": NASTY, "number": 3, "rows": [{"a": 1}], "nothing": None, "key": "k"}
    if data is None:
        with pytest.raises(ValidationError):
            fill(body, variables)
    else:
        assert json.loads(fill(body, variables)) == data


@given(st.text(), st.text())
def test_any_text_survives(first: str, second: str) -> None:
    variables = {"first": first, "second": second}
    body = '{"a": {{first}}, "b": "{{second}}", "c": ["{{first}}{{second}}", {{second}}]}'
    assert json.loads(fill(body, variables)) == {
        "a": first,
        "b": second,
        "c": [first + second, second],
    }
    assert fill("{{first}}|{{second}}", variables) == f"{first}|{second}"


class Wordless:
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("Hi {{wordless}}", ["{{wordless}}", "as text", "ValueError: no words"]),
        ("Hi {{nobody}}", ["{{nobody}}", "'nobody' is undefined", "--no-template"]),
        ("Hi {{name.nothing}}", ["{{name.nothing}}", "no attribute 'nothing'"]),
        ("Hi {{name", ["'{{name'", "no }} on its line", "--no-template"]),
        ("Hi {{1 +}}", ["'{{1 +}}'", "--no-template"]),
        ("Hi {{rows[7].x}}", ["{{rows[7].x}}"]),
        ("Hi {{1 / 0}}", ["ZeroDivisionError"]),
        ("Hi {{max}}", ["{{max}}", "belongs to the template and is not a value"]),
        ("Hi {{self}}", ["{{self}}", "belongs to the template and is not a value"]),
        ("Hi {{lipsum()}}", ["'lipsum' is undefined"]),
        ("{{name.__class__.__mro__}}", ["{{name.__class__.__mro__}}", "name.__class__ is private"]),
        ("{{rows.append(1)}}", ["{{rows.append(1)}}", "rows.append() is not among the methods"]),
        ('{"a": {{name}} "b": 2}', ["not JSON", "line 1, column 16", "{{name}}", "--text"]),
    ],
)
def test_what_cannot_be_filled_in_is_named(body: str, words: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        fill(body, {"name": "a secret value", "rows": [1], "wordless": Wordless()})
    for word in words:
        assert word in str(caught.value)
    assert "a secret value" not in str(caught.value)


def test_tables_are_filled_in_whole() -> None:
    frame = pd.DataFrame({"n": range(200), "text": ["long " * 30] * 200})
    filled = fill(
        "{{frame}} | {{frame.n}} | {{array}}", {"frame": frame, "array": np.arange(5_000)}
    )
    assert ".." not in filled
    assert filled.count("199") >= 2
    assert filled.count("long long") == 200 * 15
    assert "4999" in filled
