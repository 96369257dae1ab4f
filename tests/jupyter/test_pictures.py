"""Pictures in answers: which are shown, which are not, and that none costs more than it should."""

from __future__ import annotations

import base64
import contextlib
import io
import random
import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import PNG, chunk, gif, jpeg, png, uri, webp
from PIL import Image
from safe_html import problems, text_of

from runagent import StreamEvent
from runagent_jupyter import Reply, steps
from runagent_jupyter.chats.answer_view import AnswerView
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.data.image_headers import ImageError, read_header
from runagent_jupyter.data.pictures import described, picture_of
from runagent_jupyter.data.values import as_markdown
from runagent_jupyter.event_log import EventLog
from runagent_jupyter.html import MarkdownStream, json_tree, render
from runagent_jupyter.outputs.terminal import TerminalDisplay
from runagent_jupyter.rendering import bundle, plain_text

CONTENT = PNG.partition(",")[2]
SHOWN = f'<img class="runagent-picture" alt="{{}}" width="2" height="2" src="{PNG}">'


def pictures_in(content: str) -> list[str]:
    """Return the addresses of the pictures in HTML, which must be safe."""
    assert problems(content) == []
    return re.findall(r'<img [^<>]*src="([^"]*)">', content)


# Files


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (300, 200), (3_000, 2_000)])
def test_the_size_is_that_which_a_decoder_finds(
    kind: str, mode: str, size: tuple[int, int]
) -> None:
    file = io.BytesIO()
    image = Image.new(mode, size)
    if kind == "JPEG" and mode in ("RGBA", "P", "1"):
        image = image.convert("RGB")
    image.save(file, kind, **({"progressive": True} if mode == "L" and kind == "JPEG" else {}))
    assert read_header(file.getvalue()) == (f"image/{kind.lower()}", *size)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_moving_pictures(kind: str) -> None:
    file = io.BytesIO()
    frames = [Image.effect_noise((20, 10), spread) for spread in (10, 50, 90)]
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    assert read_header(file.getvalue())[1:] == (20, 10)


LIARS = {
    "png": png(60_000, 60_000, rows=b"\0"),
    "png-in-bounds": png(5_000, 5_000, rows=b"\0"),
    "two-headers": png(extra=chunk(b"IHDR", b"\0\0\xff\xff\0\0\xff\xff\x08\0\0\0\0")),
    "gif": gif(60_000, 60_000),
    "gif-frame": gif(1, 1, (60_000, 60_000)),
    "gif-in-bounds": gif(5_000, 5_000),
    "jpeg": jpeg(60_000, 60_000),
    "jpeg-in-bounds": jpeg(5_000, 5_000),
    "webp": webp(16_000, 16_000),
}


