"""HTML for marimo: no character of it means anything to what reads it again. marimo is not needed."""

from __future__ import annotations

import html
import importlib
import json
import re
import sys

import pytest
from attacks import ATTACKS, Attack

from runagent_jupyter import Reply
from runagent_jupyter.html import marimo_element, render, wrap

ELEMENT = re.compile(
    "<marimo-mime-renderer data-mime='([^']*)' data-data='([^']*)'></marimo-mime-renderer>"
)


def attributes(element: str) -> list[str]:
    found = ELEMENT.fullmatch(element)
    assert found is not None
    return list(found.groups())


@pytest.mark.parametrize("text", ["", "a *b* `c`\n\n\n  d\t", "</style>\u2028'\"&lt;\\n", "€ 𝒳 ẹ"])
def test_it_comes_back_as_it_was(text: str) -> None:
    mime, data = attributes(marimo_element(text))
    assert json.loads(html.unescape(mime)) == "text/html"
    assert json.loads(html.unescape(data)) == text


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_nothing_in_it_can_be_read_otherwise(attack: Attack) -> None:
    for value in attributes(marimo_element(wrap(render(attack.text())))):
        assert not re.search(r"[^\w&#; \u0080-\U0010ffff]|_", value)
        assert "</style" not in html.unescape(value)


def test_nothing_of_marimo_is_needed_before_marimo_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "marimo", None)
    module = importlib.import_module("runagent_jupyter.marimo")
    assert callable(module.model("demo"))
    with pytest.raises(ModuleNotFoundError, match="marimo"):
        Reply("a", {}, "text")._display_()
