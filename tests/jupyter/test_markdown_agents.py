"""Markdown beyond CommonMark as agents write it, shown as GitHub or a large chat shows it."""

from __future__ import annotations

import html
import re

import pytest
from safe_html import problems, text_of

from runagent_jupyter.html import MarkdownStream, render


def inner(text: str) -> str:
    """The HTML of a text that is one paragraph, without its element."""
    shown = render(text)
    assert problems(shown) == []
    match = re.fullmatch(r'<p dir="auto">(.*)</p>\n', shown, re.DOTALL)
    assert match, shown
    return match[1]


def links(text: str) -> list[tuple[str, str]]:
    """The addresses and the words of the links in a text."""
    found = re.findall(r'<a href="([^"]*)"[^>]*>(.*?)</a>', render(text))
    return [(html.unescape(address), text_of(words)) for address, words in found]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**「重点」**内容", "<strong>「重点」</strong>内容"),
        ("**개(Dog)**는", "<strong>개(Dog)</strong>는"),
        ("これは**「強調」**です", "これは<strong>「強調」</strong>です"),
        ("请注意**（重要）：**内容", "请注意<strong>（重要）：</strong>内容"),
        ("**This sentence.**这句话", "<strong>This sentence.</strong>这句话"),
        ("这是*`code`*的", "这是<em><code>code</code></em>的"),
        ("~~旧方法（已废弃）。~~新方法", "<s>旧方法（已废弃）。</s>新方法"),
        ("패키지를 **`npm`**로", "패키지를 <strong><code>npm</code></strong>로"),
        ("**葛\U000e0100。**城", "<strong>葛\U000e0100。</strong>城"),
        ("a**(b)**c", "a**(b)**c"),
        ("**😀(x)**y", "**😀(x)**y"),
        ("a _(b)_c", "a _(b)_c"),
        ("10~20，30~40", "10~20，30~40"),
    ],
)
def test_emphasis_beside_text_without_spaces(text: str, shown: str) -> None:
    assert inner(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("H<sub>2</sub>O, x<sup>2</sup>", "H<sub>2</sub>O, x<sup>2</sup>"),
        ("<kbd>Ctrl</kbd>+<KBD class='x'>C</KBD>", "<kbd>Ctrl</kbd>+<kbd>C</kbd>"),
        ("a<br>b<br/>c<BR />d</br>e", "a<br>\nb<br>\nc<br>\nd<br>\ne"),
        ("<mark>**a** `<b>`</mark>", "<mark><strong>a</strong> <code>&lt;b&gt;</code></mark>"),
        ("**a<sub>b**c</sub>d", "<strong>a<sub>b</sub></strong>cd"),
        ("<sub>a<sup>b</sub>c</sup>", "<sub>a<sup>b</sup></sub>c"),
        ("<sub>never closed", "<sub>never closed</sub>"),
        ("never opened</sub>", "never opened"),
        ("`<sub>` \\<sub>", "<code>&lt;sub&gt;</code> &lt;sub&gt;"),
        ('<sub title="a>b">c</sub>', "<sub>c</sub>"),
        ("a <!-- b --> c<!---->d", "a  cd"),
        ("a <!-- b", "a &lt;!-- b"),
        ("<b>x</b> <u>y</u> <div>", "&lt;b&gt;x&lt;/b&gt; &lt;u&gt;y&lt;/u&gt; &lt;div&gt;"),
    ],
)
def test_a_few_tags_are_read(text: str, shown: str) -> None:
    assert inner(text) == shown


def test_a_tag_ends_with_its_block() -> None:
    shown = render(
        "- <sub>a\n- b\n\n|<mark>c|d<br>e|\n|-|-|\n|<kbd>f|g|\n\n[<sup>h](https://a.b) i"
    )
    assert "<li><sub>a</sub></li>\n<li>b</li>" in shown
    assert "<th><mark>c</mark></th>\n<th>d<br>\ne</th>" in shown
    assert "<td><kbd>f</kbd></td>\n<td>g</td>" in shown
    assert "<sup>h</sup></a> i" in shown


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("请看https://example.com。谢谢", ["https://example.com"]),
        ("访问https://example.com查看", ["https://example.com"]),
        ("（https://example.com/a）", ["https://example.com/a"]),
        ("https://zh.wikipedia.org/wiki/数学", ["https://zh.wikipedia.org/wiki/数学"]),
        ("「https://a.example/x?y=1」と", ["https://a.example/x?y=1"]),
        ("www.example.com/a_b.", ["http://www.example.com/a_b"]),
        ("见www.example.com，以及", ["http://www.example.com"]),
        ("写信给first_last+x@mail.example.com。", ["mailto:first_last+x@mail.example.com"]),
        (
            "a@b.example, `c@d.example`, [x](mailto:e@f.example)",
            ["mailto:a@b.example", "mailto:e@f.example"],
        ),
        ("x@y @name user@localhost www. wwww.a.b 1.5@2", []),
        ("https://user:pass@www.example.com", []),
    ],
)
def test_addresses_without_marks(text: str, found: list[str]) -> None:
    quoted = [address.replace("数学", "%E6%95%B0%E5%AD%A6") for address in found]
    assert [address for address, _ in links(text)] == quoted
    assert text_of(render(text)).replace("[x](mailto:e@f.example)", "x").strip() != ""
    assert problems(render(text)) == []


