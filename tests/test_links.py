"""The links of the README and the docs lead to files, and those to tests name tests that are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from extension.promises import names_of_tests

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r'\]\((?!\w+:|#)([^)\s#]+)(?:#[^)\s]*)?(?: "([^"]*)")?\)')


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield the target and the title of each link to a file, outside of blocks of code."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target, title in LINK.findall(text):
        yield (page.parent / target).resolve(), title


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, title in links(page):
        assert target.exists(), f"{page.name} links to {target}, which is not there."
        if target.name.startswith("test_"):
            assert title in names_of_tests(target), f"{target.name} has no test {title!r}."


def test_each_front_says_yes_with_a_test_or_no_with_a_reason() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    _, _, after = readme.partition("| front | magic | chat | export |\n|---|---|---|---|\n")
    rows = [row.strip("| ").split(" | ") for row in after.partition("\n\n")[0].splitlines()]
    assert len(rows) >= 11
    for front, *answers in rows:
        assert len(answers) == 3, front
        for answer in answers:
            is_shown = re.match(r'\[(?:yes|its transcript)\]\(tests/\S+\.py "test_\w+"\)', answer)
            assert is_shown or re.match(r"no[:,] .{8}", answer), f"{front}: {answer}"
