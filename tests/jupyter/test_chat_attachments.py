"""What goes along with a question of a chat: files, pictures and values, and variables by name."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from support.chat_page import ChatPage
from support.kernel import Kernel

from runagent import ValidationError
from runagent_jupyter.chats.attached import Attached, clean_name, fields_of, file_of, forget_oldest
from runagent_jupyter.chats.uploads import Uploads

AGENTS = """
import base64, json
from pathlib import Path
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image
from runagent.local import agent
from runagent_jupyter import AgentWidget

asked = []

@agent("takes")
def takes(query: str, **fields):
    asked.append(fields)
    return "taken"

@agent("plain")
def plain(query: str):
    asked.append(query)
    return "plain"

class Loud:
    def __getattribute__(self, name):
        Path("touched").write_text(name)
        raise AssertionError(name)
    __repr__ = __str__ = __len__ = lambda self: 1 / 0

df = pd.DataFrame({"a": range(20), "b": 1, "c": 2})
data, digits, dumps, df_of, dict_ = "x" * 7, [1, 2], json, lambda: 1, Loud()
größe, _hidden, DATA = np.zeros((2, 3)), 1, {"x": 1}
"""


@pytest.fixture
def kernel(shared_kernel: Kernel, tmp_path: Path) -> Kernel:
    shared_kernel.execute(f"import os; os.chdir({str(tmp_path)!r})\n{AGENTS}").ok()
    return shared_kernel


@pytest.fixture
def page(kernel: Kernel) -> ChatPage:
    kernel.execute("w = AgentWidget('takes')").ok()
    return ChatPage(kernel)


def refused(kernel: Kernel, call: str) -> list[str]:
    kernel.execute(
        f"try:\n    {call}\nexcept Exception as e:\n    failed = [type(e).__name__, str(e)]"
    ).ok()
    found: list[str] = kernel.value("failed")
    return found


def test_what_python_attaches_is_sent_and_kept(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "notes.txt").write_text("hi")
    kernel.execute(
        """