DETAILS = '<details class="ra-fold">\n<summary>{}</summary>\n{}</details>\n'


@pytest.mark.parametrize(
    ("text", "title", "content"),
    [
        ("<details>\n<summary>A *b*</summary>\n\n- c\n\n</details>", "A <em>b</em>", "c"),
        ("<details open><summary>A</summary>c</details>", "A", "c"),
        ("<details>\nc\n</details>", "Details", "c"),
        ("<DETAILS>\n\n<summary>A</summary>\nc", "A", "c"),
        ("<details><summary>A\n\nc\n</details>", "A", "c"),
    ],
)
def test_details_are_folded(text: str, title: str, content: str) -> None:
    shown = render(text)
    assert problems(shown) == []
    assert shown.startswith(f'<details class="ra-fold">\n<summary>{title}</summary>')
    assert text_of(shown).split()[-1] == content
    for prefix in ("- ", "> ", "1. x\n   "):
        margin = "> " if prefix == "> " else " " * len(prefix.rpartition("\n")[2])
        nested = render(prefix + text.replace("\n", "\n" + margin))
        assert f"<summary>{title}</summary>" in nested
        assert text_of(nested).split()[-1] == content


def test_details_hold_blocks_and_other_details() -> None:
    shown = render(
        "<details><summary>A</summary>\n\n```html\n</details>\n```\n\n"
        "<details><summary>B</summary>\n\ninner\n\n</details>\n\nouter\n\n</details>\n\nafter"
    )
    assert shown.count("<details") == shown.count("</details>\n") == 2
    assert "outer</p>\n</details>\n<p" in shown
    assert shown.endswith('<p dir="auto">after</p>\n')
    assert render("<details>a</details> b").endswith('<p dir="auto">b</p>\n')


def test_a_thought_is_folded_as_a_step() -> None:
    for name in ("think", "thinking"):
        shown = render(f"<{name}>\nfirst\n\n```py\nsecond\n\n</{name}>\n\nThe answer.")
        assert shown.startswith(
            '<details class="ra-fold ra-thought">\n<summary>Thought</summary>\n'
        )
        assert shown.endswith('</details>\n<p dir="auto">The answer.</p>\n')
        assert problems(shown) == []
    assert render("<think>a</think>b") == render("<think>\na\n</think>\n\nb")
    assert render("</think>\n\nb") == '<p dir="auto"></p>\n<p dir="auto">b</p>\n'


@pytest.mark.parametrize("opener", ["<think>\n", "<details>\n<summary>A</summary>\n\n"])
def test_a_long_fold_is_cut_and_loses_nothing(opener: str) -> None:
    shown = render(opener + "word *and* word\n\n" * 3_000 + opener.strip()[0] + "/x>")
    assert shown.count("<em>and</em>") == 3_000
    assert shown.count("<details") > 2
    assert "<p" not in re.sub(r"<details.*?</details>", "", shown, flags=re.DOTALL)


def test_comments_are_not_shown() -> None:
    assert render("<!-- a\n\n- b\n\n--> c") == render("c")
    assert render("a\n<!-- b -->\nc") == render("a") + render("c")
    assert render("<!-- a") == ""
    assert render("<!---->" * 1_000 + "a") == render("a")
    assert render("<details></details>" * 400).count("<details") == 400
    assert "late" in render("<!-- a\n" + "b\n" * 5_000 + "late")


def test_a_block_of_markdown_holds_blocks_of_code() -> None:
    text = "```markdown\n# Title\n\n```python\nx = 1\n```\n\nend\n```\nafter"
    shown = render(text)
    assert shown.count('class="ra-code"') == 1
    assert text_of(shown).count("```") == 2
    assert shown.endswith('<p dir="auto">after</p>\n')
    listed = render("- " + text.replace("\n", "\n  "))
    assert listed.count('class="ra-code"') == 1
    assert "after</li>" in listed
    other = render(text.replace("markdown", "text"))
    assert other.count('class="ra-code"') == 2