@pytest.mark.parametrize("name", LIARS)
def test_a_picture_that_lies_about_its_size_is_not_shown_and_costs_no_memory(name: str) -> None:
    address = uri(LIARS[name])
    tracemalloc.start()
    shown = render(f"Look: ![a chart]({address})")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert pictures_in(shown) == []
    assert "[image: a chart · not shown: " in text_of(shown)
    assert peak < 2_000_000


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_damaged_files_raise_nothing_else(kind: str) -> None:
    file = io.BytesIO()
    Image.effect_noise((40, 40), 50).save(file, kind)
    whole = file.getvalue()
    chance = random.Random(kind)
    for _ in range(1_500):
        damaged = bytearray(whole)
        for _ in range(chance.randint(0, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        cut = chance.choice([len(damaged), chance.randint(0, len(damaged))])
        with contextlib.suppress(ImageError):
            read_header(bytes(damaged[:cut]))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (PNG.replace("png", "svg+xml"), "no PNG, JPEG, GIF or WebP"),
        (PNG.replace("png", "bmp"), "no PNG, JPEG, GIF or WebP"),
        ("data:image/png;base64,", "no PNG, JPEG, GIF or WebP"),
        ("data:image/png;base64,A", "base64 is damaged"),
        (uri(b"<svg/>"), "no PNG, JPEG, GIF or WebP"),
        (uri(png()[:-4]), "cut off"),
        (uri(png().replace(b"IDAT", b"IDAX")), "damaged"),
        (uri(png(0, 2, rows=b"\0\0")), "no pixels"),
        (uri(bytes(3_000_001) + bytes(1_000_000)), "more than 4 MB"),
        (uri(png(6_000, 6_000)), "6,000 × 6,000 pixels, more than 25 million"),
    ],
)
def test_what_is_wrong_with_a_picture_is_said(address: str, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        picture_of(address)


def test_the_type_is_that_of_the_bytes() -> None:
    shown = pictures_in(render(f"![x]({PNG.replace('png', 'webp')})"))
    assert shown == [PNG]


# Markdown


@pytest.mark.parametrize(
    "text",
    [
        f"![a chart]({PNG})",
        f"![a chart](<{PNG}>)",
        f'![a chart]({PNG} "title")',
        f"![a chart]({PNG.replace('data:image/png;base64', 'DATA:IMAGE/PNG;BASE64')})",
        f"- item\n  - ![a chart]({PNG})",
        f"|a|b|\n|-|-|\n|1|![a chart]({PNG})|",
        f"> # ![a chart]({PNG})",
        f"**![a chart]({PNG})**",
        f"[![a chart]({PNG})](https://example.com)",
        f"![a chart][c]\n\n[c]: {PNG}",
        f"![a chart][c]\n\n[c]: <{PNG}>",
        f"[c]:\n{PNG}\n\n![a chart][c]",
    ],
)
def test_markdown_shows_it(text: str) -> None:
    shown = render(text)
    assert pictures_in(shown) == [PNG]
    assert SHOWN.format("a chart") in shown


@pytest.mark.parametrize(
    "text",
    [
        f"```\n![x]({PNG})\n```",
        f"```python\nimage = ({PNG})\n```",
        f"- a\n\n  ~~~json\n  ({PNG})\n  ~~~",
        f"    ![x]({PNG})",
        f"`![x]({PNG})`",
        f"see ({PNG})",
        f"<{PNG}>",
        f'<img src="{PNG}">',
    ],
)
def test_elsewhere_the_whole_address_is_text(text: str) -> None:
    shown = render(text)
    assert pictures_in(shown) == []
    assert PNG in text_of(shown)


def test_an_address_without_a_picture_has_a_name_and_a_reason() -> None:
    shown = text_of(
        render("![a *fine* chart](data:image/png;base64,AAAA) and ![](data:image/gif;base64,)")
    )
    assert "[image: a fine chart · not shown: it is no PNG" in shown
    assert "[image: not shown: " in shown


def test_an_empty_description_is_no_empty_description() -> None:
    assert SHOWN.format("picture") in render(f"![]({PNG})")


MIXED = (
    f"A (data)\n\n![x]({PNG}) between ![y][z]\n\n```\n({PNG})\n```\n"
    f"\n[z]: {PNG}\n\n|a|\n|-|\n|![t]({PNG})|\n\nend (data:image/png;base64,AAAA"
)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=60))
def test_chunks_make_no_difference(sizes: list[int]) -> None:
    stream, rest, index = MarkdownStream(), MIXED, 0
    while rest:
        size = sizes[index % len(sizes)]
        stream.feed(rest[:size])
        assert problems(stream.tail()) == []
        rest, index = rest[size:], index + 1
    stream.finish()
    assert stream.html() == render(MIXED)
    assert len(pictures_in(stream.html())) == 3


LARGE = Image.effect_noise((700, 700), 60)


def large_uri() -> str:
    file = io.BytesIO()
    LARGE.save(file, "PNG")
    return uri(file.getvalue())