w = AgentWidget("takes")
values = [df, "sub/notes.txt", Path("sub/notes.txt"), Figure(), Image.new("RGB", (2, 2)), b"%PDF-1", {"k": 1}, b""]
turn = w.ask("one", attach=values)
w.ask("two", attach={"prices": df.head(2), "../x\u202e/plan.csv": b"a,b"})
values.clear()
w.save("talk.json")
v = AgentWidget.load("talk.json")
frame = v.to_frame()
"""
    ).ok()
    first, second = kernel.value("[fields['attachments'] for fields in asked]")
    assert [item["name"] for item in first] == [
        *("DataFrame", "notes.txt", "notes (2).txt", "image.png", "image (2).png", "file.pdf"),
        *("dict", "file.bin"),
    ]
    assert first[0]["value"][19] == {"a": 19, "b": 1, "c": 2}
    assert first[6]["value"] == {"k": 1}
    assert (first[1]["mime"], base64.b64decode(first[1]["data"])) == ("text/plain", b"hi")
    assert [item["mime"] for item in first[3:6]] == ["image/png", "image/png", "application/pdf"]
    assert [item["name"] for item in second] == ["prices", "plan.csv"]
    assert (second[1]["mime"], second[1]["data"]) == ("text/csv", "YSxi")
    # What a file keeps: the name, the kind and the size, and no content.
    stored = json.loads((tmp_path / "talk.json").read_text())["turns"][2]["attachments"]
    plan = {"name": "plan.csv", "kind": "text/csv", "size": 3, "is_variable": False}
    assert stored[1] == plan
    assert kernel.value("v.turns[2].attachments == w.turns[2].attachments") is True
    assert kernel.value("frame.attachments[2]") == ["prices", "plan.csv"]
    assert kernel.value("frame.attachments.isna().tolist()") == [False, True, False, True]
    assert "> Attached: `prices · DataFrame 2 × 3`, `plan.csv · 1 kB`" in kernel.value(
        "v.to_markdown()"
    )
    assert "plan.csv · 1 kB" in kernel.value("v._static()['text/html']")
    # Retry of a question whose attachments are not there any more sends nothing.
    page = ChatPage(kernel, "v")
    page.send(type="ask", text="two", at=1, kept=[[1, 0], [1, 1]], files=[], request="r")
    assert "'prices' is not kept any more" in page.wait_for("refused")["text"]
    assert kernel.value("(len(asked), len(v.turns))") == [2, 4]


@pytest.mark.parametrize(
    ("attach", "error"),
    [
        ("df", "attach is a DataFrame; give a list"),
        ("'plot.png'", "attach is a str; give a list"),
        ("['none.png']", "attach[0]: 'none.png' is not a file"),
        ("[df, len]", "attach[1]: builtin_function_or_method cannot be sent"),
        ("[bytes(20_000_001)]", "an attachment at most 20 MB"),
        ("[['x' * 20_000_001]]", "attach[0] has more than 20 MB"),
        ("{'t': pd.DataFrame(np.zeros((4_000_000, 3)))}", "attach['t'] has more than 20 MB"),
        ("[bytes(15_000_000)] * 3", "45.0 MB together, and a question takes at most 40 MB"),
        ("[b''] * 101", "There are 101 attachments"),
    ],
)
def test_what_cannot_go_along_is_refused_before_anything_is_sent(
    kernel: Kernel, attach: str, error: str
) -> None:
    kernel.execute("w = AgentWidget('takes')\nasked.clear()").ok()
    assert error in refused(kernel, f"w.ask('q', attach={attach})")[1]
    assert kernel.value("(len(asked), len(w.turns), w.busy)") == [0, 0, False]


def test_an_agent_that_takes_none_says_so_and_never_runs(kernel: Kernel) -> None:
    kernel.execute("w = AgentWidget('plain')\nasked.clear()\nturn = w.ask('q', [b'x'])").ok()
    assert kernel.value("asked") == []
    assert kernel.value("turn.error.message") == (
        "Agent 'plain' takes no 'attachments'; it takes 'query'."
    )
    assert "attachments=()" in kernel.value("turn.error.hint")
    assert kernel.value("w.ask('q').text") == "plain"


def test_files_of_a_page_come_in_pieces(kernel: Kernel, page: ChatPage) -> None:
    page.send(b"def", type="piece", request="r-1", file=0, at=3)
    page.send(b"lost", type="piece", request="of a page that was reloaded", file=0, at=0)
    page.send(b"%PDF-", type="piece", request="r-1", file=1, at=0)
    files = [{"name": "C:\\a\u202e.txt", "size": 6}, {"name": "x", "size": 5}]
    page.send(type="ask", text="one", request="r-1", files=[*files, {"name": "e", "size": 0}])
    assert kernel.value("w.turns") == []  # in marimo, a question may be faster than its files
    page.send(b"abc", type="piece", request="r-1", file=0, at=0)
    page.wait_for_end()
    assert page.messages()[0]["turns"][0]["attached"] == ["a.txt · 1 kB", "x · 1 kB", "e · 0 kB"]
    sent = kernel.value("asked[-1]['attachments']")
    assert [(i["name"], i["mime"]) for i in sent[:2]] == [
        ("a.txt", "text/plain"),
        ("x", "application/pdf"),
    ]
    assert [base64.b64decode(item["data"]) for item in sent] == [b"abcdef", b"%PDF-", b""]
    # A piece was lost: nothing is sent.
    kernel.execute("from runagent_jupyter.chats import from_pages; from_pages.SILENCE = 0").ok()
    page.send(b"abc", type="piece", request="r-2", file=0, at=0)
    page.send(type="ask", text="two", request="r-2", files=[{"name": "a.txt", "size": 6}])
    assert "'a.txt' did not arrive as a whole" in page.wait_for("refused")["text"]
    assert kernel.value("(len(asked), len(w.turns))") == [1, 2]
    # What went along goes along again, without a part of it.
    page.send(type="ask", text="three", at=0, kept=[[0, 0], [0, 2]], request="r-3")
    page.wait_for_end(2)
    assert [item["name"] for item in kernel.value("asked[-1]['attachments']")] == ["a.txt", "e"]
    assert kernel.value("len(w.turns)") == 2


def test_variables_are_offered_by_name_and_nothing_of_them_runs(
    kernel: Kernel, page: ChatPage, tmp_path: Path
) -> None:
    asked = []

    def names(text: str) -> dict[str, Any]:
        asked.append(text)
        page.send(type="names", text=text, before=text, request=len(asked))
        found = page.wait_for("names", len(asked))
        assert found["request"] == len(asked)
        return found

    found = names("See @d")
    assert found["first"] == "data"
    assert found["offered"] == [
        ["data", "data · text of 7 \N{RETURN SYMBOL}"],
        ["df", "df · DataFrame 20 × 3"],
        ["dict_", "dict_ · Loud"],
        ["digits", "digits · list of 2"],
        ["DATA", "DATA · dict of 1"],
    ]
    assert names("(@Grö")["offered"] == [["größe", "größe · ndarray 2 × 3 \N{RETURN SYMBOL}"]]
    assert [names("@")[key] for key in ("first", "known")] == ["", []]
    assert 0 < len(names("@")["offered"]) <= 8
    for text in ("@dumps", "@plain", "@Loud", "@get_ip", "@In", "@exit", "me@d", "`@d", "```\n@d"):
        assert names(text)["offered"] == [], text
    assert names("@df")["first"] == ""  # it is complete
    code = "`@df` @df.head @df(1) @none ```\n@digits``` a@data.org"
    assert names(code)["known"] == []
    assert names(f"{code} (@df, @digits)?")["known"] == [
        ["df", "@df · DataFrame 20 × 3"],
        ["digits", "@digits · list of 2"],
    ]
    assert not (tmp_path / "touched").exists()


def test_variables_go_along_as_they_are_when_the_question_is_sent(
    kernel: Kernel, page: ChatPage
) -> None:
    kernel.execute("digits.append(3)").ok()
    page.send(type="ask", text="Sum @digits and @none, not `@df`", request="r-1")
    page.wait_for_end()
    assert kernel.value("[k for k in asked[-1] if k != 'session_id']") == ["digits"]
    assert kernel.value("asked[-1]['digits']") == [1, 2, 3]
    assert kernel.value("w.turns[0].text") == "Sum @digits and @none, not `@df`"
    export = kernel.value("w.to_cell()")
    assert export.startswith("%%runagent takes --text --no-template --input digits\nSum @digits")
    kernel.execute("%reload_ext runagent_jupyter")
    kernel.execute(export).ok()
    assert kernel.value("asked[-1]['digits']") == [1, 2, 3]
    kernel.execute("digits = 4\nbig = pd.DataFrame(np.zeros((4_000_000, 3)))\nbad = {1: 2}").ok()
    page.send(type="ask", text="Sum @digits", at=0, kept=[[0, 0]], request="r-2")
    page.wait_for_end(2)
    assert kernel.value("asked[-1]['digits']") == 4
    assert kernel.value("[item.label for item in w.turns[0].attachments]") == ["@digits · int"]
    for count, (name, problem) in enumerate(
        {"big": "@big has more than 20 MB", "bad": "@bad: the key 1 is of type int"}.items(), 1
    ):
        page.send(type="ask", text=f"See @{name}", request=name)
        assert problem in page.wait_for("refused", count)["text"]
    kernel.execute("w.context = {'digits': 1}").ok()
    page.send(type="ask", text="See @digits", request="r-3")
    assert "'digits' is also a field of the chat's own" in page.wait_for("refused", count=3)["text"]
    assert kernel.value("len(w.turns)") == 2
    # In Python, a question is text.
    assert kernel.value("w.ask('See @df').text") == "taken"
    assert "df" not in kernel.value("asked[-1]")


def test_a_variable_that_is_gone_is_missed(kernel: Kernel, page: ChatPage) -> None:
    page.send(type="ask", text="See @digits", named=["digits"], request="r-1")
    page.wait_for_end()
    kernel.execute("del digits").ok()
    again: list[dict[str, Any]] = [
        {"text": "See @digits", "named": ["digits"]},  # the page still shows its chip
        {"text": "See @digits", "at": 0},  # Retry
    ]
    for count, content in enumerate(again, 1):
        page.send(type="ask", request="r-2", **content)
        assert (
            "@digits is no variable with data any more" in page.wait_for("refused", count)["text"]
        )
    # What the text does not name is not missed, and what the page never showed is text.
    page.send(type="ask", text="See digits", at=0, named=["digits"], request="r-3")
    page.wait_for_end(2)
    page.send(type="ask", text="See @digits and @nothing", request="r-4")
    page.wait_for_end(3)
    assert kernel.value("['digits' in fields for fields in asked]") == [True, False, False]


def test_names_of_files_are_clean() -> None:
    assert clean_name("../../etc/pass\u202ewd") == "passwd"
    assert clean_name("C:\\x\\") == "x"
    assert clean_name("..") == clean_name("") == clean_name("\n") == "file"
    long = clean_name("n" * 5_000 + ".tar.gz")
    assert len(long) == 100
    assert long.endswith(".tar.gz")


def test_old_content_is_forgotten_and_said_to_be() -> None:
    items = [Attached(f"{i}", "text/plain", 30_000_000, content={}) for i in range(8)]
    forget_oldest(items)
    assert [item.content is None for item in items] == [True, True, *[False] * 6]
    again = [Attached(f"{i}", "text/plain", 30_000_000, content={}) for i in range(6)]
    forget_oldest([*again, *again])  # as when all of them went along twice
    assert all(item.content is not None for item in again)
    with pytest.raises(ValidationError, match="'0' is not kept any more"):
        fields_of(items[:1], "attachments")


def test_uploads_are_bounded() -> None:
    uploads = Uploads()
    for number in range(9):
        uploads.add(f"r-{number}", 0, 0, [b"x" * 1_000])
    assert len(uploads._files) == 4
    for at in range(50):
        uploads.add("r", 0, at, [bytes(1_000_000)])
    uploads.add("r", 100, 0, [b"x"])
    uploads.add("r", "0", 0, [b"x"])
    uploads.add("r", 1, "0", [b"x"])
    uploads.add("r", 1, 0, [b"x"])
    assert [list(pieces) for pieces in uploads._files["r"].values()] == [list(range(40))]
    assert file_of("", b"").name == "file"
