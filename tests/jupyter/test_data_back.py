"""Data comes back as data: records as a table and a frame, and answers as instances of models."""

from __future__ import annotations

import pickle
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from picture_files import PNG, png, uri
from safe_html import problems, text_of
from support.kernel import Kernel

from runagent import StreamEvent, ValidationError
from runagent_jupyter import Reply
from runagent_jupyter.chats.answer_view import AnswerView
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.html import record_table
from runagent_jupyter.model_names import model_of
from runagent_jupyter.rendering import bundle, plain_text

RECORDS: list[dict[str, Any]] = [
    {"city": "Rome", "people": 2_800_000, "sea": False},
    {"city": "Oslo <b>", "people": 717_000.5, "sea": True, "note": None},
    {"city": "A|B\nC", "people": None},
]


@dataclass
class City:
    city: str
    people: float | None


def reply_of(value: Any, **options: Any) -> Reply:
    return Reply("a", {"query": "x"}, value, **options)


def html_of(reply: Reply) -> str:
    own = r"<style>.*?</style>\n|<button.*?</button>| onpointerover=\"[^\"]*\""
    shown = re.sub(own, "", bundle(reply)["text/html"])
    assert problems(shown) == []
    return shown


# As a table


def test_records_are_a_table() -> None:
    shown = html_of(reply_of(RECORDS))
    assert re.findall(r"<th(?: [^>]*)?>(.*?)</th>", shown) == ["city", "people", "sea", "note"]
    rows = re.findall(r"<tr>(<td.*?)</tr>", shown, re.DOTALL)
    assert [text_of(row) for row in rows] == [
        "Rome2800000.0false",
        "Oslo <b>717000.5truenull",
        "A|B\nCnull",
    ]
    assert shown.count('<td align="right">') == 3  # numbers, so that the eye compares them
    assert "3 rows, 4 columns" in text_of(shown)
    assert "<details" not in shown


@pytest.mark.parametrize(
    "value", [RECORDS, {"rows": RECORDS}, [RECORDS[0]], [City("Rome", 1.0), City("Oslo", None)]]
)
def test_what_else_is_a_table(value: Any) -> None:
    assert '<div class="runagent-records"' in html_of(reply_of(value))


@pytest.mark.parametrize(
    "value",
    [
        RECORDS[0],
        [],
        [{}],
        [1, 2],
        [{"a": [1]}],
        [{"a": 1}, "x"],
        {"a": RECORDS, "b": 1},
        "| a |\n|---|\n| 1 |",
        '```json\n[{"a": 1}]\n```',
        '[{"a": 1}]',
    ],
)
def test_other_values_stay_what_they_were(value: Any) -> None:
    assert "runagent-records" not in html_of(reply_of(value))


def test_as_plain_text_the_columns_are_aligned() -> None:
    lines = (
        "city        people  sea    note",
        "Rome       2800000  false",
        "Oslo <b>  717000.5  true   null",
        "A|B\\nC        null",
    )
    assert plain_text(reply_of(RECORDS)) == "\n".join(lines)


def test_the_format_json_is_json() -> None:
    assert "runagent-records" not in html_of(reply_of(RECORDS, format="json"))
    assert plain_text(reply_of([{"a": 1}], format="json")) == '[\n  {\n    "a": 1\n  }\n]'


def test_numbers_of_a_column_have_the_same_digits() -> None:
    columns: dict[str, tuple[list[Any], list[str]]] = {
        "share": ([1 / 7, 2.0, -30], ["0.142857", "2.000000", "-30.000000"]),
        "price": ([1.5, 20, 3.25], ["1.50", "20.00", "3.25"]),
        "tiny": ([1e-9, 2.5], ["1e-09", "2.5"]),
        "count": ([1, 20, 10**20], ["1", "20", f"{10**20}"]),
        "odd": ([float("nan"), 1.5], ["nan", "1.5"]),
    }
    for name, (numbers, texts) in columns.items():
        shown = record_table([{name: number} for number in numbers])
        assert re.findall(r"<td[^>]*>(.*?)</td>", shown) == texts


def test_a_table_has_bounds() -> None:
    long = record_table([{"n": number} for number in range(100_000)])
    assert "100,000 rows, 1 column … 99,500 rows not shown" in text_of(long)
    wide = record_table([{f"c{number}": number for number in range(500)}] * 500)
    assert "500 rows, 500 columns … 300 rows and 450 columns not shown" in text_of(wide)
    heavy = record_table([{"x": "y" * 5_000_000}] * 3)
    huge = record_table([{f"c{n}": "y" * 10_000 for n in range(50)}] * 100)
    odd = record_table([{"x": 10**5_000, "y": float("nan"), "z": "$x$ \u202e\x1b[31m"}])
    for shown in (long, wide, heavy, huge, odd):
        assert problems(shown) == []
        assert len(shown) < 700_000
    assert len(plain_text(reply_of([{"n": n, "x": "y" * 10_000} for n in range(10_000)]))) < 150_000