def test_a_picture_that_is_on_its_way_is_not_painted_again_and_again() -> None:
    address = large_uri()
    assert len(address) > 300_000
    stream, painted = MarkdownStream(), 0
    text = f"Before ![x]({address}) behind {'word ' * 200}"
    for start in range(0, len(text), 2_000):
        blocks = stream.feed(text[start : start + 2_000])
        painted += len(stream.tail()) + sum(map(len, blocks))
        assert stream.tail_size < 20_000
    assert pictures_in(stream.tail()) == []
    assert "[image: x]" in text_of(stream.tail())
    painted += sum(map(len, stream.finish()))
    assert painted < 2 * len(text)
    assert pictures_in(stream.html()) == [address]


def test_one_picture_many_times_has_a_bound() -> None:
    address = large_uri()
    shown = render("![x][y] " * 200 + f"\n\n[y]: {address}\n")
    assert len(shown) < 18_000_000
    assert len(pictures_in(shown)) == 16_000_000 // (len(address) - 22)
    assert "too many or too large pictures" in text_of(shown)
    table = f"|({address})|\n|-|\n" + "|x|\n" * 20_000
    assert len(render(table)) < 3 * len(address) + 1_500_000


def test_marks_cannot_be_forged() -> None:
    shown = render(f"![x]({PNG}) ![y](\ufdd00\ufdd1) \ufdd00\ufdd1 " + "\ufdd00\ufdd1" * 10_000)
    assert pictures_in(shown) == [PNG]
    assert len(shown) < 200_000


# Objects


FORMS: dict[str, Any] = {
    "image-mime": {"image": CONTENT, "mime": "image/png"},
    "attachment": {"mime": "image/png", "data": CONTENT},
    "wrapped lines": {"image": "\n".join(re.findall(".{1,20}", CONTENT)), "mime": "image/png"},
    "data-address": {"image": PNG},
    "no type, but a picture": {"image": CONTENT},
    "short type": {"image": CONTENT, "format": "png"},
    "mcp": {"type": "image", "data": CONTENT, "mimeType": "image/png"},
    "anthropic": {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": CONTENT},
    },
    "openai": {"type": "image_url", "image_url": {"url": PNG}},
    "gemini": {"inline_data": {"mime_type": "image/png", "data": CONTENT}},
    "jupyter": {"image/png": CONTENT, "text/plain": "<Figure>"},
    "list": [{"type": "text", "text": "See:"}, {"image": CONTENT, "mime": "image/png"}],
    "with a text": {"answer": "See:", "image": CONTENT, "mime": "image/png"},
    "a text and pictures": {"answer": "See:", "images": [{"image": CONTENT, "mime": "image/png"}]},
}


@pytest.mark.parametrize("name", FORMS)
def test_an_object_that_is_a_picture_is_shown_in_a_cell_and_in_a_chat(name: str) -> None:
    value = FORMS[name]
    reply = Reply("a", {"query": "x"}, value)
    assert pictures_in(re.sub(r"<style>.*?</style>\n", "", bundle(reply)["text/html"])) == [PNG]
    view = AnswerView(Turn("agent", status="streaming"))
    view.take(StreamEvent("chunk", value))
    view.turn.end(elapsed=1.0, error=None, stopped=False)
    delta = view.end()
    assert pictures_in("".join(delta["parts"])) == [PNG]
    assert pictures_in(view.html()) == [PNG]
    for text in (plain_text(reply), described(view.turn.text)):
        assert "[image: " in text
        assert CONTENT not in text
    is_with_text = "See:" in str(value)
    assert ("See:" in plain_text(reply)) == is_with_text


def test_a_picture_within_an_object_is_in_its_tree() -> None:
    value = {"chart": {"image": CONTENT, "mime": "image/png"}, "other": PNG, "n": 3, "x": [1]}
    shown = json_tree(value)
    assert pictures_in(shown) == [PNG, PNG]
    assert "n: 3" in text_of(shown)


def test_the_data_of_a_picture_within_an_object_is_no_text() -> None:
    value = {"chart": {"image": CONTENT, "mime": "image/png"}, "all": [PNG, 1], "n": 3}
    reply = Reply("a", {"query": "x"}, value)
    assert CONTENT not in plain_text(reply)
    assert plain_text(reply).count("[image: PNG, 2 × 2]") == 2
    assert reply.to_dict()["value"] == value
    view = AnswerView(Turn("agent", status="streaming"))
    view.take(StreamEvent("chunk", value))
    view.turn.end(elapsed=1.0, error=None, stopped=False)
    assert pictures_in("".join(view.end()["parts"])) == [PNG, PNG]


