"""The arguments of `map`, in the groups in which both clients hand them on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal, NamedTuple

from runagent.many.batch import Source


class Keeping(NamedTuple):
    """Where answers are kept, and which batch they belong to."""

    journal: str | os.PathLike[str] | None
    fresh: bool
    batch_id: str | None


class Sending(NamedTuple):
    """How requests are sent."""

    rate: str | float | None
    max_concurrency: int | None
    per_call: int
    executor: Source | None
    credentials: Literal["ship"] | None


class Asking(NamedTuple):
    """The part of a request that is the same for all rows."""

    entrypoint: str | None
    timeout: float | None
    headers: Mapping[str, str] | None
    user_id: str | None
    persistent_memory: bool | None
