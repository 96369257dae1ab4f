"""A cell that runs in a kernel, and what a front end makes of the kernel's messages."""

from __future__ import annotations

import json
import time
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbformat.v4 import output_from_msg
from typing_extensions import Self

from support.clock import PATIENCE

if TYPE_CHECKING:
    from support.kernel import Kernel


class KernelTimeoutError(AssertionError):
    """The kernel did not finish in time; the message says what came so far."""


@dataclass(frozen=True)
class Message:
    """One message as it arrived on iopub.

    Attributes:
        type: The message's type, such as `stream` or `update_display_data`.
        content: Its content.
        parent: The id of the request that caused it, or an empty string.
        size: Bytes of all its frames on the wire.
        received: When it arrived, by `time.monotonic()`.
        buffers: Its binary buffers.
    """

    type: str
    content: dict[str, Any]
    parent: str
    size: int
    received: float
    buffers: tuple[bytes, ...] = ()


@dataclass
class Execution:
    """A cell that was sent to the kernel, and all that has come back for it.

    Attributes:
        code: The cell's source.
        msg_id: The id of its `execute_request`.
        sent: When it was sent, by `time.monotonic()`.
        messages: Everything on iopub that this cell caused, in order.
        outputs: The outputs that a notebook saved now would hold for the cell, as in its JSON:
            `clear_output` and display updates are applied, neighbouring streams are joined.
        reply: The content of the `execute_reply`, once there.
        prompts: The prompts of the cell on stdin.
    """

    code: str
    msg_id: str
    kernel: Kernel = field(repr=False)
    stdin: list[str] = field(default_factory=list, repr=False)
    sent: float = field(default_factory=time.monotonic, repr=False)
    messages: list[Message] = field(default_factory=list, repr=False)
    outputs: list[dict[str, Any]] = field(default_factory=list, repr=False)
    reply: dict[str, Any] | None = None
    prompts: list[str] = field(default_factory=list, repr=False)
    idle: bool = False
    _clear_next: bool = field(default=False, repr=False)

    @property
    def done(self) -> bool:
        """Whether the kernel has answered and is idle again."""
        return self.idle and self.reply is not None

    @property
    def status(self) -> str:
        """`ok`, `error`, or `aborted` for a cell behind one that failed."""
        if self.reply is None:
            raise KernelTimeoutError(f"The cell has not finished: {self!r}")
        return str(self.reply["status"])

    @property
    def stdout(self) -> str:
        """The text on stdout in the cell's output."""
        return self._stream("stdout")

    @property
    def stderr(self) -> str:
        """The text on stderr in the cell's output."""
        return self._stream("stderr")

    @property
    def error(self) -> dict[str, Any] | None:
        """The cell's `error` output (`ename`, `evalue`, `traceback`), `None` if there is none."""
        return next((o for o in self.outputs if o["output_type"] == "error"), None)

    @property
    def bytes(self) -> int:
        """Bytes that this cell caused on iopub."""
        return sum(message.size for message in self.messages)

    def data(self, mime: str) -> list[Any]:
        """Return what the cell's outputs hold of a mime type, such as `text/html`, in order."""
        return [o["data"][mime] for o in self.outputs if mime in o.get("data", {})]

    def of_type(self, *types: str) -> list[Message]:
        """Return the messages of these types, in order."""
        return [message for message in self.messages if message.type in types]

    def wait(self, timeout: float = PATIENCE) -> Self:
        """Wait until the cell is done.

        Args:
            timeout: Seconds.

        Raises:
            KernelTimeoutError: It is not done by then, or the kernel died.
        """
        self.kernel.wait_for(lambda: self.done, timeout, f"the end of {self!r}")
        if self.status == "error":
            self.kernel.wait_until_it_accepts_cells()
        return self

    def wait_for_output(self, text: str, timeout: float = PATIENCE) -> Self:
        """Wait until `text` stands in the cell's outputs, in whatever mime type."""
        self.kernel.wait_for(
            lambda: text in json.dumps(self.outputs, ensure_ascii=False),
            timeout,
            f"{text!r} in the output of {self!r}",
        )
        return self

    def ok(self) -> Self:
        """Return the execution if the cell succeeded, else fail with its traceback."""
        if self.status != "ok":
            lines = self.error["traceback"] if self.error else [f"The cell was {self.status}."]
            raise AssertionError("\n".join(["The cell failed:", self.code, *lines]))
        return self

    def _stream(self, name: str) -> str:
        return "".join(o["text"] for o in self.outputs if o.get("name") == name)


class FrontEnd:
    """Applies iopub messages to the outputs of cells, as a notebook front end does."""

    def __init__(self) -> None:
        self._displays: dict[str, list[dict[str, Any]]] = {}

    def apply(self, message: dict[str, Any], cell: Execution | None) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "update_display_data":
            for output in self._displays.get(content["transient"]["display_id"], []):
                output["data"] = deepcopy(content["data"])
                output["metadata"] = deepcopy(content["metadata"])
        if cell is None:
            return
        if kind == "clear_output":
            if content["wait"]:
                cell._clear_next = True
            else:
                cell.outputs.clear()
        elif kind in {"stream", "display_data", "execute_result", "error"}:
            self._append(message, cell)

    def _append(self, message: dict[str, Any], cell: Execution) -> None:
        if cell._clear_next:
            cell.outputs.clear()
            cell._clear_next = False
        output: dict[str, Any] = output_from_msg(message)
        last = cell.outputs[-1] if cell.outputs else {}
        if output["output_type"] == "stream" and last.get("name") == output["name"]:
            last["text"] += output["text"]
            return
        cell.outputs.append(output)
        display_id = message["content"].get("transient", {}).get("display_id")
        if display_id is not None:
            self._displays.setdefault(display_id, []).append(output)
