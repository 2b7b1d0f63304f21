"""Logs: one JSON line for each callback and each attempt, on standard output.

No line holds a variable's value, a token, a Sign or a URL's query. An exception is logged as its type and the
places it passed through: its text may quote what a customer wrote.
"""

import asyncio
import logging
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, BinaryIO, Literal

import structlog
from pydantic_core import to_json

Log = structlog.typing.FilteringBoundLogger


def configure_logs(log_format: Literal["json", "console"]) -> None:
    """Send this process's log lines, and those of its libraries, to standard output."""
    structlog.reset_defaults()
    if log_format == "json":
        processors: list[structlog.typing.Processor] = [_render]
        factory: Any = lambda *_: LineLogger(sys.stdout.buffer)  # noqa: E731 - structlog calls it with arguments
    else:
        stamper = structlog.processors.TimeStamper(fmt="iso", utc=True)
        processors = [
            structlog.processors.add_log_level,
            stamper,
            structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()),
        ]
        factory = structlog.PrintLoggerFactory(sys.stdout)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=factory,
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


class LineLogger:
    """Writes lines; those of one turn of an event loop leave together.

    What cannot be written, to a full disk or a closed pipe, is dropped: an answer matters more than its line.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._flush_is_due = False

    def msg(self, line: bytes) -> None:
        """Write a line."""
        try:
            self._file.write(line + b"\n")
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._flush()
        except (OSError, ValueError):
            return
        else:
            if not self._flush_is_due:
                self._flush_is_due = True
                loop.call_soon(self._flush)

    log = debug = info = warn = warning = error = critical = msg

    def _flush(self) -> None:
        self._flush_is_due = False
        with suppress(OSError, ValueError):
            self._file.flush()


class _LibraryHandler(logging.Handler):
    """Carries the lines of libraries over, without an exception's text."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = error_fields(record.exc_info[1]) if record.exc_info and record.exc_info[1] else {}
            level = min(record.levelno // 10 * 10, logging.CRITICAL)  # structlog knows no levels between
            first_line = record.getMessage().partition("\n")[0]  # RQ and asyncio quote the exception in the others
            structlog.get_logger().log(level, first_line, logger=record.name, **fields)
        except Exception:  # noqa: BLE001 - what logging.Handler.handleError is for
            self.handleError(record)


def _render(_: Any, level: str, fields: Any) -> bytes:
    """Time, level and fields as JSON; structlog's own three processors would cost a callback twice as much."""
    return to_json(
        {"timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, **fields}, fallback=repr
    )
