"""The log lines that `RUNAGENT_LOG_LEVEL` turns on."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from runagent.checks import refuse

# The class is generic to type checkers, but not on Python 3.10.
if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[Any]
else:
    _StreamHandler = logging.StreamHandler


class _LastResort(_StreamHandler):
    """Writes to stderr as long as the program has not set up logging itself."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            super().emit(record)


def configure_logging() -> None:
    """Apply `RUNAGENT_LOG_LEVEL` to the logger `runagent`, if the variable is set.

    Raises:
        ValidationError: The variable holds neither the name nor the number of a log level.
    """
    level = os.environ.get("RUNAGENT_LOG_LEVEL", "").strip().upper()
    if not level:
        return
    logger = logging.getLogger("runagent")
    try:
        logger.setLevel(int(level) if level.isdigit() else level)
    except ValueError:
        refuse(
            "RUNAGENT_LOG_LEVEL=",
            os.environ["RUNAGENT_LOG_LEVEL"],
            "is not a log level",
            "Use DEBUG, INFO, WARNING, ERROR or CRITICAL.",
        )
    if not any(isinstance(handler, _LastResort) for handler in logger.handlers):
        handler = _LastResort()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
