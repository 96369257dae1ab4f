"""The root elements that all HTML of this package stands in, and the style sheets they carry."""

from __future__ import annotations

import functools
import re
from importlib import resources

from runagent_jupyter.html.formulas import typeset
from runagent_jupyter.html.style import shortened, style_of

_VARIABLE = re.compile(r"--runagent-(\w)\w*(\w)")  # its first and last letter are kept
_EMPTY_LINE = re.compile(r"\n([ \t]*)\n")


def wrap(content: str, *, styled: bool = True) -> str:
    """Put HTML into the root element to which the style sheet applies, with formulas as MathML.

    Args:
        content: HTML made by this package.
        styled: Whether to include a style sheet, for HTML that has to stand alone. It has only the
            rules that the content needs. Where a viewer removes it, the HTML is plain and readable.

    Returns:
        HTML that affects nothing outside itself.
    """
    # A notebook that is exported as Markdown contains this HTML, and an empty line would end it.
    content = _EMPTY_LINE.sub(r"\n\1&#10;", typeset(content))
    style = f"<style>{style_of(_rules(), content)}</style>\n" if styled else ""
    return f'{style}<div class="runagent-markdown">{content}</div>\n'


@functools.cache
def style_element() -> str:
    """Put the style sheets into an element, for the outputs of a cell that share it.

    Returns:
        The ``<style>`` element.
    """
    return f"<style>{shortened(_rules())}</style>"


def saved_chat(title: str, turns: str, *names: str) -> str:
    """Show a conversation as it is saved, for viewers without a kernel.

    Args:
        title: HTML of the line above the conversation.
        turns: HTML of the conversation.
        *names: Classes that tell the page's live view which copy is its own, without the prefix
            ``runagent-``.

    Returns:
        HTML that stands alone.
    """
    classes = " ".join(f"runagent-{name}" for name in ("saved", *names))
    content = f'<div class="{classes}">{wrap(title + turns, styled=False)}</div>'
    return f"<style>{style_of(_rules() + compact(_sheet('saved.css')), content)}</style>{content}"


@functools.cache
def css() -> str:
    """Read the style sheet of answers. Its rules apply below ``.runagent-markdown`` or to the chat.

    Returns:
        CSS. Its colours are mixed from that of the page's text, except those that a known front end
        names.
    """
    return shortened(compact(_sheet("markdown.css")))


@functools.cache
def _rules() -> str:
    return compact(_sheet("markdown.css") + _sheet("outputs.css"))


def compact(sheet: str) -> str:
    """Shorten a style sheet, because every output and every chat carries one.

    Returns:
        The sheet without comments and most white space, and with short names of variables.
    """
    sheet = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    sheet = re.sub(r"\s*([{};,>~])\s*", r"\1", sheet).strip()
    sheet = re.sub(r"(?<=[ :,(-])0\.(?=\d)", ".", sheet)
    sheet = re.sub(r'="([\w-]+)"\]', r"=\1]", sheet)
    sheet = re.sub(r"([{;][\w-]+): ", r"\1:", sheet).replace(";}", "}")
    return _VARIABLE.sub(r"--r\1\2", sheet.replace(" !", "!"))


@functools.cache
def _sheet(name: str) -> str:
    return resources.files("runagent_jupyter").joinpath(f"static/{name}").read_text("utf-8")
