"""Formulas as agents write them: which are formulas, and which of these become MathML."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from safe_html import problems, text_of

from runagent_jupyter.html import render, typeset
from runagent_jupyter.html.tex_macros import chemistry, written_out

FORMULAS = (
    (Path(__file__).parent / "markdown_specs" / "formulas.txt").read_text("utf-8").splitlines()
)
NOT_SHOWN = {
    "it defines commands": [
        r"\DeclareMathOperator{\Tr}{Tr} \Tr A",
        r"\newcommand{\R}{\mathbb{R}} \R^n",
    ],
    "it leads elsewhere or loads something": [
        r"\href{https://example.com}{x}",
        r"\includegraphics{x.png}",
    ],
    "it can draw over the text around it": [r"\mathllap{x}"],
    "MathML of all browsers has nothing like it": [
        r"\sideset{_a^b}{_c^d}\sum",
        r"\colorbox{yellow}{x}",
        r"\begin{tikzcd} A \arrow[r] & B \end{tikzcd}",
    ],
}
"""The formulas of the corpus that are shown as code, by the reason."""
NOT_CONVERTED = {
    r"50\% \text{ of } \$5": "a dollar could begin a formula for a typesetter",
    r"\big( \Big[ \bigg\{ \Bigg|": "the converter knows no such size of a brace",
}
"""Those that are left to a typesetter, with the reason."""


def as_written(formula: str) -> str:
    return formula if formula.startswith("\\begin") else f"$${formula}$$"


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_becomes_mathml(formula: str) -> None:
    content = render(as_written(formula))
    shown = typeset(content)
    assert problems(shown) == []
    if any(formula in formulas for formulas in NOT_SHOWN.values()):
        assert "ra-math" not in content
        assert formula in text_of(content)
    else:
        assert content.count('class="ra-math"') == 1
        assert ("<math" in shown) == (formula not in NOT_CONVERTED)


def test_the_corpus_has_the_formulas_that_are_named_here() -> None:
    named = [*NOT_CONVERTED, *(formula for formulas in NOT_SHOWN.values() for formula in formulas)]
    assert set(named) <= set(FORMULAS)
    assert len(FORMULAS) == len(set(FORMULAS)) > 150


@pytest.mark.parametrize("formula", [f for f in FORMULAS if r"\label" not in f and "ref{" not in f])
def test_the_tex_of_a_formula_can_be_copied_as_it_was_written(formula: str) -> None:
    shown = typeset(render(f"$${formula}$$"))
    if "<ra-tex" in shown:
        (tex,) = re.findall("<ra-tex [^>]*>([^<]*)</ra-tex>", shown)
        assert text_of(tex) == f"\\[{formula}\\]"


@pytest.mark.parametrize("gap", ["", "\n", "\n\n"])
@pytest.mark.parametrize(
    ("opener", "closer"),
    [("$$", "$$"), ("\\[", "\\]"), ("\\begin{align}", "\\end{align}"), ("- $$", "  $$")],
)
def test_a_formula_may_have_empty_lines_in_it(opener: str, closer: str, gap: str) -> None:
    margin = "  " if opener[0] == "-" else ""
    content = render(f"{opener}\n{margin}a = b \\\\\n{gap}{margin}c = d\n{closer}\n\nafter\n")
    assert content.count('<div class="ra-math">') == 1
    assert "<p" in content.partition("</div>")[2]
    assert problems(content) == []


@pytest.mark.parametrize(
    "text",
    [
        "$$\n\nSome text.\n\n- a list",
        "\\[a link to nowhere](x)\n\nand text",
        "\\begin{align}\n\nno end",
        "$$ a\n\nb $$",
    ],
)
def test_a_formula_without_an_end_takes_no_text(text: str) -> None:
    content = render(text)
    assert "ra-math" not in content
    assert [line for line in text.split() if line.strip("-$\\[]()") not in text_of(content)] == []


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("the $n$th term and the $k$s", ["n", "k"]),
        ("$2$nd, $1$st, $3$rd", ["2", "1", "3"]),
        ("from $5 to 6$", []),
        ("between $10 and 20$, $1,000 per month$", []),
        ("$5 \\times 6$ and $5/6$ and $2 x$ and $3x + 1$", ["5 \\times 6", "5/6", "2 x", "3x + 1"]),
        ("设$x$为实数，$y$也是", ["x", "y"]),
        ("[x](https://en.wikipedia.org/wiki/A_\\(b\\))", []),
        ("[x](./A_\\(b\\)) ![x](https://a.b/A_\\(b\\))", []),
        ("https://en.wikipedia.org/wiki/A_\\(b\\)", []),
        ("see \\begin{align} a &= b \\end{align} here", ["\\begin{align} a &= b \\end{align}"]),
    ],
)
def test_dollars_and_parentheses_are_formulas_only_where_they_are_meant(
    text: str, formulas: list[str]
) -> None:
    content = render(text)
    found = re.findall('<span class="ra-math">(.*?)</span>', content)
    assert [text_of(formula)[2:-2] for formula in found] == formulas
    assert problems(content) == []


def test_labels_are_left_out_and_references_are_words() -> None:
    assert "label" not in render("$$a \\label{eq:a}$$")
    assert "\\text{eq:a}" in render("$\\eqref{eq:a}$")


@pytest.mark.parametrize(
    ("formula", "tex"),
    [
        ("H2O", r"\text{H}_{2}\text{O}"),
        ("SO4^2-", r"\text{SO}_{4}^{2-}"),
        ("Na+", r"\text{Na}^{+}"),
        ("2H2", r"2\text{H}_{2}"),
        ("^{14}_{6}C", r"{}^{14}_{6}\text{C}"),
        ("Fe(OH)3", r"\text{Fe}(\text{OH})_{3}"),
        ("CuSO4.5H2O", r"\text{CuSO}_{4}\cdot 5\text{H}_{2}\text{O}"),
        ("A -> B", r"\text{A} \rightarrow  \text{B}"),
        (
            "A <=>[x] B",
            r"\text{A} \underset{}{\overset{\text{x}}{\rightleftharpoons }}  \text{B}",
        ),
    ],
)
def test_formulas_of_substances(formula: str, tex: str) -> None:
    assert chemistry(formula) == tex


@pytest.mark.parametrize(
    ("tex", "plainer"),
    [
        (r"\abs{\norm{x}}", r"\left|\left\|x\right\|\right|"),
        (r"\dv{x}", r"\frac{\text{d}}{\text{d}x}"),
        (r"\qty(x)", "(x)"),
        (r"\SI{1.5e-3}{\kilo\gram\per\second\squared}", r"1.5\times 10^{-3}\,\mathrm{kg/s^{2}}"),
        (r"\abs x \bra", r"\abs x \bra"),
        (r"\abs{#1 \# x}", r"\left|#1 \# x\right|"),
        (
            r"\begin{align}a\tag{1}\nonumber\end{align}",
            r"\begin{align*}a\qquad\text{(1)}\end{align*}",
        ),
    ],
)
def test_commands_are_written_out(tex: str, plainer: str) -> None:
    assert written_out(tex) == plainer


@pytest.mark.parametrize("tex", [r"\hspace{-50em}", r"\hspace{500em}", r"\kern-3em", r"\hspace{x}"])
def test_a_space_cannot_move_a_formula_over_the_text(tex: str) -> None:
    assert "ra-math" not in render(f"$$a {tex} b$$")
