"""A block of code: its language, its highlighted text and, in saved outputs, its copy button."""

from __future__ import annotations

from typing import Final

from runagent_jupyter.control_characters import strip_controls
from runagent_jupyter.html.escaping import escape
from runagent_jupyter.html.highlighting import Allowance, highlight
from runagent_jupyter.html.sanitizer import sanitize

# Every block of code that others continue begins with it. Text cannot contain it, because ``<`` is
# escaped there.
_BEGINNING: Final = '<div class="ra-code">'
_HEAD: Final = '<div class="ra-code-head">'

# The only scripts in the package's HTML. They are the same in every answer and contain no text of
# it. The first button of an answer has the long one, which the others run for themselves. Where a
# page forbids them, the button gets no value, and nothing shows it. `execCommand` also copies on
# servers without HTTPS, where `navigator.clipboard` does not exist; it needs a selection, and that
# of a long text takes seconds.
_SHOW_SCRIPT: Final = "this.querySelector('button').value||='Copy'"
_FOCUS_SCRIPT: Final = "this.value||='Copy'"
_BLUR_SCRIPT: Final = "this.value='Copy'"
_COPY_SCRIPT: Final = (
    "let block=this.closest('.ra-code'),text='',copied=false;"
    "const area=document.createElement('textarea');area.value='.';this.after(area);area.select();"
    "const all=[...block.closest('.runagent-markdown').querySelectorAll('.ra-code')];"
    "let at=all.indexOf(block);"
    "do text+=all[at].querySelector('code').textContent;"
    "while(all[++at]?.matches('.ra-continued'));"
    "const copy=(event)=>{event.clipboardData.setData('text/plain',text);event.preventDefault();"
    "event.stopImmediatePropagation();copied=true};"
    "window.addEventListener('copy',copy,true);document.execCommand('copy');"
    "window.removeEventListener('copy',copy,true);area.remove();"
    "this.value=copied?'Copied':'Not allowed here';this.focus()"
)
_COPY_AGAIN_SCRIPT: Final = (
    "this.closest('.runagent-markdown').querySelector('.ra-copy').onclick.call(this)"
)


def code(text: str, language: str = "", *, continued: bool = False) -> str:
    """Show a block of code, highlighted, with its language as a label.

    The structure is stable: ``div.ra-code`` holds ``div.ra-code-head`` and
    ``pre > code``; a block with the class ``ra-continued`` continues the one before it.

    Args:
        text: The code. It is shown without highlighting if it is longer than 24,576 characters, or
            if that takes too long.
        language: The info string of a fence; its first word names the language.
        continued: Whether this continues the block of code before it.

    Returns:
        Safe HTML.
    """
    return sanitize(code_block(strip_controls(text), strip_controls(language), continued))


def code_block(
    text: str,
    language: str,
    continued: bool = False,
    before: int = 0,
    allowance: Allowance | None = None,
) -> str:
    """Do what `code` does, for text without control characters and without sanitizing.

    Args:
        text: The code.
        language: The info string of a fence.
        continued: Whether this continues the block of code before it.
        before: The number of characters of the same block that come before this code.
        allowance: The time that is left for highlighting in the document.

    Returns:
        HTML to be sanitized.
    """
    words = language.split(maxsplit=1)
    label = words[0][:30] if words else ""
    head = f'<div class="ra-language">{escape(label)}</div>' if label else ""
    head = "" if continued else f"{_HEAD}{head}</div>"
    marked = highlight(text, label, before, allowance)
    return (
        f'<div class="ra-code{" ra-continued" if continued else ""}">{head}'
        f'<pre class="ra-pre" dir="ltr"><code>{marked}</code></pre></div>\n'
    )


def with_copy_buttons(content: str) -> str:
    """Add a copy button to every block of code.

    Args:
        content: Sanitized HTML of this package, whose blocks of code are the first in their root.

    Returns:
        The same HTML with the buttons, for an output that has no other script.
    """
    with_first = content.replace(_BEGINNING + _HEAD, _beginning(_COPY_SCRIPT), 1)
    return with_first.replace(_BEGINNING + _HEAD, _beginning(_COPY_AGAIN_SCRIPT))


def _beginning(script: str) -> str:
    """Write the beginning of a block of code whose button runs a script."""
    return (
        f'{_BEGINNING.removesuffix(">")} onpointerover="{_SHOW_SCRIPT}">{_HEAD}'
        '<button type="button" class="ra-copy" aria-label="Copy code" title="Copy code"'
        f' onfocus="{_FOCUS_SCRIPT}" onblur="{_BLUR_SCRIPT}" onclick="{script}"></button>'
    )
