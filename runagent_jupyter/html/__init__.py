"""Safe HTML from untrusted text: the only place in the package that makes HTML.

Other modules use the names in `__all__` and never the modules of this folder.
"""

from runagent_jupyter.html.code_block import code, with_copy_buttons
from runagent_jupyter.html.elements import (
    folded_status,
    folded_steps,
    number_table,
    progress_bar,
    question,
    running_line,
    running_text,
    status_line,
)
from runagent_jupyter.html.escaping import escape, plain
from runagent_jupyter.html.formulas import typeset
from runagent_jupyter.html.json_tree import json_tree
from runagent_jupyter.html.limited import MOST_CHARACTERS, LimitedStream
from runagent_jupyter.html.marimo_element import marimo_element
from runagent_jupyter.html.page import compact, css, saved_chat, style_element, wrap
from runagent_jupyter.html.record_table import record_table
from runagent_jupyter.html.stream import MarkdownStream, code_blocks, render
from runagent_jupyter.html.unfinished import close_code

__all__ = [
    "MOST_CHARACTERS",
    "LimitedStream",
    "MarkdownStream",
    "close_code",
    "code",
    "code_blocks",
    "compact",
    "css",
    "escape",
    "folded_status",
    "folded_steps",
    "json_tree",
    "marimo_element",
    "number_table",
    "plain",
    "progress_bar",
    "question",
    "record_table",
    "render",
    "running_line",
    "running_text",
    "saved_chat",
    "status_line",
    "style_element",
    "typeset",
    "with_copy_buttons",
    "wrap",
]
