"""Logs: one JSON line for each callback and each attempt, on standard output.

No line holds a variable's value, a token, a Sign or a URL's query. An exception is logged as its type and its stack
frames, since its text may quote what a customer wrote. Only the formats for developers, `console` and `dev`, have that
text.

Integrators' code runs in the same process. Nothing that it configures, in `logging` or elsewhere, changes these lines,
and an error while a line is written does not reach the caller: the line is dropped and counted.

Read in this order: this file, `output` (where lines go), `libraries` (lines of other packages), `console`.
"""

import atexit
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic_core import to_json
from rq.timeouts import BaseTimeoutException

from shared.frames import MOST, frames_of, integrators_part
from shared.logs.console import console_line, with_traceback
from shared.logs.libraries import carry_over
from shared.logs.output import LogOutput
from shared.raised import as_raised

Level = Literal["info", "warning", "error", "critical"]
LogFormat = Literal["json", "console", "dev"]
Sink = Callable[[Level, str, dict[str, Any]], None]


class Log:
    """A logger. A field `error` may be an exception: its type and its stack frames are written."""

    def info(self, event: str, /, **fields: Any) -> None:
        """Write a line about what went as it should."""
        self.log("info", event, **fields)

    def warning(self, event: str, /, **fields: Any) -> None:
        """Write a line about what went wrong and recovers by itself."""
        self.log("warning", event, **fields)

    def error(self, event: str, /, **fields: Any) -> None:
        """Write a line about what a person should look at."""
        self.log("error", event, **fields)

    def log(self, level: Level, event: str, /, **fields: Any) -> None:
        """Write a line; whatever goes wrong, nothing is raised."""
        _write(_writer.sink, level, event, fields)


class EndedBySignal(SystemExit):
    """Raised by a signal's handler to end the process: a line that is just being written lets it through."""


def get_log() -> Log:
    """A logger."""
    return Log()


def _this_host() -> dict[str, str]:
    return {"host": socket.gethostname()}


class _Writer:
    """Where this process's lines go, in which form, and what stands in each of them."""

    def __init__(self) -> None:
        self.output = LogOutput(1)
        self.sink: Sink = self.to_console
        self.process = _this_host()
        self.ids: Callable[[], Mapping[str, str]] = dict
        self._second = -1, ""
        self.colors = False
        self.encoding = "utf-8"

    def to_json(self, level: Level, event: str, given: dict[str, Any]) -> None:
        """Write a line for machines."""
        line = {"timestamp": self._timestamp(), "level": level, "event": event} | expanded(given)
        for fields in (self.ids(), self.process):
            for name, value in fields.items():
                line.setdefault(name, value)
        line.setdefault("pid", os.getpid())  # read each time: this process may have been forked
        self.output.write(_json(line) + b"\n")

    def _timestamp(self) -> str:
        """The time in UTC to the millisecond, its seconds written once for all lines of a second."""
        seconds, milliseconds = divmod(int(time.time() * 1000), 1000)
        if seconds != self._second[0]:
            self._second = seconds, f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
        return f"{self._second[1]}.{milliseconds:03}+00:00"

    def to_dev(self, level: Level, event: str, fields: dict[str, Any]) -> None:
        """Write a line for `deskbell dev`: for machines, but with the text of an exception."""
        self.to_json(level, event, with_traceback(fields))

    def to_console(self, level: Level, event: str, fields: dict[str, Any]) -> None:
        """Write a line for people."""
        line = console_line(level, event, fields, colors=self.colors)
        self.output.write(line.encode(self.encoding, "backslashreplace") + b"\n")


_writer = _Writer()
_here = threading.local()


def configure_logs(log_format: LogFormat) -> None:
    """Send this process's log lines, and those of its libraries, to the standard output that it was started with.

    They hold no further fields, until `name_process` gives them some.
    """
    stdout = sys.__stdout__
    try:
        assert stdout  # Python has none when the descriptor was closed
        descriptor = os.dup(stdout.fileno())
    except (AssertionError, OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
    else:
        _writer.colors, _writer.encoding = stdout.isatty(), stdout.encoding
    _writer.output, _writer.process = LogOutput(descriptor), _this_host()
    _writer.sink = {"json": _writer.to_json, "console": _writer.to_console, "dev": _writer.to_dev}[log_format]
    atexit.register(flush_logs)
    carry_over(_write_record)


def name_process(**fields: str) -> None:
    """Let each line of this process hold further fields, such as the worker's name."""
    _writer.process |= fields


def ids_come_from(ids: Callable[[], Mapping[str, str]]) -> None:
    """Let each line of this process hold the ids of what it was written in, the trace and the span."""
    _writer.ids = ids


def on_lost_lines(note: Callable[[int], None]) -> None:
    """Have a function called with the number of lines whenever some could not be written."""
    _writer.output.on_lost = note


def flush_logs(seconds: float = 1.0) -> None:
    """Write what waits, before this process ends; a reader that does not read is given so many seconds."""
    with suppress(Exception):
        _writer.output.flush(seconds)


@contextmanager
def lines_go_to(sink: Sink) -> Iterator[None]:
    """Within the context lines go to a function: for tests."""
    before, _writer.sink = _writer.sink, sink
    try:
        yield
    finally:
        _writer.sink = before


def expanded(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields with an exception replaced by its type, and by file, line and function of the frames it passed through."""
    error = fields.get("error")
    if not isinstance(error, BaseException):
        return fields
    try:
        error = as_raised(error)
        where = [frame.whole for frame in frames_of(integrators_part(error.__traceback__))[-MOST:]]
        return fields | {"error": type(error).__name__, "where": where}
    except BaseException:  # noqa: BLE001 - whatever an integrator's exception does when it is read
        return fields | {"error": "unreadable", "where": []}


def _write_record(record: logging.LogRecord) -> None:
    """Write the first line of a library's message: in further lines RQ and asyncio quote an exception's text."""
    _write(_write_message, record)


def _write_message(record: logging.LogRecord) -> None:
    fields: dict[str, Any] = {"logger": record.name}
    if record.exc_info and record.exc_info[1]:
        fields["error"] = record.exc_info[1]
    _writer.sink(_level(record.levelno), record.getMessage().partition("\n")[0], fields)


def _level(number: int) -> Level:
    """Our level for one of `logging`: the same, or the next lower one."""
    if number >= logging.CRITICAL:
        return "critical"
    return "error" if number >= logging.ERROR else "warning" if number >= logging.WARNING else "info"


def _write(write: Callable[..., None], *given: Any) -> None:
    if getattr(_here, "is_writing", False):  # writing a field may call code that logs
        _writer.output.lose(1)
        return
    _here.is_writing = True
    try:
        write(*given)
        if lost := _writer.output.take_lost():
            _writer.sink("warning", "log_lines_lost", {"count": lost})
    except (BaseTimeoutException, KeyboardInterrupt, EndedBySignal):  # a signal's: meant for the code that logs
        raise
    except BaseException:  # noqa: BLE001 - SystemExit, too, when that is what a field raises as it is written
        _writer.output.lose(1)
    finally:
        _here.is_writing = False


def _json(line: Any) -> bytes:
    """A line as JSON; a value that cannot be written, whatever it raises, becomes the name of its type."""
    try:
        return to_json(line, inf_nan_mode="strings", fallback=repr)
    except Exception:  # noqa: BLE001 - half a surrogate pair, a `__repr__` of the integrator's that raises
        if isinstance(line, dict):
            return b"{%s}" % b",".join(b"%s:%s" % (_json(name), _json(value)) for name, value in line.items())
        return to_json(ascii(line) if isinstance(line, str) else f"<{type(line).__name__}>")
