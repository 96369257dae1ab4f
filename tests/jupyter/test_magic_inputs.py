"""A question with data beside it: `--input`, `--set` with a table, files and pictures."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from PIL import Image
from support.kernel import Kernel

from runagent import ValidationError, attachment
from runagent_jupyter.magic_line.options import AskOptions
from runagent_jupyter.magic_line.question import chat_context, input_of

FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
RECORDS = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
VARIABLES: dict[str, Any] = {
    "df": FRAME,
    "other": pl.DataFrame({"z": [1]}),
    "d": {"k": "v", "query": "its own"},
    "rows": [1, 2],
    "nothing": None,
    "three": "3",
}


def sent(line: str, body: str = "Which?", variables: dict[str, Any] | None = None) -> Any:
    """Return the input as JSON, after a way through the client's encoder."""
    import json

    from runagent.encode import to_json

    names = VARIABLES if variables is None else variables
    options, question = AskOptions.parse(f"echo {line}")
    data = input_of(options.filled(names), question or body, names, None)
    return json.loads(to_json(data))


@pytest.mark.parametrize(
    ("line", "data"),
    [
        ("--input df", {"query": "Which?", "df": RECORDS}),
        ("--input df --field q", {"q": "Which?", "df": RECORDS}),
        ("--input df --input other", {"query": "Which?", "df": RECORDS, "other": [{"z": 1}]}),
        ("--input top=df.head(1)", {"query": "Which?", "top": RECORDS[:1]}),
        ("--input 'top=df[df.a > 1]'", {"query": "Which?", "top": RECORDS[1:]}),
        ("--input n=rows[1]", {"query": "Which?", "n": 2}),
        ("--input df={{df}}", {"query": "Which?", "df": RECORDS}),
        ("--input nothing", {"query": "Which?", "nothing": None}),
        ("--input d", {"k": "v", "query": "Which?"}),
        ("--input d=d", {"query": "Which?", "d": VARIABLES["d"]}),
        ("--input d --input rows", {"query": "Which?", "d": VARIABLES["d"], "rows": [1, 2]}),
        ("--set df={{df}}", {"query": "Which?", "df": RECORDS}),
        ("--set 'df={{ df.head(1) }}'", {"query": "Which?", "df": RECORDS[:1]}),
        ("--set s={{three}}", {"query": "Which?", "s": "3"}),
        ("--set s=x{{three}}", {"query": "Which?", "s": "x3"}),
        ("--set n={{rows}} --input df", {"query": "Which?", "n": [1, 2], "df": RECORDS}),
    ],
)
def test_data_goes_along_with_the_question(line: str, data: Any) -> None:
    assert sent(line) == data


