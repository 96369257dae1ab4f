"""What a page knows of a chat, without a page: the messages between it and the kernel."""

from __future__ import annotations

import json
import zlib
from typing import Any

from support.clock import PATIENCE
from support.kernel import Kernel


class ChatPage:
    """A page's knowledge of a widget, from the messages that the kernel sends it."""

    def __init__(self, kernel: Kernel, name: str = "w") -> None:
        self.kernel = kernel
        self.comm = str(kernel.value(f"{name}.model_id"))

    def send(self, *buffers: bytes, **content: Any) -> None:
        data = {"method": "custom", "content": content}
        self.kernel.send_comm("comm_msg", {"comm_id": self.comm, "data": data}, buffers=buffers)

    def messages(self) -> list[dict[str, Any]]:
        found = []
        for message in self.kernel.comm_messages(self.comm):
            if message.content["data"].get("method") == "custom":
                content = message.content["data"]["content"]
                found.append({**content, **json.loads(zlib.decompress(message.buffers[0]))})
        return found

    def wait_for(self, kind: str, count: int = 1) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [message for message in self.messages() if message["type"] == kind]

        self.kernel.wait_for(lambda: len(found()) >= count, PATIENCE, f"{count} x {kind}")
        return found()[-1]

    def wait_for_end(self, count: int = 1) -> None:
        def ends() -> int:
            return sum("ending" in message for message in self.messages())

        self.kernel.wait_for(lambda: ends() >= count, PATIENCE, f"{count} endings")
