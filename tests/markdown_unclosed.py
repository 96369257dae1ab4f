"""Text in which something begins that never ends, each of which was wrong in a moment once."""

from __future__ import annotations

from typing import Final

UNCLOSED: Final = {
    "code with marks": "Use `*args* and [a link](https://example.com) or <kbd>x</kbd> and `` a ` b.\n",
    "code within a link": "See *[the `docs](https://example.com) of* it, with $x$ and \\`so\\` on.\n",
    "a formula with marks": "So $a *b* <kbd>c</kbd> [^1] \\, and 重点$x and \\(y [z](https://example.com) *it*.\n",
    "two dollars, then one": "It is $$x$), or $$5 each for $y$ and\n\nmore: $$\n",
    "a dollar behind a formula": "Set $x$1 and $y$z, or $PATH and $sin x$.\n",
    "an environment with marks": "Then \\begin{align} a *b* \\, [c](https://example.com) and \\begin $x$, \\begin*m*.\n",
    "a formula above a list": "$$\n- a *b*\n  1. c\n> d\n\n---\n\n- [x] e\n",
    "brackets above blocks": "\\[\n# a\n- [x]: <https://example.com>\n> [!NOTE]\n\n[y]: (\n",
    "an environment above a list": "\\begin{align}\n1. a\n-\n2. b\n",
    "a formula in a quote": "> $$\n> - x\n    <kbd>y</kbd>\n\n- \\[ a\n  - b\n\n- $$\n  > c\n",
    "a header that is none": "a *b\n| `c | d* e | f\ng` h\n\n1. *i\n| j* |\n",
    "a bar, then a header": "|\n| a\n|---\n\nb |\n---\n",
    "a header behind a backslash": "a\\\n| b, c\n\nd\\\n|\n\n\n| d | *e\n|---|\n",
    "a note without text": "A claim[^1].\n\n[^1]:\n\n[^2]:\n    - its *source*\n",
    "blocks behind a fold's marks": "<think>1. a\n2. b\n</think>**c** d\n---\n\n<!-- e --> 1. f\n",
    "blocks behind a title": "<details> **a** b\n---\n</details>- c\n\n<details><summary>T</summary># d\n",
    "a title far below its label": "- [x]:\n  <https://example.com>\n  'y z'\n- [v]:\n  w 'u\n",
    "tasks, code and half a title": "- [ ] `\n- [x] `a\n- [r]: <https://example.com>\n  (b\n\na<br | >b\n",
}
"""By name."""