def test_pictures_in_a_table() -> None:
    shown = record_table([{"name": "a", "chart": PNG}, {"name": "b", "chart": "none"}])
    assert problems(shown) == []
    assert shown.count(f'src="{PNG}"') == 1


def test_a_chat_shows_the_same_table() -> None:
    view = AnswerView(Turn("agent", status="streaming"))
    for record in RECORDS:
        view.take(StreamEvent("chunk", record))
    view.turn.end(elapsed=1.0, error=None, stopped=False)
    assert "".join(view.end()["parts"]) == record_table(RECORDS)
    assert record_table(RECORDS) in view.html()
    assert view.turn.text.startswith("```json\n[")
    assert view.known()["steps"] == []


# As a frame


@pytest.mark.parametrize(
    ("value", "columns", "rows"),
    [
        (RECORDS, ["city", "people", "sea", "note"], 3),
        ({"rows": RECORDS}, ["city", "people", "sea", "note"], 3),
        ({"a": 1, "b": [2]}, ["a", "b"], 1),
        ([{"a": {"b": 1}}, {"a": 2}], ["a"], 2),
        ([1, 2, 3], ["value"], 3),
        ("words", ["text"], 1),
        (42, ["value"], 1),
        ([], [], 0),
        ([City("Rome", 1.0), City("Oslo", None)], ["city", "people"], 2),
        (City("Rome", 1.0), ["city", "people"], 1),
    ],
)
def test_the_frame_has_the_rows(value: Any, columns: list[str], rows: int) -> None:
    reply = reply_of(value, usage={"total_tokens": 3}, request_id="r-1", elapsed=2.5)
    frame = reply.to_frame()
    assert list(frame.columns) == columns
    assert len(frame) == rows
    assert frame.attrs == reply.facts()
    assert frame.attrs["usage"] == {"total_tokens": 3}


def test_the_facts_are_those_about_the_call() -> None:
    reply = reply_of("words", usage={"total_tokens": 3}, request_id="r-1", elapsed=2.5)
    reply.error = ValidationError("wrong")
    facts = reply.facts()
    assert (
        facts.items()
        >= {
            "agent_id": "a",
            "usage": {"total_tokens": 3},
            "request_id": "r-1",
            "elapsed": 2.5,
            "stopped": False,
            "cached": None,
            "error": "wrong",
        }.items()
    )
    assert facts.keys() & {"value", "text", "input"} == set()
    assert reply.to_dict().items() >= facts.items()


# As models


def test_a_reply_with_a_model_is_shown_exported_and_pickled() -> None:
    reply = reply_of('[{"city": "Rome", "people": 3}]')
    reply.read_as(list[City])
    assert reply.value == [City("Rome", 3.0)]
    assert reply.text == '[\n  {\n    "city": "Rome",\n    "people": 3.0\n  }\n]'
    assert reply.to_dict()["value"] == [{"city": "Rome", "people": 3.0}]
    assert '"people": 3.0' in reply.to_json()
    assert "```json" in reply.to_markdown()
    assert pickle.loads(pickle.dumps(reply)).value == reply.value


class Shelf:
    City = City


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("City", City),
        ("Shelf.City", City),
        ("list[City]", list[City]),
        ("dict[str, list[City]]", dict[str, list[City]]),
        ("City | None", City | None),
        ("List[City]", None),
        ("int", int),
        ("Any", Any),
    ],
)
def test_types_are_named_as_in_python(text: str, model: Any) -> None:
    import typing

    expected = typing.List[City] if model is None else model  # noqa: UP006
    assert model_of(text, {"City": City, "Shelf": Shelf}) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Nobody",
        "city",
        "list[City",
        "list[city]",
        "__import__('os')",
        "City()",
        "City.__init__",
        "Shelf.nothing",
        "[City]",
        "lambda: 1",
        "",
    ],
)
def test_what_names_no_type_is_refused_and_not_run(text: str) -> None:
    with pytest.raises(ValidationError, match="names no type") as caught:
        model_of(text, {"City": City, "Shelf": Shelf, "city": City("Rome", 1.0)})
    assert "--as list[Model]" in (caught.value.hint or "")


