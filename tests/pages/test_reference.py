"""The parts of the reference that are made from the code have an entry for each thing there is."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import pytest
from extension.codes import EXPLAINED as EXPLAINED_CODES
from extension.codes import codes
from extension.magics import EXAMPLES, options
from extension.parts import PARTS
from extension.places import entries
from extension.settings import EXPLAINED as EXPLAINED_VARIABLES
from extension.settings import found, variables_read
from support.blocks import blocks_of

from runagent.attachments import LARGEST, LARGEST_TOGETHER
from runagent.many import journal_file
from runagent_jupyter.chats import attached, chat_file
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.chats.turn_records import record_of
from runagent_jupyter.magic_line.options import AskOptions, ConfigOptions

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_can_be_made(part: str) -> None:
    assert len(PARTS[part]()) > 100


def test_each_code_has_its_cause_and_its_cure() -> None:
    explained = entries(EXPLAINED_CODES)
    assert explained.keys() == codes().keys()
    for code, text in explained.items():
        assert text.startswith("**Cause.**"), code
        assert "\n\n**Cure.**" in text, code


def test_the_codes_are_found_wherever_they_are_written() -> None:
    known = codes()
    assert len(known) > 50
    assert known["MISSING_API_KEY"] == {"AuthenticationError", "ValidationError"}  # an argument
    assert "MISSING_VALUE" in known  # a constant
    assert {"NOT_FOUND", "RATE_LIMITED"} <= known.keys()  # assignments
    assert "STREAM_CUT_OFF" in known  # an argument by position


def test_each_option_of_the_magics_has_an_example() -> None:
    for magic, kind in {"runagent": AskOptions, "runagent_config": ConfigOptions}.items():
        known = [field.name for field in fields(kind)]
        names = {f"--{name.replace('_', '-')}" for name in known}
        if magic == "runagent":
            names = names - {"--agent", "--model"} | {"--as"}  # the agent stands without a name
        assert names == options(magic).keys()
        assert options(magic).keys() == entries(EXAMPLES[magic]).keys()
        for name, example in entries(EXAMPLES[magic]).items():
            assert f"%{magic}" in example, name
            assert name in example, name


def test_each_variable_is_explained() -> None:
    assert variables_read() == entries(EXPLAINED_VARIABLES).keys()
    settings = {variable for setting in found() for variable in setting.variables}
    assert settings <= variables_read()


def test_the_file_of_a_chat_is_one_that_can_be_read(tmp_path: Path) -> None:
    (block,) = blocks_of(ROOT / "docs/reference/chat-file.md")
    path = tmp_path / "talk.json"
    path.write_text(block.code, "utf-8")
    kept = chat_file.read(path)
    assert (kept.shown, kept.after, kept.chosen) == (3, {2: -1}, "Reader")
    chat_file.save(tmp_path / "again.json", kept)
    written = json.loads((tmp_path / "again.json").read_text("utf-8"))
    assert written == json.loads(block.code)
    assert written["version"] == chat_file.VERSION
    assert record_of(Turn("agent", agent="Reader")).keys() == written["turns"][1].keys()


def test_limits_and_versions_are_those_of_the_code() -> None:
    page = (ROOT / "docs/reference/input.md").read_text("utf-8")
    for limit in (LARGEST, LARGEST_TOGETHER, attached.KEPT):
        assert f"| {limit // 1_000_000} MB |" in page
    assert f"| {attached.MOST} |" in page
    journal = (ROOT / "docs/reference/journal.md").read_text("utf-8")
    assert f"Version {journal_file.VERSION} of the format" in journal
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(journal_file._SCHEMA)
        columns = [column[1] for column in database.execute("PRAGMA table_info(rows)")]
    assert len(columns) > 10
    assert [column for column in columns if f"`{column}`" not in journal] == []