def test_pieces_of_text_with_an_address_in_them_stay_pieces() -> None:
    pieces = [f"![x]({PNG[:40]}", f"{PNG[40:]})", " end"]
    events = [StreamEvent("chunk", {"content": piece}, piece) for piece in pieces]
    events.insert(1, StreamEvent("chunk", {"progress": 0.5, "image": CONTENT, "mime": "image/png"}))
    reply = Reply("a", {"query": "x"}, events=EventLog(events))
    reply.end(elapsed=1.0, error=None, stopped=False)
    assert reply.text == "".join(pieces)
    assert len(steps.steps_of(events)) == 1


def test_a_terminal_has_words_in_the_place_of_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    text = f"Before ![sales]({PNG}) behind"
    terminal = TerminalDisplay(rendered=False)
    for start in range(0, len(text), 10):
        terminal.add(text[start : start + 10])
    terminal.end(Reply("a", {"query": "x"}, text))
    assert capsys.readouterr().out == "Before ![sales]([image: PNG, 2 × 2]) behind\n"


def test_a_deep_value_is_shown() -> None:
    deep: Any = PNG
    for _ in range(900):
        deep = [deep]
    assert len(plain_text(Reply("a", {"query": "x"}, deep))) < 10_000


def test_an_address_without_an_end_takes_no_time() -> None:
    endless = "![x](data:image/png;base64," + "A" * 2_000_000
    assert described(endless) == endless
    assert "not shown" in text_of(render(endless + ")"))


def test_many_pictures_are_all_there() -> None:
    assert render(f"![x]({PNG})\n\n" * 3_000).count("<img ") == 3_000


@pytest.mark.parametrize(
    "value",
    [
        {"image": CONTENT, "mime": "image/svg+xml"},
        {"image": base64.b64encode(b"<svg onload=x>").decode() * 9},
        {"image": "https://example.com/x.png", "mime": "image/png"},
        {"image": "https://example.com/x.png"},
        {"type": "tool_call", "image": CONTENT, "mime": "image/png"},
        {"image": 3, "mime": "image/png"},
        {"data": CONTENT},
        {"image": PNG.replace("png", "svg+xml")},
    ],
)
def test_other_objects_are_no_pictures(value: Any) -> None:
    assert as_markdown(value) is None
    assert pictures_in(json_tree(value)) == []


def test_an_object_nested_without_end_is_no_picture() -> None:
    value: dict[str, Any] = {"mime": "image/png"}
    value["data"] = value
    assert as_markdown(value) is None


@pytest.mark.parametrize(
    "caption", ["a [b] (c)", "$x$ \\(y\\) `z` <b>", "](x", "*a* _b_ ~~c~~", ""]
)
def test_any_caption(caption: str) -> None:
    shown = render(as_markdown({"image": CONTENT, "mime": "image/png", "caption": caption}) or "")
    assert pictures_in(shown) == [PNG]


def test_a_picture_between_texts_of_a_stream_is_a_part_of_the_answer() -> None:
    events = [
        StreamEvent("chunk", "Here: ", "Here: "),
        StreamEvent("chunk", {"image": CONTENT, "mime": "image/png", "caption": "sales"}),
        StreamEvent("chunk", "Good?", "Good?"),
        StreamEvent("chunk", {"type": "tool_call", "image": CONTENT}),
    ]
    assert len(steps.steps_of(events)) == 1
    reply = Reply("a", {"query": "x"}, events=EventLog(events))
    reply.end(elapsed=1.0, error=None, stopped=False)
    assert reply.text == f"Here: \n\n![sales]({PNG})\n\nGood?"
    assert SHOWN.format("sales") in bundle(reply)["text/html"]
    assert plain_text(reply) == "Here: \n\n[image: sales (PNG, 2 × 2)]\n\nGood?"
