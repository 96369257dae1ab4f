"""The quick renderer writes what markdown-it's own renderer writes."""

from __future__ import annotations

from typing import Any

import pytest
from markdown_agent_answers import AGENT_ANSWERS
from markdown_answers import ANSWERS
from markdown_it.renderer import RendererHTML
from specifications import examples

from runagent_jupyter.html.highlighting import Allowance
from runagent_jupyter.html.links import References
from runagent_jupyter.html.parser import parser
from runagent_jupyter.html.stream import _Uris

TEXTS = [*ANSWERS.values(), *AGENT_ANSWERS.values()] + [
    example["markdown"] for name in ("commonmark", "gfm") for example in examples(name).values()
]


@pytest.mark.parametrize("start", range(0, len(TEXTS), 100))
def test_tokens_are_written_as_markdown_it_writes_them(start: int) -> None:
    made = parser()
    slow = RendererHTML()
    slow.rules = {**slow.rules, **made.renderer.rules}  # type: ignore[attr-defined]
    for text in TEXTS[start : start + 100]:
        env: dict[str, Any] = {"references": References(), "uris": _Uris([])}
        tokens = made.parse(text, env)
        written = []
        for renderer in (made.renderer, slow):
            env = {"references": References(), "uris": _Uris([]), "allowance": Allowance()}
            written.append(renderer.render(tokens, made.options, env))
        assert written[0] == written[1]
