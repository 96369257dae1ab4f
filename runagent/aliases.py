"""Names of types, for the annotations of programs that call agents."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

InputData = dict[str, Any]
OutputData = dict[str, Any]
StreamChunk = str
StreamGenerator = Generator[StreamChunk, None, None]
AsyncStreamGenerator = AsyncGenerator[StreamChunk, None]
