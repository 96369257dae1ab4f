"""Rules that are asked by the next character alone: the same HTML as if every rule were asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_answers import ANSWERS
from markdown_it import MarkdownIt
from specifications import examples

from runagent_jupyter.html import parser as parser_module
from runagent_jupyter.html.highlighting import Allowance
from runagent_jupyter.html.links import References

_MIXED = st.lists(
    st.sampled_from(
        [
            *("**", "*", "_", "`", "~~", "~", "[", "](", ")", "![", "!", "$", "\\", "\\(", "\\)"),
            *("\n", "\n\n", "  \n", "    ", "\t", "- ", "+ ", "12. ", "> ", "# ", "=\n", "---\n"),
            *("```\n", "~~~\n", "$$\n", "| a | b |\n", "|---|---|\n", "[^1]", "[^1]: ", "[x]: "),
            *("<br>", "<details>", "</details>", "<!--", "-->", "&amp;", "&", "https://a.b/c"),
            *("a@b.cd", "a", "word ", "개", "「重」", "\ufe0f"),
        ]
    ),
    max_size=40,
).map("".join)


class _Uris:
    """Addresses as they come: there are no pictures here."""

    def expanded(self, text: str) -> str:
        return text


def _asking_all(monkeypatch: pytest.MonkeyPatch, *, is_open: bool) -> MarkdownIt:
    with monkeypatch.context() as patch:
        patch.setattr(parser_module, "run_by_first_character", lambda _: None)
        return parser_module.parser.__wrapped__(is_open=is_open)


def _shown(parser: MarkdownIt, text: str) -> str:
    env: dict[str, Any] = {"references": References(), "uris": _Uris(), "allowance": Allowance()}
    return str(parser.render(text, env))


@pytest.mark.parametrize("is_open", [False, True])
def test_examples_and_answers_are_the_same(monkeypatch: pytest.MonkeyPatch, is_open: bool) -> None:
    asking_all = _asking_all(monkeypatch, is_open=is_open)
    asking_few = parser_module.parser(is_open=is_open)
    found = [*examples("commonmark").values(), *examples("gfm").values()]
    for text in [*(example["markdown"] for example in found), *ANSWERS.values()]:
        assert _shown(asking_few, text) == _shown(asking_all, text)


@pytest.mark.parametrize("is_open", [False, True])
def test_mixed_marks_are_the_same(is_open: bool) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        asking_all = _asking_all(monkeypatch, is_open=is_open)

    @given(_MIXED)
    def check(text: str) -> None:
        assert _shown(parser_module.parser(is_open=is_open), text) == _shown(asking_all, text)

    check()
