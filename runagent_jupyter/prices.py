"""The price of tokens that `%runagent_config --price` sets, and the cost of an answer by it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runagent import ValidationError

if TYPE_CHECKING:
    from runagent.progress import Progress

_MILLION = 1_000_000
_LARGEST = 1e15
"""Beyond it, a number of tokens is a mistake."""

_INPUT = ("input_tokens", "prompt_tokens")
_OUTPUT = ("output_tokens", "completion_tokens")
_TOTAL = ("total_tokens",)


@dataclass(frozen=True)
class Price:
    """The price of a million tokens, in any currency.

    Attributes:
        input: For tokens that an agent reads.
        output: For tokens that it writes.
    """

    input: float
    output: float

    @classmethod
    def parse(cls, text: str) -> Price | None:
        """Read a price.

        Args:
            text: Two numbers with a comma between them, such as `3,15`; empty for no price.

        Returns:
            The price, or `None` for no price.

        Raises:
            ValidationError: It is neither.
        """
        if not text.strip():
            return None
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 2 or not all(0 <= number < math.inf for number in numbers):  # noqa: PLR2004
            raise ValidationError(
                f"--price {text!r} is not two numbers, such as 3,15.",
                code="INVALID_SETTING",
                hint="They are the prices of a million input tokens and a million output tokens.",
            )
        return cls(*numbers)

    def cost_of(self, usage: Mapping[str, Any]) -> float | None:
        """Return the cost of tokens; `None` if the server did not say how many of each kind."""
        read, written = tokens_in(usage), tokens_out(usage)
        if read is None or written is None:
            return None
        return (read * self.input + written * self.output) / _MILLION


_current: Price | None = None


def use(price: Price | None) -> None:
    """Set the price of all calls from now on; `None` for no price."""
    global _current  # noqa: PLW0603 - a process has one
    _current = price


def cost_of(usage: Mapping[str, Any]) -> float | None:
    """Return the cost of tokens by the price that is set; `None` if there is none."""
    return None if _current is None else _current.cost_of(usage)


def batch_cost(progress: Progress) -> float | None:
    """Return what a batch has cost, as servers say or by the price that is set, if it is known."""
    return cost_of(progress.usage or {}) if progress.cost is None else progress.cost


def tokens_in(usage: Mapping[str, Any]) -> int | None:
    """Return the number of tokens that an agent read; `None` if the server did not say it."""
    return _count(usage, _INPUT)


def tokens_out(usage: Mapping[str, Any]) -> int | None:
    """Return the number of tokens that an agent wrote; `None` if the server did not say it."""
    return _count(usage, _OUTPUT)


def tokens_total(usage: Mapping[str, Any]) -> int | None:
    """Return the number of all tokens; `None` if the server did not say it."""
    total = _count(usage, _TOTAL)
    if total is not None:
        return total
    read, written = tokens_in(usage), tokens_out(usage)
    return None if read is None or written is None else read + written


def money(amount: float) -> str:
    """Write an amount of money, without a currency, which nobody has told."""
    if amount >= 1:
        return f"{amount:,.2f}"
    text = f"{amount:.6f}".rstrip("0").rstrip(".")
    return text if amount == 0 or text != "0" else "<0.000001"


def _count(usage: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        found = usage.get(name)
        if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < _LARGEST:
            return found
    return None
