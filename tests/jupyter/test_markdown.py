"""Untrusted text as HTML: what it looks like, and that nothing in it is alive."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from attacks import ATTACKS, Attack
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_files import PNG
from safe_html import problems, text_of

from runagent_jupyter.control_characters import strip_controls
from runagent_jupyter.html import (
    code,
    escape,
    json_tree,
    plain,
    record_table,
    render,
    typeset,
    wrap,
)
from runagent_jupyter.html.sanitizer import sanitize
from runagent_jupyter.html.tex_allowlist import _COMMANDS

WAYS: dict[str, Callable[[str], str]] = {
    "render": render,
    "plain": plain,
    "escape": escape,
    "code": lambda text: code(text, "python"),
    "language": lambda text: code("x = 1", text),
    "json_string": json_tree,
    "json_key": lambda text: json_tree({text: {text: [text]}}),
    "table": lambda text: record_table([{text: text, "n": 1}, {"n": text}]),
    "picture": lambda text: json_tree(
        [
            {"image": PNG, "alt": text},
            {"image": text, "mime": "image/png"},
            {"image": PNG.partition(",")[2], "mime": text},
            {"type": "image_url", "image_url": {"url": text}},
        ]
    ),
}


def test_the_corpus_is_large_and_without_repetition() -> None:
    assert len(ATTACKS) >= 150
    assert len({attack.template for attack in ATTACKS}) == len(ATTACKS)
    assert len({str(attack) for attack in ATTACKS}) == len(ATTACKS)
    assert all(
        "127.0.0.1:9" in a.text("http://127.0.0.1:9")
        for a in ATTACKS
        if "@" in a.template and "@BEACON@" in a.template
    )


@pytest.mark.parametrize(
    "bad",
    [
        "<script>1</script>",
        '<img src="x">',
        "<img>",
        '<img alt="x" class="runagent-picture" height="1" width="1" src="data:image/svg+xml;base64,A">',
        '<img alt="x" class="runagent-picture" height="1" width="1" src="https://example.com/x.png">',
        '<img alt="x" class="x" height="1" width="1" src="data:image/png;base64,AAAA">',
        '<a href="javascript:1">x</a>',
        '<a href="https://user@host/">x</a>',
        '<a href="https://example.com">x</a>',
        '<p id="x">x</p>',
        '<p style="x">x</p>',
        '<p class="jp-Dialog">x</p>',
        "<p>x</p></div>",
        "<p>x",
        "a < b",
        "<!-- x -->",
        "costs $5",
        "\\href{x}",
        '<span class="ra-math">\\(\\href{x}{y}\\)</span>',
        '<span class="ra-math">\\(x\\) \\(y\\)</span>',
        "\u202e",
        "&#27;",
    ],
)
def test_the_judge_of_html_sees_what_is_bad(bad: str) -> None:
    assert problems(bad)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_attacks_are_harmless(attack: Attack) -> None:
    text = attack.text()
    found = {way: problems(show(text)) for way, show in WAYS.items()}
    assert {way: bad for way, bad in found.items() if bad} == {}


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_second_wall_holds_alone(attack: Attack) -> None:
    """Whatever HTML got past the parser, no tag, attribute or address does that should not."""
    raw = attack.text().encode("utf-8", "replace").decode()
    found = problems(sanitize(raw))
    assert [problem for problem in found if problem.startswith(("tag", "attribute", "link"))] == []


_FRAGMENTS = st.one_of(
    st.sampled_from([attack.text() for attack in ATTACKS if attack.category != "size"]),
    st.sampled_from(
        ["\n", "\n\n", "  ", "    ", "- ", "> ", "|", "```\n", "$", "$$", "\\(", "\\)", "`", "**"]
    ),
    st.sampled_from(
        ["[", "](", ")", "<", ">", '"', "&", "\\", "\x1b", "\u202e", "\ud800", "\x00", "\r"]
    ),
    st.text(max_size=10),
)
MIXTURES = st.lists(_FRAGMENTS, max_size=8).map("".join)


@settings(max_examples=300)
@given(MIXTURES)
def test_mixtures_of_attacks_are_harmless(text: str) -> None:
    for way in WAYS.values():
        assert problems(way(text)) == []


@given(st.text())
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    shown = strip_controls(text)
    assert text_of(escape(text)) == shown
    assert text_of(plain(text)) == shown + "\n"
    assert text_of(code(text)) == shown + "\n"


# --- Markdown -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        (
            "Hello *you* **there** ~~not~~ `code`",
            '<p dir="auto">Hello <em>you</em> <strong>there</strong> <s>not</s> <code>code</code></p>\n',
        ),
        ("# One", '<h1 dir="auto">One</h1>\n'),
        ("One\n===", '<h1 dir="auto">One</h1>\n'),
        ("a\\\nb", '<p dir="auto">a<br>\nb</p>\n'),
        ("***", "<hr>\n"),
        ("> a", '<blockquote dir="auto">\n<p dir="auto">a</p>\n</blockquote>\n'),
        ("3. a\n4. b", '<ol start="3" dir="auto">\n<li>a</li>\n<li>b</li>\n</ol>\n'),
        ("x[^1]", '<p dir="auto">x<sup class="ra-footnote">1</sup></p>\n'),
        ("<b>not bold</b>", '<p dir="auto">&lt;b&gt;not bold&lt;/b&gt;</p>\n'),
        ("", ""),
        (" \n\n\t\n", ""),
    ],
)
def test_markdown(markdown: str, expected: str) -> None:
    assert render(markdown) == expected


def test_table_with_alignment() -> None:
    shown = render("| a | b | c |\n|:--|:-:|--:|\n| 1 | 2 | 3 |")
    assert "<th>a</th>" in shown
    assert '<td align="center">2</td>' in shown
    assert '<td align="right">3</td>' in shown


def test_task_list() -> None:
    shown = render("- [x] done\n- [ ] open\n- [z] neither")
    assert '<li class="ra-task"><span class="ra-mark">\u2611</span> done</li>' in shown
    assert '<li class="ra-task"><span class="ra-mark">\u2610</span> open</li>' in shown
    assert "<li>[z] neither</li>" in shown


def test_code_is_highlighted_and_labelled() -> None:
    shown = render('```python title="x"\ndef f():\n    return "<a>"  # why\n```')
    assert '<div class="ra-language">python</div>' in shown
    assert "<b>def </b>" in shown
    assert '<samp>"&lt;a&gt;"  </samp>' in shown
    assert '<span class="ra-nf">f</span>' in shown
    assert "<i># why" in shown
    assert text_of(shown) == 'pythondef f():\n    return "<a>"  # why\n\n'


@pytest.mark.parametrize("language", ["", "klingon", "PYTHON", "js", "c++", "$x$", "a" * 100])
def test_code_keeps_its_text_in_every_language(language: str) -> None:
    text = "\tdef f(x): $x$\n\n\r\n  'unclosed\n"
    label = language[:30]
    assert text_of(code(text, language)) == label + text.replace("\r\n", "\n") + "\n"


def test_links_open_elsewhere_and_show_where_they_lead() -> None:
    assert render("[x](https://example.com/a?b=1&c)") == (
        '<p dir="auto"><a href="https://example.com/a?b=1&amp;c" title="https://example.com/a?b=1&amp;c" '
        'target="_blank" rel="noopener noreferrer nofollow">x</a></p>\n'
    )


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("see https://example.com.", "https://example.com"),
        ("(https://example.com/a_(b))", "https://example.com/a_(b)"),
        ("https://example.com/?a=b&c=d, and", "https://example.com/?a=b&c=d"),
        ("**https://example.com**", "https://example.com"),
        ("<https://example.com>", "https://example.com"),
        ("<mailto:a@example.com>", "mailto:a@example.com"),
        ("<a@example.com>", "mailto:a@example.com"),
    ],
)
def test_bare_links(text: str, link: str) -> None:
    assert f'<a href="{escape(link)}"' in render(text)


@pytest.mark.parametrize(
    "address",
    [
        *("/tree", "./f.csv", "#a", "tel:+123", "javascript:1", "java&Tab;script:1", "//a.b"),
        *("https://a@b", "https:", "sandbox:/mnt/x.csv", "", "mailto:", "data:text/html,x"),
    ],
)
def test_a_link_to_elsewhere_is_its_words(address: str) -> None:
    for text in (
        f"[x *y*]({address})",
        f"[x *y*][1]\n\n[1]: <{address}>",
        f'[x *y*]({address} "t")',
    ):
        assert render(text) == '<p dir="auto">x <em>y</em></p>\n'
    assert render(f"![x]({address})") == '<p dir="auto">[image: x]</p>\n'


@pytest.mark.parametrize("text", ["xhttps://a.b", "https://", "<xs:element>", "<tel:+1>"])
def test_other_addresses_are_text(text: str) -> None:
    assert render(text) == f'<p dir="auto">{escape(text)}</p>\n'


def test_an_image_is_a_link_to_it() -> None:
    shown = render("![a *cat*](https://example.com/cat.png)")
    assert ">[image: a cat]</a>" in shown
    assert 'href="https://example.com/cat.png"' in shown
    assert "<a" in render("[![in a link](https://a.b/c.png)](https://d.e)")
    assert render("[![in a link](https://a.b/c.png)](https://d.e)").count("<a") == 1


def test_right_to_left_text_finds_its_direction() -> None:
    assert render("שלום") == '<p dir="auto">שלום</p>\n'
    assert '<ul dir="rtl">' in render("1. one\n\n- שלום\n\n  one")
    assert render("> שלום\n\n> one").startswith('<blockquote dir="rtl">\n<p dir="auto">')


def test_deep_nesting_loses_nothing() -> None:
    for text in (">" * 200 + " end", "- " * 200 + "end", "> - " * 100 + "end"):
        assert "end" in text_of(render(text))
    assert "end" in text_of(render("".join("  " * depth + "- x\n" for depth in range(100)) + "end"))


def test_short_rows_do_not_make_a_huge_table() -> None:
    text = "|a" * 60 + "\n" + "|-" * 60 + "\n" + "|x\n" * 2_000
    assert len(render(text)) < 50 * len(text)


def test_a_long_address_used_often_does_not_fill_the_page() -> None:
    text = "[a]: https://example.com/" + "x" * 2_000 + "\n\n" + "[a] " * 20_000
    assert len(render(text)) < 1_000_000


# --- TeX ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("$x^2$", '<span class="ra-math">\\(x^2\\)</span>'),
        ("\\(a \\le b\\)", '<span class="ra-math">\\(a \\le b\\)</span>'),
        ("$$a$$ b", '<span class="ra-math">\\[a\\]</span>'),
        ("a \\[b\\] c", '<span class="ra-math">\\[b\\]</span>'),
        ("$$\na\n- b\n= c\n$$", '<div class="ra-math">\\[a\n- b\n= c\\]</div>'),
        ("\\[\na < b\n\\]", '<div class="ra-math">\\[a &lt; b\\]</div>'),
        ("$$\na\n$$.", '<div class="ra-math">\\[a.\\]</div>'),
        ("- $$\n  a\n  $$", '<div class="ra-math">\\[a\\]</div>'),
        (
            "$\\begin{cases} 1 & x \\\\ 2 \\end{cases}$",
            "\\begin{cases} 1 &amp; x \\\\ 2 \\end{cases}",
        ),
        ("$\\text{where } 50\\% \\text{ of } \\$5$", "50\\% \\text{ of } \\$5\\)"),
    ],
)
def test_formulas_are_left_to_the_typesetter(text: str, formula: str) -> None:
    assert formula in render(text)
    assert problems(render(text)) == []


@pytest.mark.parametrize(
    "tex",
    [
        "\\href{x}{y}",
        "\\newcommand{\\x}{y}",
        "\\hrefx",
        "{",
        "}{",
        "a % b",
        "\\begin{x}\\end{x}",
        "\\require{html}",
        "\\text{\\(x\\)}",
    ],
)
def test_other_tex_is_code(tex: str) -> None:
    for text in (f"$${tex} $$", f"a $${tex} $$ b", f"$$\n{tex}\n$$"):
        shown = render(text)
        assert "ra-math" not in shown
        assert problems(shown) == []
        assert tex.rstrip("\\") in text_of(shown)


@pytest.mark.parametrize(
    "text",
    [
        "costs $5 and $6",
        "US$5-$6",
        "$HOME and $PATH",
        "$HOME/$PATH",
        "$ x $",
        "$$",
        "\\$x\\$",
        "$x",
        "`$x$`",
        "\\\\(x\\\\)",
    ],
)
def test_money_and_variables_are_no_formulas(text: str) -> None:
    shown = render(text)
    assert "ra-math" not in shown
    assert problems(shown) == []


@pytest.mark.parametrize(
    ("text", "mathml"),
    [
        ("$x^2$", "<msup><mi>x</mi><mn>2</mn></msup>"),
        ("a $$\\frac{1}{n}$$ b", '<math display="block">'),
        ("$$\n\\begin{aligned}a &= b\\\\ c\\end{aligned}\n$$", "<mtr>"),
        ("$\\text{if } \\alpha \\le \\hat{y}_i$", "<mo>≤</mo>"),
        ('$\\text{<b>x</b> & "y"}$', "<mtext>&lt;b&gt;x&lt;/b&gt;&nbsp;&amp;"),
    ],
)
def test_formulas_are_mathml_for_pages_without_a_typesetter(text: str, mathml: str) -> None:
    shown = typeset(render(text))
    assert mathml in shown
    (tex,) = re.findall("<ra-tex [^>]*>([^<]*)</ra-tex>", shown)
    assert tex in render(text)
    assert "\\" not in shown.replace(tex, "")
    assert problems(shown) == []
    assert typeset(shown) == shown
    assert shown in wrap(render(text))


@pytest.mark.parametrize(
    "tex",
    [
        "\\frac{1}",
        "\\begin{matrix}a",
        "\\text{\\$x\\$}",
        "x^a^b",
        "a & b",
        "\\sqrt" * 300,
    ],
)
def test_formulas_that_cannot_be_mathml_stay_tex(tex: str) -> None:
    shown = render(f"${tex}$")
    assert "ra-math" in shown
    assert typeset(shown) == as_tex(shown)


def as_tex(shown: str) -> str:
    """Write formulas as they are where none of them can be converted."""
    return shown.replace('"ra-math"', '"ra-math ra-raw"')


def mathml_problems(tex: str) -> list[str]:
    shown = render(f"$${tex}$$")
    made = typeset(shown)
    return [] if made == as_tex(shown) else problems(made)


def test_no_command_in_a_formula_brings_markup_along() -> None:
    for command in sorted(_COMMANDS):
        for arguments in ("{<b onclick='x'>&lt;\"}{<i>}", "[<b>]<x>_<y>^<z>"):
            assert mathml_problems(f"\\{command}{arguments}") == []


_WORDS = [*(f"\\{command}" for command in sorted(_COMMANDS)), *"{}{}[]_^&<>'\"|=+x1 "]
_WORDS += ["\\\\", "\\begin{cases}", "\\end{cases}", "&lt;"]


@given(st.lists(st.sampled_from(_WORDS), max_size=20))
@settings(max_examples=300)
def test_any_formula_is_harmless_as_mathml(words: list[str]) -> None:
    assert mathml_problems("".join(words)) == []


# --- JSON trees ---------------------------------------------------------------------------------


# --- Control characters -------------------------------------------------------------------------


# --- The root -----------------------------------------------------------------------------------


def test_the_root_holds_content_and_style() -> None:
    assert wrap("<p>x</p>", styled=False) == '<div class="runagent-markdown"><p>x</p></div>\n'
    assert re.match(r"<style>[^<]*</style>\n<div class=", wrap("x"))
