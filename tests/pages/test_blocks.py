"""Every block of code in the README and on the pages of the site runs as it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.blocks import (
    CODE,
    OTHERS,
    PAGES,
    ROOT,
    Block,
    Notebook,
    Script,
    blocks_of,
    needs_kernel,
    run_page,
)

from runagent import registry
from runagent.local import demo

BLOCKS = {page.relative_to(ROOT).as_posix(): list(blocks_of(page)) for page in PAGES}
RUN = {page: blocks for page, blocks in BLOCKS.items() if any(b.is_run_here for b in blocks)}
README = [block for block in RUN["README.md"] if block.language != "ipython"]
CELLS = [block for block in RUN["README.md"] if block.language == "ipython"]


@pytest.fixture
def own_agents(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take back the agents that a page makes; have the demo agent answer without pauses."""
    monkeypatch.setattr(demo, "_MAX_SECONDS", 0.0)
    before = set(registry.agent_ids())
    yield
    for agent_id in set(registry.agent_ids()) - before:
        registry.unregister(agent_id)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("own_agents")
@pytest.mark.parametrize("page", [page for page in RUN if page != "README.md"])
def test_the_blocks_of_a_page_run_from_top_to_bottom(
    page: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    run_page(RUN[page], runner_for(RUN[page], folder, request))


@pytest.mark.usefixtures("own_agents")
@pytest.mark.parametrize("block", README, ids=lambda block: f"{block.language}-{block.line}")
def test_each_block_of_the_readme_runs_alone(block: Block, folder: Path) -> None:
    run_page([block], Script(folder))


@pytest.mark.usefixtures("own_agents")
def test_the_cells_of_the_readme_run_in_a_new_notebook(
    folder: Path, request: pytest.FixtureRequest
) -> None:
    run_page(CELLS, runner_for(CELLS, folder, request))


def runner_for(
    blocks: list[Block], folder: Path, request: pytest.FixtureRequest
) -> Script | Notebook:
    if needs_kernel(blocks):
        return Notebook(request.getfixturevalue("page_kernel"), folder)
    return Script(folder)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 150


@pytest.mark.parametrize("page", BLOCKS)
def test_each_block_says_its_language_and_why_it_is_not_run(page: str) -> None:
    for block in BLOCKS[page]:
        assert block.language in CODE | OTHERS, f"{block.place}: {block.language!r}"
        if block.language == "json":
            json.loads(block.code)
        if block.mark == "not run":
            assert len(block.words.split()) >= 3, f"{block.place} needs a reason."
        if block.mark == "run by":
            path, _, name = block.words.partition("::")
            assert f"def {name}(" in (ROOT / path).read_text("utf-8"), block.place
