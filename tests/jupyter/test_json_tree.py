"""Any value as a tree: safe, bounded, and truthful about what it leaves out."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from safe_html import problems, text_of

from runagent_jupyter.html import json_tree


def test_a_tree_shows_all_of_a_small_value() -> None:
    shown = json_tree({"a": [1, 2.5, None, True, "x"], "b": {}, "c": [], 3: "$"})
    assert problems(shown) == []
    assert text_of(shown).split() == [
        *("{…}", "4", "keys", "a:", "[…]", "5", "items", "0:", "1", "1:", "2.5", "2:", "null"),
        *("3:", "true", "4:", '"x"', "b:", "{}", "c:", "[]", "3:", '"$"'),
    ]  # fmt: skip
    assert shown.count("<details") == 2
    assert shown.count(" open") == 1


def test_a_tree_says_how_much_it_leaves_out() -> None:
    assert "… 800 more items" in text_of(json_tree(list(range(1_000))))
    assert "… 1 more key" in text_of(json_tree({str(n): n for n in range(201)}))
    assert "… 6,000 more characters" in text_of(json_tree("x" * 10_000))
    deep: Any = "end"
    for _ in range(100):
        deep = [deep, 1]
    assert "[ … 2 more items]" in text_of(json_tree(deep))


def test_a_huge_or_odd_value_stays_small() -> None:
    wide = [[[["x" * 50] * 50] * 50] * 50] * 50
    assert len(json_tree(wide)) < 2_000_000
    loop: list[Any] = []
    loop.append(loop)
    assert problems(json_tree(loop)) == []

    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    assert "its repr raised RuntimeError" in text_of(json_tree({"a": Odd()}))
    assert problems(json_tree([b"\x1b", {1, 2}, object, 10**5_000])) == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(_JSON)
def test_any_json_is_a_safe_tree(value: Any) -> None:
    assert problems(json_tree(json.loads(json.dumps(value)))) == []
