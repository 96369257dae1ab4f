"""Unfinished Markdown: closes the parts of it that are still open, so that it can be shown."""

from __future__ import annotations

import re

from runagent_jupyter.html.line_kinds import open_fence

_UNDECIDED = re.compile(r"[ \t]*(?:[-=*+_#>~`|$:\\ \t]+|\d{1,9}[.)]?)\Z")
_DELIMITER = re.compile(r"\\.|(`+)|(\*{1,3}|_{1,3}|~~)", re.DOTALL)
_OPEN_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\Z")


def is_undecided(line: str) -> bool:
    """Check whether a line has too few characters to tell what it will be.

    It may become a heading, a rule, a list, a fence, a table or text. To show it before that is
    decided would make the page flicker.

    Args:
        line: The beginning of a line.

    Returns:
        Whether the line should wait.
    """
    return _UNDECIDED.match(line) is not None


def close_code(text: str) -> str:
    """Close the block of code that text breaks off in, if any.

    Args:
        text: Markdown.

    Returns:
        The text, with a closing fence if it needs one.
    """
    fence = open_fence(text.splitlines(keepends=True))
    if not fence:
        return text
    return f"{text.rstrip()}\n{' ' * fence.indent}{fence.marker * fence.length}"


def close_inline(text: str) -> str:
    """Close the code, the emphasis and the address of a link that are open at the end of text.

    Args:
        text: One piece of Markdown.

    Returns:
        The text, whose last paragraph has nothing open.
    """
    start = text.rstrip().rfind("\n\n") + 1
    body = text[start:].rstrip()
    ticks = ""
    stack: list[str] = []
    end = 0
    for match in _DELIMITER.finditer(body):
        if match[1]:
            ticks = "" if ticks == match[1] else ticks or match[1]
        elif match[2] and not ticks:
            before, after = body[: match.start()][-1:], body[match.end() :][:1]
            within = before.isalnum() and after.isalnum() and match[2][0] == "_"
            if stack and stack[-1] == match[2] and before.strip():
                stack.pop()
            elif after.strip() and not within:
                stack.append(match[2])
            elif not after:
                end = len(match[2])  # opened, with nothing in it yet
    if ticks:
        return text[:start] + (body.removesuffix(ticks) if body.endswith(ticks) else body + ticks)
    if end:
        body = body[:-end].rstrip()
    body = _OPEN_LINK.sub(r"\1", body)
    return text[:start] + body + "".join(reversed(stack)) + "\n"
