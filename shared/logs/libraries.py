"""Log lines of libraries: of some always, whatever `logging` is configured to; of others while it is not configured."""

import logging
from collections.abc import Callable
from typing import Any

_LEVELS = {
    "asyncio": logging.WARNING,
    "concurrent.futures": logging.WARNING,
    "redis": logging.WARNING,
    "rq.job": logging.WARNING,
    "rq.queue": logging.WARNING,
    "rq.registry": logging.WARNING,
    "rq.scheduler": logging.WARNING,
    "rq.worker": logging.WARNING,
    "uvicorn.error": logging.INFO,  # its life-cycle
    "uvicorn.protocol": logging.ERROR,  # of a connection: see `api.server.connections`
}
"""The loggers whose lines are always written, each from a level on."""

Write = Callable[[logging.LogRecord], None]


def carry_over(write: Write) -> None:
    """Write the lines of libraries, too."""
    _LibraryLogger.write = staticmethod(write)
    for name in _LEVELS:
        logging.getLogger(name).__class__ = _LibraryLogger
    root = logging.getLogger()
    root.handlers = [_RootHandler(write)]
    root.setLevel(logging.WARNING)


class _LibraryLogger(logging.Logger):
    """A logger that no handler, level, filter or switch of `logging` keeps from writing."""

    write: Write

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's name
        """Whether lines of this level are written."""
        return level >= _LEVELS[self.name]

    def makeRecord(self, *given: Any, **__: Any) -> logging.LogRecord:  # noqa: N802 - logging's name
        """A record as `logging` makes it, not as a factory of the integrator's does."""
        name, level, file, line, message, arguments, error, *_ = given
        return logging.LogRecord(name, level, file, line, message, arguments, error)

    def handle(self, record: logging.LogRecord) -> None:
        """Write a line."""
        self.write(record)


class _RootHandler(logging.Handler):
    """Writes the lines of all other loggers, the integrator's among them, until `logging` is configured otherwise."""

    def __init__(self, write: Write) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        self._write(record)
