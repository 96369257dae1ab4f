"""More of what agents write: shapes that were wrong once, or that come in most answers."""

from __future__ import annotations

from typing import Final

AGENT_ANSWERS: Final = {
    "setup with nested code": (
        "### Setup\n\n1. **Install** the tool:\n   ```bash\n   pip install 'x[all]'\n   ```\n"
        "   - on macOS, use `brew`:\n     ```sh\n     brew install x  # *not* sudo\n     ```\n"
        "   - on Windows, **skip** this\n\n2. **Run** it\n\n   ```console\n   $ x --help\n   ```\n\n   It prints `usage: x`.\n"
    ),
    "table of options": (
        "| Option | Default | Meaning |\n| --- | :---: | --- |\n| `--a \\| --b` | `None` | either **a** or *b* |\n"
        "| `-x` | — | see [docs](https://example.com/x?a=1&b=2) |\n| `a || b` | 1<br>2 | $x \\le 1$ |\n| | | |\n\nNotes: *none*.\n"
    ),
    "table in chinese": (
        "以下是**对比**：\n\n| 方案 | 优点 | 缺点 |\n|:----:|------|------|\n| **甲** | 快、*简单* | 贵（约￥300） |\n"
        "| 乙 | `便宜` | 慢 |\n\n结论：选**「甲」**，因为它更快。\n"
    ),
    "japanese steps": (
        '手順は**次の通り**です。\n\n1. **「設定」**を開く\n2. `config.json`を編集する：\n\n   ```json\n   {"言語": "日本語"}\n   ```\n\n'
        "3. *保存*して、https://example.com/ja/手順を見る。\n"
    ),
    "korean emphasis": (
        "**개(Dog)**는 동물입니다. **‘고양이’**도 _동물_입니다.\n\n- **이름**: `naver.com`의 것\n- ~~삭제~~됨, **「끝」**.\n"
    ),
    "formulas in a list": (
        "Steps:\n\n1. Start with $a^2 + b^2 = c^2$.\n2. Then\n   $$\n   c = \\sqrt{a^2 + b^2}\n   $$\n   so $c > 0$.\n"
        "3. With \\(\\epsilon_{n} \\to 0\\):\n\n   \\[\n   \\lim_{n \\to \\infty} x_n = x\n   \\]\n\n- $\\alpha$: *rate*\n- $\\beta_1, \\beta_2$: **moments**\n"
    ),
    "details in a list": (
        "- First\n\n  <details>\n  <summary>Show *it*</summary>\n\n  ```py\n  x = 1\n  ```\n\n  </details>\n\n- Second\n"
        "  <details><summary>More</summary>inner **text**</details>\n- Third\n"
    ),
    "footnotes with blocks": (
        "It grew[^growth] by 5%[^2], see [^growth].\n\n[^growth]: From **2019** on:\n\n    - `a`\n    - *b*\n\n"
        "[^2]: [Source](https://example.com/s_1).\n\nMore text.\n"
    ),
    "a thought that does not end": (
        "<think>\nThe user wants *one* number.\n\n1. Read `a.csv`\n2. Sum **x\n\nSo 42, I think: $x_1"
    ),
    "a thought in a line": "<think>Short *one*.</think>\n\n**42** is the answer.\n",
    "thinking and a list": (
        "<thinking>\n- a `b\n- c\n\n```py\nx = 1\n```\n</thinking>\n- **one**\n- two\n"
    ),
    "half-typed links": (
        'See [the guide](https://example.com/guide_(v2)#a_b "The *guide*"), [this][1] and ![alt *text*](https://example.com/a.png).\n'
        "[1]: https://example.com/1\n\nAnd <https://example.com/a_b>, [https://example.com](https://example.com), [a\\]b](https://example.com/c).\n"
    ),
    "a link that stops": "Read more in [the `docs` of **x**](https://example.com/very/long/path?q=1&r=2#frag",
    "an image that stops": "Here it is:\n\n![A chart of *sales*, 2019\u20132024](https://example.com/chart.png",
    "pros and cons": (
        "**Pros**\n- ✅ Fast (`O(1)`)\n- ✅ *Simple*\n\n**Cons**\n- ❌ Needs `root`\n- ⚠️ **Beta**\n\n---\n\n**Verdict:** 8/10 – *use it*.\n"
    ),
    "questions and bold lists": (
        "**Q: Why?**\nBecause *it* works.\n\n* **Speed:** 2x\n    * with `-O2`: 3x\n        * and **LTO**: 4x\n* **Size:** 10 kB\n\n**Q: How?**\n1) Do `a`\n2) Do *b*\n"
    ),
    "shell session": (
        '```console\n$ git log --oneline | head -2\na1b2c3d **not bold**\n$ echo "`date`"\n```\n\nThen `git rebase -i HEAD~2`, and `~/.bashrc` is *read*.\n\n~~~diff\n- old_*\n+ new_`x`\n~~~\n'
    ),
    "patch in a list": (
        '1. Change `a.py`:\n\n   ```diff\n   -x = 1\n   +x = 2\n\n    y = 3\n   ```\n\n2. Change `b.py`:\n\n       indented = True\n\n3. Test: `pytest -k "a and not b"`\n'
    ),
    "markdown file": (
        "Here is the README:\n\n````markdown\n# Title\n\n```bash\nmake **all**\n```\n\n- [ ] *todo*\n````\n\nSave it as `README.md`.\n"
    ),
    "markdown file with equal fences": (
        "```md\n## Use\n\n```py\nprint('*')\n```\n\nDone.\n```\n\n**After** it.\n"
    ),
    "yaml and front matter": (
        "```yaml\n---\nname: a_b\non: [push]\n- run: |\n    echo *\n---\n```\n\nThe key `on:` is **required**.\n"
    ),
    "regular expressions": (
        "Use `^\\d{3}-\\d{4}$` or `[^*_`]+`; escape `\\*` as \\*. The pattern `a|b*` matches *a* or **b**.\n\n- `\\$\\d+` finds $5\n- ``[`~]`` finds marks\n"
    ),
    "prices and variables": (
        "It costs $5/month, or $50 per year (save **$10**). Set `$HOME` and $PATH; ${x} and $1 are shell.\n\n| Plan | Price |\n|---|---:|\n| A | $5 |\n| B | $10.50 |\n"
    ),
    "math with words": (
        "Let $f: \\mathbb{R} \\to \\mathbb{R}$. If $|x| < 1$ then $\\sum x^n = \\frac{1}{1-x}$; otherwise *diverges*.\n\n"
        "$$\\begin{aligned}\na &= b_1 \\\\\n&= c^{*}\n\\end{aligned}$$\n\n**Proof.** Clear from $a*b*c$. $\\blacksquare$\n"
    ),
    "bmatrix": "So\n\n$$\nA = \\begin{bmatrix} 1 & 2 \\\\ 3 & 4 \\end{bmatrix}\n$$\n\nand \\(\\det A = -2\\), *nonzero*.\n",
    "alerts in sequence": (
        "> [!TIP]\n> Use `a`.\n>\n> - *one*\n> - two\n\n> [!IMPORTANT]\n> Read **this**:\n>\n> ```py\n> x = 1\n> ```\n\nText.\n"
    ),
    "quotes in lists": (
        "- He said:\n  > *Never*\n  > again\n\n  and left.\n- She:\n\n  > > nested `q`\n  > back\n- end\n"
    ),
    "poem": (
        "> Shall I compare thee\\\n> to a *summer's* day?  \n> Thou art **more lovely**\n\n*— W. S.*, Sonnet 18\n"
    ),
    "address and phone": (
        "**Address**\nMain St. 5\n12345 Town\n\nTel. +1 (555) 010-0199, mail <a_b@example.com>, *www.example.com/x_y*.\n"
    ),
    "citations": (
        "Paris has 2.1 million people [1][2]. It is old【3†source】, *very* old [4, 5].\n\n[1]: https://example.com/1\n[2] Another *source*\n\nSources:\n1. [A](https://example.com/a) – *2020*\n2. B, p. 5\u201310\n"
    ),
    "keys and tags": (
        "Press <kbd>Ctrl</kbd>+<kbd>C</kbd>, then <kbd>⌘ *K*</kbd>. H<sub>2</sub>O, x<sup>2</sup>, <mark>**key**</mark>,<br/>new line, `<br>` as code, <b>bold</b> and <!-- hidden --> shown.\n"
    ),
    "xml and generics": (
        'Use `List<String>` or Map<K, V>; the tag <tool_call> is text, and <a href="x">too</a>.\n\n```xml\n<a b="c">*d*</a>\n```\n\nIf a<b and c>d, *then* a<c.\n'
    ),
    "json answer": (
        'The result is:\n\n```json\n{\n  "a": [1, 2, {"b": null}],\n  "c": "**d**"\n}\n```\n\nwhere `a` is a *list* and `c` **text**.\n'
    ),
    "headings with numbers": (
        "## 1\\. First\n\n## 2. Second `x`\n\n### 2.1 *Sub* – **y**\n\nText_with_underscores and __init__.py.\n\n#### Q&A\n\n- Q: *why*?\n- A: **so**\n"
    ),
    "rules between parts": (
        "Part *one*\n\n---\n\n**Part two**\n***\n- a\n- - -\n- b\n\n___\nEnd: a --- b, *** and ___.\n"
    ),
    "star lists with stars": (
        "* *one*\n* **two**\n* ***three***\n* a*b*c\n*   wide\n\n    para\n* `*`\n"
    ),
    "plus and paren lists": "+ a\n+ **b**\n   + c\n\n1) x\n   a) y\n   b) *z*\n2) w\n\n(1) not a list\n(2) *either*\n",
    "loose list with code span at ends": "- `a`\n\n- `b` – *c*\n\n- d `e`\n\n  f **g** `h`\n\n1. `i`\n\n   `j`\n",
    "arabic and hebrew": "**مهم**: هذا *نص* مع `code`.\n\n1. أول\n2. ثاني **جدا**\n\nשלום *עולם*, `x = 1`.\n",
    "emoji": "👍🏽 **Great** 👨‍👩‍👧 *job*! :smile: 🇫🇷 – 1️⃣ first, 2️⃣ **second**\n\n- 🔥 `hot`\n- ❄️ *cold*\n",
    "summary table and code": (
        "**TL;DR** use `b`.\n\n| | a | b |\n|-|-|-|\n| time | 1 s | **0.1 s** |\n| code | ``x`y`` | `z` |\n\n```python\nassert a[\"*\"] == b['_']\n```\n\n> *Note*: measured once[^m].\n\n[^m]: On a **laptop**.\n"
    ),
    "steps with bold numbers": (
        "**1. Open** the file\n\n**2. Edit** it:\n```ini\n[a]\nb = *\n```\n**3. Save**\n\nStep 4: _done_ (see `x_y`).\n"
    ),
    "tasks with marks": (
        "- [ ] **Do** it\n- [x] `done` *now*\n  - [X] ~~no~~\n- [ ] [a link](https://example.com)\n"
    ),
    "a price before code": "It costs $10. Use `$` for it, and `$x` for *shells*; **$5** and *$6*, or $7**.\n",
}
"""By name."""