@pytest.mark.parametrize(
    ("line", "body", "data"),
    [
        ("--input df", "", {"query": RECORDS}),
        ("--input nothing", "", {"query": None}),
        ("--input d", "", VARIABLES["d"]),
        ("--input top=df", "", {"top": RECORDS}),
        ("--input df --input rows", "", {"df": RECORDS, "rows": [1, 2]}),
        ("--input df", '{"k": 1}', {"k": 1, "df": RECORDS}),
        ("--input df --text", '{"k": 1}', {"query": '{"k": 1}', "df": RECORDS}),
        ("", '{"k": {{df}}}', {"k": RECORDS}),
    ],
)
def test_without_a_question_and_with_json(line: str, body: str, data: Any) -> None:
    assert sent(line, body) == data


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--input query=df", ["--input query", "both the field 'query'", "--field KEY"]),
        ("--input df --input df", ["names 'df' twice"]),
        ("--input df.head()", ["neither NAME nor NAME=EXPRESSION", "--input rows=df.head()"]),
        ("--input nobody", ["no variable 'nobody'"]),
        ("--input x=nobody", ["'nobody' is undefined"]),
        ("--input x=1+", ["'1+' is not a valid expression"]),
        ("--input =df", ["neither NAME nor"]),
    ],
)
def test_an_input_that_means_nothing_is_named(line: str, words: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        sent(line)
    for word in words:
        assert word in str(caught.value)


def test_a_dataset_is_a_table_and_not_a_dictionary() -> None:
    import xarray as xr

    cube = xr.DataArray([1], dims="x", name="n").to_dataset()
    data = {"query": "Which?", "cube": [{"x": 0, "n": 1}]}
    assert sent("--input cube", variables={"cube": cube}) == data


def test_a_chat_has_the_same_inputs() -> None:
    options, _ = AskOptions.parse("echo --widget --input df --input top=df.head(1) --set n=1")
    context = chat_context(options, VARIABLES)
    assert list(context) == ["df", "top", "n"]
    assert context["df"] is FRAME


# Files and pictures


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    from matplotlib.figure import Figure

    image = Image.new("RGB", (4, 3), "red")
    file = io.BytesIO()
    image.save(file, "JPEG")
    (tmp_path / "photo.jpg").write_bytes(file.getvalue())
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([1, 2])
    return {
        "figure": figure,
        "image": image,
        "photo": tmp_path / "photo.jpg",
        "table": tmp_path / "table.csv",
        "content": file.getvalue(),
        "nowhere": tmp_path / "nowhere.png",
        "folder": tmp_path,
        "axes": figure.axes[0],
        "odd": object(),
        "opened": file,
    }


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ("figure", "image/png"),
        ("image", "image/png"),
        ("photo", "image/jpeg"),
        ("content", "image/jpeg"),
        ("table", "text/csv"),
    ],
)
def test_one_shape_for_all_pictures_and_files(files: dict[str, Any], name: str, mime: str) -> None:
    ways = [
        sent(f"--input {name}", variables=files)[name],
        sent(f"--input x={name}", variables=files)["x"],
        sent(f"--set x={{{{{name}}}}}", variables=files)["x"],
        sent("", f'{{"x": {{{{{name}}}}}}}', files)["x"],
        sent(f"--input x=[{name}]", variables=files)["x"][0],
        attachment(files[name]),
    ]
    assert [list(way) for way in ways] == [["mime", "data"]] * 6
    assert {way["mime"] for way in ways} == {mime}
    content = base64.b64decode(ways[0]["data"], validate=True)
    if name in ("photo", "table"):
        assert content == files[name].read_bytes()
    if name in ("figure", "image"):
        assert Image.open(io.BytesIO(content)).format == "PNG"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere", ["nowhere.png' is not a file", "str(path)"]),
        ("folder", ["is a directory"]),
        ("axes", ["Axes cannot be sent as JSON", "its .figure"]),
        ("opened", ["BytesIO cannot be sent as JSON", "attachment(path)"]),
        ("odd", ["object cannot be sent as JSON", "matplotlib figure", "PIL image"]),
    ],
)
def test_the_rest_is_refused_with_a_hint(
    files: dict[str, Any], name: str, words: list[str]
) -> None:
    with pytest.raises(ValidationError) as caught:
        sent(f"--input {name}", variables=files)
    for word in (*words, name):
        assert word in str(caught.value)


def test_a_picture_is_no_text(files: dict[str, Any]) -> None:
    for name in ("figure", "image"):
        with pytest.raises(ValidationError, match="it is a picture"):
            sent("", f"Look at {{{{{name}}}}}", files)


def test_an_attachment_has_a_bound(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as opened:
        opened.truncate(20_000_001)
    for value in (file, bytes(20_000_001)):
        with pytest.raises(ValueError, match=r"it has 20\.0 MB, and an attachment at most 20 MB"):
            attachment(value)
    with pytest.raises(ValueError, match="int cannot be attached"):
        attachment(3)


def test_a_table_goes_along_in_a_kernel(shared_kernel: Kernel) -> None:
    shared_kernel.execute(
        """%reload_ext runagent_jupyter
from runagent.local import agent
import pandas as pd
df = pd.DataFrame({"a": [1, 2]})
@agent("echo")
def echo(input_data: dict):
    return input_data
"""
    ).ok()
    shared_kernel.execute("%%runagent echo --input df --input n=df.a[1] --quiet\nWhich?").ok()
    assert shared_kernel.value("_.value") == {
        "df": [{"a": 1}, {"a": 2}],
        "n": 2,
        "query": "Which?",
    }


def test_each_cell_that_sends_a_nan_says_so_in_a_line_of_its_own(shared_kernel: Kernel) -> None:
    shared_kernel.execute(
        """%reload_ext runagent_jupyter
import asyncio
from runagent import AsyncRunAgentClient
from runagent.local import agent
@agent("heard")
def heard(**fields):
    return "yes"
nan, client = float("nan"), AsyncRunAgentClient("heard")
"""
    ).ok()
    cells = {
        "%runagent heard hi --input nan": "runagent:1: UserWarning",
        '%%runagent heard\n{"a": {{nan}}}': ".py:1: UserWarning",
        "await asyncio.gather(*[client.run({'a': nan}) for _ in range(3)])": "runagent:1: User",
    }
    for cell, place in [*cells.items()] * 2:
        said = shared_kernel.execute(cell).ok().stderr
        assert said.count("JSON has no NaN") == 1
        assert place in said
        assert "runagent_jupyter" not in said
