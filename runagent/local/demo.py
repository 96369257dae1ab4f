"""The built-in agent: it streams a short tour of the Markdown that a notebook shows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from runagent.errors import ValidationError

_MAX_SECONDS = 3.0
_MAX_QUERY = 200

_TOUR = r"""# Hello from the demo agent

{greeting}This answer is **streamed** from a Python function on your own machine:
no key, no network. It is Markdown, and arrives in small pieces.

## What an agent can write

- *emphasis*, **strong words**, `inline code`
- lists, of course
  1. numbered
  2. and nested

| Door | You write | Good for |
|:-----|:----------|---------:|
| Python | `RunAgentClient("demo")` | scripts |
| Magic | `%%runagent demo` | notebooks |
| Widget | `AgentWidget("demo")` | a chat |

```python
from runagent import RunAgentClient

for chunk in RunAgentClient("demo").run_generic_stream({{"query": "Hello"}}):
    print(chunk, end="")
```

Mathematics, in a line such as $e^{{i\pi}} + 1 = 0$, or on its own:

$$\int_{{-\infty}}^{{\infty}} e^{{-x^2}}\,dx = \sqrt{{\pi}}$$

## Your turn

- [x] run the demo
- [ ] serve a function of your own with `runagent.local`
- [ ] read about [the Markdown it may answer with](https://commonmark.org/help/)
"""


async def demo(query: str = "", delay: float = 0.02, **_: object) -> AsyncIterator[str]:
    """Stream a short Markdown tour that quotes `query`.

    Args:
        query: Any text; the answer quotes its beginning.
        delay: Seconds between two chunks. The whole answer takes 3 seconds at most.

    Raises:
        ValidationError: `query` is not a string, or `delay` not a number of seconds.
    """
    _check("query", query, str, "a string")
    _check("delay", delay, (int, float), "a number of seconds")
    chunks = re.findall(r"\S*\s*\S+\s*", _TOUR.format(greeting=_greeting(query)))
    pause = min(max(delay, 0), _MAX_SECONDS / len(chunks))
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(pause)


def _check(name: str, value: object, kind: type | tuple[type, ...], words: str) -> None:
    if not isinstance(value, kind):
        raise ValidationError(
            f"{name} is {value!r}, not {words}.", code="INVALID_FIELD_TYPE", status_code=422
        )


def _greeting(query: str) -> str:
    words = " ".join(query.split())
    if not words:
        return "You asked nothing in particular. "
    if len(words) > _MAX_QUERY:
        words = words[:_MAX_QUERY] + "…"
    return f"You asked:\n\n> {words}\n\n"