AGENTS = f"""%reload_ext runagent_jupyter
import time
from dataclasses import dataclass
from runagent.local import agent

@dataclass
class City:
    city: str
    people: int

asked = []

@agent("cities")
def cities(query: str = "", **_):
    asked.append(query)
    if query == "bad":
        return "Rome has `many` people."
    return '''Here:\\n```json\\n[{{"city": "Rome", "people": 3}}]\\n```'''

@agent("draws")
def draws(query: str = ""):
    yield "Here it is:"
    yield {{"image": {PNG.partition(",")[2]!r}, "mime": "image/png", "caption": "sales"}}
"""


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Iterator[Kernel]:
    shared_kernel.execute(AGENTS).ok()
    yield shared_kernel
    shared_kernel.execute("%config RunAgentMagics.cache_path = ''").ok()


def test_as_model_in_a_cell(kernel: Kernel, tmp_path: Any) -> None:
    kernel.execute("%%runagent cities --as list[City] --out reply\nx").ok()
    assert kernel.value("reply.value == [City('Rome', 3)]") is True
    kernel.execute("reply = %runagent cities --no-stream --as 'list[City]' x").ok()
    assert kernel.value("reply.value == [City('Rome', 3)]") is True
    kernel.execute("%%runagent cities --as list[City] --bg --proc job\nx").ok()
    assert kernel.value("job.wait().value == [City('Rome', 3)]") is True
    kernel.execute(f"%config RunAgentMagics.cache_path = {str(tmp_path / 'kept')!r}").ok()
    kernel.execute("asked.clear()")
    for _ in range(2):
        kernel.execute("%%runagent cities --as list[City] --cache --out reply\nx").ok()
        assert kernel.value("reply.value == [City('Rome', 3)]") is True
    assert kernel.value("len(asked)") == 1


def test_an_answer_that_does_not_fit_fails_the_cell(kernel: Kernel) -> None:
    cell = kernel.execute("%%runagent cities --as City --out reply\nbad")
    assert cell.error is not None
    said = "".join(cell.error["traceback"])
    for words in (
        "The answer does not fit City",
        "answer: its text has no JSON",
        "Rome has `many` people",
    ):
        assert words in said
    assert "Rome has" in cell.data("text/plain")[0]  # the answer itself is there, too
    assert kernel.value("reply.text") == "Rome has `many` people."
    kernel.execute("%%runagent cities --as City --no-raise-error\nbad").ok()
    refused = kernel.execute("asked.clear()\n")
    refused = kernel.execute("%%runagent cities --as Nobody\nx")
    assert "names no type" in "".join((refused.error or {})["traceback"])
    assert kernel.value("len(asked)") == 0


def test_a_picture_is_shown_in_a_cell_and_saved_with_it(kernel: Kernel) -> None:
    cell = kernel.execute("%%runagent draws\nx").ok()
    (output,) = cell.outputs
    assert f'src="{PNG}"' in output["data"]["text/html"]
    assert output["data"]["text/plain"] == "Here it is:\n\n[image: sales (PNG, 2 × 2)]\n\n"
    plain = kernel.execute("reply = %runagent draws x\nprint(reply.text)").ok()
    assert f"![sales]({PNG})" in plain.stdout


def test_a_picture_in_a_stream_goes_to_the_page_twice_at_most(kernel: Kernel) -> None:
    """Once with its block, and once with the clean output at the end."""
    address = uri(png(500, 500, rows=random.Random(1).randbytes(500 * 501)))
    assert len(address) > 300_000
    kernel.execute(f"address = {address!r}").ok()
    kernel.execute(
        """
@agent("paints")
def paints(query: str):
    text = "Some words. " * 300 + f"\\n\\n![x]({address})\\n\\n" + "More words. " * 300
    for start in range(0, len(text), 5_000):
        yield text[start:start + 5_000]
        time.sleep(0.02)
"""
    ).ok()
    cell = kernel.execute("%%runagent paints\nx").ok()
    assert sum(message.size for message in cell.messages) < 2.5 * len(address)
    assert cell.outputs[-1]["data"]["text/html"].count(address) == 1
    for output in cell.outputs:
        assert address not in output["data"]["text/plain"]


def test_a_figure_and_a_frame_of_an_agent_of_this_process(kernel: Kernel) -> None:
    kernel.execute(
        """
import pandas as pd
from PIL import Image
@agent("gives")
def gives(query: str):
    return pd.DataFrame({"a": [1, 2]}) if query == "frame" else Image.new("L", (3, 2))
"""
    ).ok()
    frame = kernel.execute("%%runagent gives\nframe").ok()
    assert "runagent-records" in frame.outputs[-1]["data"]["text/html"].partition("</style>")[2]
    assert kernel.value("_.to_frame().a.tolist()") == [1, 2]
    image = kernel.execute("%%runagent gives\nimage").ok()
    assert 'width="3" height="2" src="data:image/png' in image.outputs[-1]["data"]["text/html"]
