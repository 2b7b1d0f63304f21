"""Logs: one JSON line for each callback and each attempt, on standard output.

No line holds a variable's value, a token, a Sign or a URL's query. An exception is logged as its type and the
places it passed through: its text may quote what a customer wrote.
"""

import logging
import sys
import traceback
from typing import Any, Literal

import structlog
from pydantic_core import to_json

Log = structlog.typing.FilteringBoundLogger


def configure_logs(log_format: Literal["json", "console"]) -> None:
    """Send this process's log lines, and those of its libraries, to standard output."""
    structlog.reset_defaults()
    shared_processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        structlog.configure(
            processors=[*shared_processors, structlog.processors.JSONRenderer(serializer=_json_line)],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
            cache_logger_on_first_use=True,
        )
    else:
        structlog.configure(
            processors=[*shared_processors, structlog.dev.ConsoleRenderer()],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.PrintLoggerFactory(sys.stdout),
            cache_logger_on_first_use=True,
        )
    root = logging.getLogger()
    root.handlers = [_LibraryHandler()]
    root.setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.INFO)


def get_log() -> Log:
    """A logger; what is bound to it stands in each of its lines."""
    log: Log = structlog.get_logger()
    return log


def error_fields(error: BaseException) -> dict[str, Any]:
    """An exception for a log line: its type, and the file, line and function of each place it passed through."""
    return {
        "error": type(error).__name__,
        "where": [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
        ],
    }


class _LibraryHandler(logging.Handler):
    """Carries the lines of libraries over, without an exception's text."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = error_fields(record.exc_info[1]) if record.exc_info and record.exc_info[1] else {}
            structlog.get_logger().log(record.levelno, record.getMessage(), logger=record.name, **fields)
        except Exception:  # noqa: BLE001 - what logging.Handler.handleError is for
            self.handleError(record)


def _json_line(fields: dict[str, Any], **_: Any) -> bytes:
    return to_json(fields, fallback=repr)
