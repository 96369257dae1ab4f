"""The time and memory that a request to the local server may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one server.

    Attributes:
        keep_alive: Seconds of silence after which a stream sends a sign of life.
        max_body: Bytes a request's body may have.
        request_timeout: Seconds a request's head may take to arrive, and as many again its body.

    Raises:
        ValueError: A limit is not positive.
    """

    keep_alive: float = 15.0
    max_body: int = 64 * 1024 * 1024
    request_timeout: float = 30.0

    def __post_init__(self) -> None:
        for name in ("keep_alive", "request_timeout"):
            seconds = getattr(self, name)
            if not seconds > 0:
                raise ValueError(f"{name} is {seconds!r}, not a positive number of seconds.")
        if not self.max_body > 0:
            raise ValueError(f"max_body is {self.max_body!r}, not a positive number of bytes.")
