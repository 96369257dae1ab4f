"""The code in an answer, and how it gets into a new cell."""

from __future__ import annotations

from typing import Any, Protocol

from IPython.core.getipython import get_ipython

from runagent_jupyter import html


class _WithText(Protocol):
    @property
    def text(self) -> str:
        """The answer as text."""


class WithCode:
    """An answer whose text may have blocks of code."""

    @property
    def code(self: _WithText) -> list[str]:
        """The blocks of code in the text, in order."""
        return html.code_blocks(self.text)

    def code_to_cell(self: _WithText, number: int = -1) -> None:
        """Put a block of code into a new cell below the running one, without running it.

        In a terminal, it becomes the next input.

        Args:
            number: The position of the block in `code`. Default: the last one.

        Raises:
            IndexError: There is no such block.
            RuntimeError: There is no IPython, as in marimo.

        Example:
            >>> reply = %runagent demo --quiet Hello
            >>> reply.code_to_cell()  # the code is in the next cell, and was not run
        """
        blocks = html.code_blocks(self.text)
        if not -len(blocks) <= number < len(blocks):
            found = f"{len(blocks)} block{'' if len(blocks) == 1 else 's'} of code"
            raise IndexError(f"The answer has {found}, and none at position {number}.")
        shell: Any = get_ipython()
        if shell is None:
            raise RuntimeError("There is no IPython here to make a cell; print(answer.code[-1]).")
        shell.set_next_input(blocks[number].rstrip("\n"))