def test_notes_stay_in_their_place_with_all_their_blocks() -> None:
    shown = render("x[^1] y[^long]\n\n[^1]: one\n[^long]: two\n\n    - three\n\nafter")
    assert shown.count('<sup class="ra-footnote">1</sup>') == 2
    assert '<div class="ra-annotation">\n<p dir="auto"><sup class="ra-footnote">long' in shown
    assert "<li>three</li>" in shown.partition("after")[0].rpartition('ra-annotation"')[2]
    assert problems(shown) == []


def test_a_note_has_its_label_above_a_list_and_without_a_text() -> None:
    label = '<p dir="auto"><sup class="ra-footnote">1</sup></p>\n'
    assert f"{label}<ul" in render("[^1]:\n\n    - a")
    assert f"{label}</div>" in render("[^1]:")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("so it is【1†source】.", 'so it is<sup class="ra-footnote">1</sup>.'),
        ("is【4:2†report.pdf】", 'is<sup class="ra-footnote">4:2</sup>'),
        ("so it is [1], [2][3]", "so it is [1], [2][3]"),
        ("【重点】", "【重点】"),
    ],
)
def test_citations(text: str, shown: str) -> None:
    assert inner(text) == shown
    assert links(f"{text}\n\n[1]: https://a.example") == (
        [("https://a.example", "1")] if "[1]" in text else []
    )


@pytest.mark.parametrize("kind", ["note", "tip", "important", "warning", "caution"])
def test_alerts(kind: str) -> None:
    shown = render(f"> [!{kind.upper()}]\n> a *b*\n> c\n>\n> d")
    assert re.match(r'<blockquote class="ra-alert( [a-z-]+)?" dir="auto">\n', shown)
    assert f"<strong>{kind.capitalize()}</strong><br>\na <em>b</em><br>\nc</p>" in shown
    assert problems(shown) == []
    assert "ra-alert" in render(f"> [!{kind}]\n>\n> - a")
    for other in (f"> [!{kind}] a", f"> a\n> [!{kind}]", f"[!{kind}]", f"- > [!{kind}]\n  > a"):
        assert "ra-alert" not in render(other)


def test_the_end_of_a_line_is_kept() -> None:
    assert inner("• a\n• b") == "• a<br>\n• b"
    assert inner("A Street 1\nSome Town") == "A Street 1<br>\nSome Town"
    assert "Some Town</li>" in render("- A Street 1\n  Some Town")
    assert "<br>" not in render("a\nb", line_breaks=False)
    stream = MarkdownStream(line_breaks=False)
    stream.feed("a\nb")
    assert stream.tail() == '<p dir="auto">a\nb</p>\n'


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("1986. A great year", '<ol start="1986"'),
        ("1986\\. A great year", "<p"),
        ("It was in\n1986. A great year", "<p"),
        ("One:\n1. a\n2. b", "<ol"),
        ("1. a\n1. b\n5. c", "<ol"),
        ("1) a", "<ol"),
        ("1.a", "<p"),
        ("(1) a", "<p"),
        ("1234567890. a", "<p"),
    ],
)
def test_numbered_text_is_a_list_where_github_says_so(text: str, tags: str) -> None:
    assert tags in render(text)
    assert ("<ol" in render(text)) == tags.startswith("<ol")


def test_a_diagram_is_code_with_its_name() -> None:
    shown = render("```mermaid\ngraph TD;\n  A-->B;\n```")
    assert '<div class="ra-language">mermaid</div>' in shown
    assert "A--&gt;B;" in shown


@pytest.mark.parametrize(
    "text",
    [
        "H<sub>2</sub>O and <kbd class='x'>C</kbd>",
        "<details>\n<summary>A</summary>\n\nb\n\n</details>",
        "<think>\na\n</think>\nb",
        "a <!-- b --> c",
        "so it is【1\u2020source】.",
        "> [!NOTE]\n> a",
    ],
)
def test_a_half_written_mark_is_not_shown(text: str) -> None:
    stream = MarkdownStream()
    for character in text:
        stream.feed(character)
        shown = text_of(stream.html())
        assert not re.search(r"[<>\u3010\u2020\[!]|-->|source|class", shown), shown
    code = MarkdownStream()
    code.feed("```html\nx <sub")
    assert "x <sub" in text_of(code.tail())


def test_tasks() -> None:
    shown = render("1. [x] a\n2. [ ] b\n   - [X] c\n\n- [x]d\n- [x]")
    assert shown.count("\u2611") == 2
    assert shown.count("\u2610") == 1
