"""A value as a tree that unfolds without a script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from runagent_jupyter.data.pictures import is_picture_uri, uri_in
from runagent_jupyter.html.escaping import escape
from runagent_jupyter.html.picture_slots import PictureBudget
from runagent_jupyter.html.sanitizer import sanitize

_DEPTH: Final = 24  # levels
_ITEMS: Final = 200  # of one list or dictionary
_NODES: Final = 5_000  # of the whole tree
_STRING: Final = 4_000  # characters of one string
_CHARACTERS: Final = 200_000  # of all strings


def json_tree(value: Any) -> str:
    """Show a value as a tree.

    The tree has at most 24 levels, 200 items of each list or dictionary, 4,000 characters of each
    string, and 5,000 values and 200,000 characters in all. Pictures are shown as such.

    Args:
        value: A value of JSON. A value of another type is shown by its ``repr``.

    Returns:
        Safe HTML. Where the tree leaves something out, it says how much.
    """
    tree = _Tree()
    content = sanitize(f'<div class="runagent-tree">{tree.node("", value, 0)}</div>\n')
    return tree.slots.fill(content)


class _Tree:
    def __init__(self) -> None:
        self._nodes = 0
        self._characters = 0
        self.slots = PictureBudget().slots(0)

    def node(self, label: str, value: Any, depth: int) -> str:
        self._nodes += 1
        if picture := uri_in(value):
            return f"{label}{self.slots.image(*picture)}"
        if isinstance(value, str) and is_picture_uri(value):
            return f"{label}{self.slots.image(value, '')}"
        if isinstance(value, Mapping | list | tuple):
            return self._branch(label, value, depth)
        if isinstance(value, str):
            return label + self._text(value, "ra-s", "&quot;")
        if value is None or isinstance(value, bool):
            word = {None: "null", True: "true", False: "false"}[value]
            return f'{label}<span class="ra-k">{word}</span>'
        return label + self._text(_shown(value), "ra-m")

    def _text(self, text: str, name: str, quote: str = "") -> str:
        size = max(0, min(_STRING, _CHARACTERS - self._characters))
        self._characters += min(size, len(text))
        shown = f"{quote}{escape(text[:size])}{quote}"
        cut = _cut(len(text) - size, "character")
        return f'<span class="{name}" dir="auto">{shown}</span>{cut}'

    def _branch(self, label: str, value: Mapping[Any, Any] | Sequence[Any], depth: int) -> str:
        keyed = isinstance(value, Mapping)
        noun = "key" if keyed else "item"
        left, right = "{}" if keyed else "[]"
        total = len(value)
        if not total:
            return f"{label}{left}{right}"
        if depth >= _DEPTH:
            return f"{label}{left}{_cut(total, noun)}{right}"
        pairs: Iterable[tuple[Any, Any]] = (
            value.items() if isinstance(value, Mapping) else enumerate(value)
        )
        items: list[str] = []
        for key, item in islice(pairs, _ITEMS):
            if self._nodes >= _NODES:
                break
            head = self._text(key if isinstance(key, str) else _shown(key), "runagent-key") + ": "
            items.append(f"<li>{self.node(head, item, depth + 1)}</li>\n")
        if rest := _cut(total - len(items), noun):
            items.append(f"<li>{rest}</li>\n")
        count = f'<span class="runagent-count">{_count(total, noun)}</span>'
        return (
            f'<details class="runagent-json"{" open" if depth == 0 else ""}>'
            f"<summary>{label}{left}\u2026{right} {count}</summary>"
            f"<ul>\n{''.join(items)}</ul></details>"
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _cut(number: int, noun: str) -> str:
    """Say how many were left out, if any."""
    if number <= 0:
        return ""
    more = _count(number, f"more {noun}")
    return f'<span class="runagent-cut"> \u2026 {more}</span>'


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  # any object may come from an agent in this process
        return f"<{type(value).__name__}: its repr raised {type(error).__name__}>"
