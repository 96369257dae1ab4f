"""The blocks of code on the pages of the documentation, and what runs them.

The comment above a block says what is special about it:

    <!-- not run: it needs a key -->      nothing runs it, and this is the reason
    <!-- run by tests/x.py::test_y -->    that test runs it, because it needs more than this
    <!-- raises: RunAgentError -->        it fails with this exception, as the page says

A block that begins with `# name.py` is written to that file, as a reader would do it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from support.clock import PATIENCE
from support.kernel import Kernel

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", *ROOT.glob("docs/**/*.md")], key=lambda page: page.relative_to(ROOT)
)

CODE = {"python", "ipython", "shell"}
"""The languages of blocks that run."""
OTHERS = {"text", "json", "html", "markdown", "toml", "yaml", "nginx"}
"""The languages of blocks that a reader does not run."""

_COMMENT = re.compile(r"<!-- (not run|run by|raises):? (.+?) -->$")
_FILE = re.compile(r"# (\w[\w./-]*\.\w+)\n")


@dataclass(frozen=True)
class Block:
    """One block of code.

    Attributes:
        page: The page's path in the checkout.
        line: The line of the page on which it begins.
        language: The first word behind the fence.
        code: The code.
        mark: `not run`, `run by`, `raises`, or nothing.
        words: The rest of the comment above it.
    """

    page: str
    line: int
    language: str
    code: str
    mark: str = ""
    words: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_run_here(self) -> bool:
        return self.language in CODE and self.mark in ("", "raises")

    @property
    def file(self) -> str:
        """The name of the file that it is, or nothing."""
        match = _FILE.match(self.code)
        return match[1] if match and self.language == "python" else ""


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of code on a page, but for directives of the site."""
    name = page.relative_to(ROOT).as_posix()
    before: Token | None = None
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        if token.type == "fence" and token.map and not token.info.startswith("{"):
            comment = _COMMENT.search(before.content.strip()) if before else None
            mark, words = comment.groups() if comment else ("", "")
            language = (token.info.split() or [""])[0]
            yield Block(name, token.map[0] + 1, language, token.content, mark, words)
        before = token if token.type == "html_block" else None


def needs_kernel(blocks: list[Block]) -> bool:
    """Tell whether a page is for a notebook: one of its blocks is a cell with a magic."""
    return any(block.language == "ipython" for block in blocks)


class Script:
    """Runs blocks of Python as one script would, in this process.

    Args:
        folder: The folder that the script is in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[str, Any] = {"__name__": "__main__"}

    def run(self, block: Block) -> str:
        """Run a block; return the name of the exception that it raised, or nothing."""
        code = compile("\n" * block.line + block.code, str(ROOT / block.page), "exec")
        try:
            exec(code, self._names)
        except Exception as exc:
            if not block.mark:
                raise
            return type(exc).__name__
        return ""


class Notebook:
    """Runs blocks as the cells of one notebook, in a kernel that pages share.

    Args:
        kernel: The kernel. Everything that an earlier page left in it is removed.
        folder: The folder that the notebook is in.
    """

    def __init__(self, kernel: Kernel, folder: Path) -> None:
        self._kernel = kernel
        self.folder = folder
        reset = f"%reset -f\n%cd -q {folder}\n%unload_ext runagent_jupyter"
        kernel.execute(reset).ok()
        kernel.execute("__import__('runagent.local.demo').local.demo._MAX_SECONDS = 0.0").ok()

    def run(self, block: Block) -> str:
        """Run a block; return the name of the exception that it raised, or nothing."""
        cell = self._kernel.execute(block.code)
        if not block.mark:
            cell.ok()
        return cell.error["ename"] if cell.error else ""


def run_page(blocks: list[Block], runner: Script | Notebook) -> None:
    """Run the blocks of a page from top to bottom."""
    for block in blocks:
        if not block.is_run_here:
            continue
        if block.file:
            target = runner.folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.code, "utf-8")
        elif block.language == "shell":
            run_commands(block, runner.folder)
        else:
            raised = runner.run(block)
            assert raised == (block.words if block.mark == "raises" else ""), block.place


def run_commands(block: Block, folder: Path) -> None:
    """Run the lines of a block in a shell, until one of them fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        ["bash", "-e", "-c", block.code],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{block.place}\n{done.stdout}{done.stderr}"
