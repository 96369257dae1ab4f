"""Random mixtures of Markdown, in which much begins that never ends."""

from __future__ import annotations

from random import Random
from typing import Final

_BEGINNINGS: Final = (
    *(
        "**bold",
        "*em",
        "__bo ld",
        "_em x",
        "~~gone",
        "***both",
        "*_x",
        "**a *b",
        "`code",
        "``co ` de",
    ),
    *(
        "$x_1",
        "$$y^2",
        "\\(a_b",
        "\\[c",
        "\\begin{align} a",
        "$$",
        "\\[",
        "\\begin{align}",
        "$5",
        "$HOME",
    ),
    *(
        "[label",
        "[a](https://e.org",
        "[a](<b",
        '[a](b "t',
        "[a][ref",
        "![img",
        "![i](u",
        "![",
        "[^note",
    ),
    *(
        "<details>",
        "<details><summary>T",
        "<summary>",
        "<think>",
        "<!-- c",
        "<kbd>K",
        "<sub>2",
        "<mark>m",
    ),
    *(
        "<https://e.o",
        "<br",
        "<b",
        "&am",
        "&#12",
        "\\",
        "\u3010 1\u2020s",
        "\u30101",
        "www.ex",
        "a@b.c",
    ),
    *("```", "```py", "~~~", "````md", "> [!NOTE]", "> [!NOTE", "> q", "[^1]:", "[^1]: n", "[x]:"),
    *(
        "| a | b",
        "| a | b |\n|---|",
        "| a | b |\n|---|--\n| 1 | *2",
        "- [ ]",
        "- [x",
        "1.",
        "- ",
        "#",
    ),
    *("## h **b", "[x]: http://e.org", "http://e.org/*a"),
)
_WHOLE: Final = (
    *(
        "word",
        "a b",
        "x.",
        "1",
        "(y)",
        ":",
        "-",
        "!",
        "\u00e9",
        "\u91cd\u70b9",
        '"q"',
        "~5",
        "5 * 3",
        "a_b",
    ),
    *(
        "and *em* x",
        "**b**",
        "`c`",
        "$x$",
        "[l](https://e.org)",
        "![p](https://e.org/p)",
        "<kbd>k</kbd>",
    ),
    *("|", "x | y"),
)
_BETWEEN: Final = (
    *(" ", " ", "", ", ", " | ", "\n", "\n", "\n  ", "\n    ", "\n\n", "\n\n   "),
    *("\n- ", "\n\n- ", "\n1. ", "\n> ", "\n> - ", "\n|", "\n---\n"),
)
_BEFORE: Final = ("", "", "", "- ", "> ", "1. ", "# ", "| ", "- > ")
_SHARE: Final = 0.45  # of beginnings among the parts


def mixture(seed: int) -> str:
    """Write a text.

    Args:
        seed: The same seed makes the same text.

    Returns:
        Markdown of a few lines.
    """
    random = Random(seed)
    text = random.choice(_BEFORE)
    for _ in range(random.randint(1, 5)):
        text += random.choice(_BEGINNINGS if random.random() < _SHARE else _WHOLE)
        text += random.choice(_BETWEEN)
    return text + random.choice(("", *_WHOLE))
