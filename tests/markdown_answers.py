"""Markdown as agents write it, to be looked at in every moment of its stream."""

from __future__ import annotations

from typing import Final

ANSWERS: Final = {
    "steps with code": (
        "To install it:\n\n1. **Create** an environment:\n\n   ```bash\n   python -m venv .venv\n"
        "   source .venv/bin/activate\n   ```\n\n2. Install with `pip`:\n   ```\n   pip install x\n"
        "   ```\n3. Done. Check it with `x --version` (**must** be `>= 2.0`).\n\nThat is *all*.\n"
    ),
    "bold around code": (
        "**bold `code` more** and ***both `x` kinds*** and **`only code`**, *a **b** c*, __d _e_ f__.\n\n"
        "- **Key `a`**: value\n- **`b`** – *value*\n- ~~**gone** `c`~~ kept\n"
    ),
    "unmatched marks": (
        "Use these patterns:\n\n- all *.py files and _private names\n- 2 * 3 = 6, a*b and **kwargs\n"
        "- snake_case_name and __init__ stay\n- last item, without marks\n\n"
        "The shell expands *.txt and `*.md` alike; ~5 files, ~/home and a ~~ b.\n"
    ),
    "headings": (
        "# The **main** point\n\n## 1. Using `map` and *filter*\n\nText.\n\n### A [link](https://example.com/a_b) here\n"
        "#### Closed ####\nText\n\nSetext *one*\n======\n\nSetext two\n---\n\n---\n\n##### Last **one**"
    ),
    "formulas": (
        "The sum $\\sum_{i=1}^{n} x_i$ and $a_1 * b_2$ and \\(\\alpha_{k}\\) are known.\n\n"
        "$$\n\\int_0^1 f(x)\\,dx = \\frac{1}{2}\n$$\n\nThen $$E = mc^2$$ in a line.\n\n"
        "\\[\nx^2 + y^2 = z^2\n\\]\n\n\\[ a_1 + b^{2} \\]\n\n- item $x_i$ with **bold $y^2$ text**\n"
        "- $$\\frac{a}{b}$$\n\n$$x = \\frac{-b}{2a}$$\n\nIt costs $5 or $10.50, and US$7 more. $20 is *enough*.\n"
    ),
    "table": (
        "Compare:\n\n| Name | **Size** | Link |\n|:-----|:----:|-----:|\n| `a|b` | *10* | [x](https://example.com) |\n"
        "| **b** | 1 * 2 | ![p](https://example.com/p.png) |\n| c_d | $x_1$ | ~~no~~ |\n\nAfter the table.\n\n"
        "Text right before\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    ),
    "table without outer pipes": (
        "Door | Good for\n--- | ---:\nMagic | `cells`\nChat | *talk*\n\nP(A|B) and `a | b` and a || b.\n"
    ),
    "table in a list": (
        "1. First:\n\n   | a | b |\n   |---|---|\n   | 1 | **2** |\n\n2. Second:\n   - inner\n     > quoted *text*\n"
    ),
    "links": (
        'See [the *docs*](https://example.com/docs_a "The docs") and [code `x`](<https://example.com/b>), '
        "<https://example.com/auto>, https://example.com/bare_url_x, [a ref][r], [r] and [none].\n\n"
        "Footnote[^1], array[0], f(x)[1][2], [1], a [b] c, [x]() and [wiki](https://en.wikipedia.org/wiki/A_(b)).\n\n"
        '[^1]: The *note*.\n\n[r]: https://example.com/ref "Title"\n'
    ),
    "definitions first": (
        '[one]: https://example.com/1\n[two]: <https://example.com/2>\n  "Two"\n\nUse [one], [*two*][two] and [three][].\n'
    ),
    "images": (
        '![A *nice* cat](https://example.com/cat.png "Cat")\n\nInline ![icon](https://example.com/i.svg) and '
        "[![badge](https://example.com/b.svg)](https://example.com) and ![ref image][i].\n\n[i]: https://example.com/i.png\n"
    ),
    "tasks": "- [ ] open **task**\n- [x] done `task`\n  - [ ] inner [link](https://example.com)\n- [y] none\n* [ ]\n",
    "nested lists": (
        "- one\n  - two *x*\n    - three `y`\n      1. four\n      2. five\n\n         para in five **b**\n- six\n\n  para\n\n"
        "      indented code\n\n* other\n+ third\n1) fourth\n2) fifth\n"
    ),
    "quotes": (
        "> A *quote* with `code`\n> and **more\n> bold**\n>\n> - item\n> - [link](https://example.com)\n>\n"
        "> ```python\n> x = 1\n> ```\n> > deeper _text_\n\n> lazy\ncontinued *here*\n"
    ),
    "code": (
        'Inline ``a ` b`` and `` `x` `` and ` y `.\n\n```python\ndef f(*args, **kwargs):\n    """# no heading"""\n\n'
        "    return '```' + args[0]\n```\n\n~~~\n*raw*\n~~~\n\n````markdown\n```js\nlet a = 1;\n```\n````\n\n"
        "    indented *code*\n\nEnd ```not a fence``` here.\n\n```inline``` at the start.\n"
    ),
    "open code at the end": "Run this:\n\n- step\n  ```sh\n  echo `date` * _x_\n",
    "CJK": (
        "**重点**：这是*说明*，用 `代码` 表示。\n\n1. **第一**、内容\n2. 「**引用**」と_テスト_\n\n한국어 **강조**는 `코드`와 함께.\n\n"
        "| 名称 | 值 |\n|---|---|\n| 甲 | **乙** |\n\n链接：https://example.com/路径。见[文档](https://example.com)。\n"
    ),
    "HTML": (
        "Line<br>break, H<sub>2</sub>O, a < b and c > d, x <y and z, <kbd>Ctrl</kbd>, "
        '`<div>` and <div class="a">text</div>.\n\n<details>\n<summary>More</summary>\n\nHidden *text*\n\n</details>\n\n'
        "<!-- a comment -->\n\nList<int> and Map<String, List<int>> are types; a<b>c.\n"
    ),
    "entities and escapes": (
        "AT&T, &copy; 2024, &amp; &#42;x&#42; and 1 \\* 2 \\_x\\_ C:\\path\\to \\\\ end\\\nhard  \nbreak & more\\\n"
    ),
    "numbers": "2024 was good.\n1986\\. A year.\n\n12 apples\n- 5 pears\n+1 for it\n\n3.14 is pi\n\n10. ten\n11. eleven\n",
    "rules": "Above\n\n---\n\nBelow\n\n***\n\n_ _ _\n\n* * *\n\n- - -\n\n-- dashes -- and — dashes\n",
    "emphasis at odd places": (
        'un*frigging*believable, *a*b, **a**b, a**"b"**c, *(x)*, **x:** y, **x**: y, ***a** b*, ***a* b**, **a *b***\n'
    ),
    "marks across lines": "A **bold\nover lines** and *it\nalics* and `co\nde` and [li\nnk](https://example.com) end.\n",
    "mail and shouting": "Hello! Write to <me@example.com> or me@example.com! Wow!! Is it [so]? Yes!\n",
    "folds": (
        "<think>\nFirst *look* at `x`.\n\n- a **b\n</think>\n\nSo:\n\n<details>\n<summary>More *info*</summary>\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n```py\nx = 1\n```\n</details>\n\n<!-- hidden\n\nnote --> shown\n"
    ),
    "alerts and notes": (
        "> [!NOTE]\n> Useful *text*.\n\n> [!WARNING] Careful\n> with `this`\n\nA claim[^a] and [^2] and 【1†source】.\n\n"
        "[^a]: First *note*\n    with `code`.\n[^2]: https://example.com/x\n"
    ),
    "Markdown in Markdown": (
        "```markdown\n# Title\n\n```py\nx = 1\n```\n\n- *a*\n```\n\nAfter **it**.\n"
    ),
    "lines": "Roses *are* red,\nviolets `are` blue\n\n• one\n• two **2**\n\nwww.example.com/a_b and me@example.com.\n",
    "odd links": (
        '[a](./f_1) [b](#x "t \\" u") [c](tel:1) [d](<a b>) [e](foo(and(bar))) [f](x y) ![g ![h](i)](j)\n'
    ),
    "environments": (
        "\\begin{align}\na &= b \\\\\nc &= d_1\n\\end{align}\n\n$$\na\n\nb_2\n$$\n\nInline \\(x\\) and $a$ and $b$.\n"
    ),
    "a whole answer": (
        "## Summary\n\nThe function **`load_data()`** reads *all* files:\n\n1. **Open** – see [`open`](https://docs.python.org/3/library/functions.html#open)\n"
        "   - uses `utf-8`\n   - raises `OSError`\n2. **Parse** – about $O(n \\log n)$\n\n   ```python\n   rows = [r for r in csv.reader(f)]  # *all*\n   ```\n\n"
        "| Step | Cost |\n|------|-----:|\n| open | `1` |\n| parse | $n$ |\n\n> **Note:** it is _slow_.\n\n---\n\nDone! ✅ **Next:** run `make_all`\n"
    ),
}
"""By name."""
