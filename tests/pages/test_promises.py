"""Each promise of the README and the pages for users names tests that are there."""

from __future__ import annotations

from pathlib import Path

import pytest
from extension.promises import names_of_tests, pages, promises, promises_of

ROOT = Path(__file__).parents[2]
PAGES = pages()

SILENT = {"docs/help/changelog.md"}  # it includes a file


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_page_promises_something_that_a_test_shows(page: Path) -> None:
    found = list(promises_of(page))
    name = page.relative_to(ROOT).as_posix()
    assert bool(found) == (name not in SILENT), (
        f"{name} has no promise: add `<!-- test: FILE::TEST -->` behind a sentence."
    )
    for promise in found:
        assert len(promise.sentence) > 20, promise
        for file, test in promise.tests:
            assert test in names_of_tests(ROOT / file), promise


def test_each_mark_is_read(tmp_path: Path) -> None:
    for page in PAGES:
        marks = page.read_text("utf-8").count("<!-- test:")
        assert marks == len(list(promises_of(page))), f"{page.name} has a mark that cannot be read."


def test_the_sentence_is_the_one_before_the_mark() -> None:
    sentences = {promise.sentence for page in PAGES for promise in promises_of(page)}
    assert (
        "Its transcript is saved in the notebook as an ordinary output, for readers without a kernel."
        in sentences
    )
    assert "It needs no key and no network." in sentences
    assert not any(sentence.startswith(("#", "- ", "|")) for sentence in sentences)


def test_the_list_has_all_of_them() -> None:
    listed = promises()
    promised = [promise for page in PAGES for promise in promises_of(page)]
    assert len(promised) > 150
    assert all(test in listed for promise in promised for _, test in promise.tests)
