"""Notebooks that are exported as Markdown: the answers are HTML, or text that nothing renders."""

from __future__ import annotations

from collections import Counter

from attacks import ATTACKS
from markdown_it import MarkdownIt
from nbconvert import MarkdownExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output
from support.answers import ANSWER
from traitlets.config import Config

from runagent_jupyter.rendering import bundle
from runagent_jupyter.reply import Reply

AS_TEXT = Config({"NbConvertBase": {"display_data_priority": ["text/plain"]}})
"""What `--NbConvertBase.display_data_priority='["text/plain"]'` sets."""


def exported(*texts: str, config: Config) -> str:
    outputs = [new_output("display_data", bundle(Reply("demo", {}, text))) for text in texts]
    cells = [new_code_cell("%%runagent demo", outputs=[output]) for output in outputs]
    page: str = MarkdownExporter(config=config).from_notebook_node(new_notebook(cells=cells))[0]
    return page


def test_a_bundle_with_markdown_would_be_exported_as_html_all_the_same() -> None:
    priority = MarkdownExporter().default_config.NbConvertBase.display_data_priority
    assert priority.index("text/html") < priority.index("text/markdown")
    assert set(bundle(Reply("demo", {}, ANSWER))) == {"text/html", "text/plain"}


def test_an_answer_can_be_exported_as_it_came() -> None:
    assert "<style" in exported(ANSWER, config=Config())
    page = exported(ANSWER, config=AS_TEXT)
    lines = [line[4:] for line in page.splitlines() if line.startswith("    ")]
    assert [line for line in lines if line] == [line for line in ANSWER.splitlines() if line]


def test_nothing_in_an_exported_text_is_live() -> None:
    page = exported(*(attack.text() for attack in ATTACKS), config=AS_TEXT)
    parser = MarkdownIt("commonmark", {"html": True})
    found = Counter(token.type for token in parser.parse(page))
    assert found["fence"] == len(ATTACKS)  # the cells
    assert set(found) == {"fence", "code_block"}
