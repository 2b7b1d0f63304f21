"""The cause by which dead letters are grouped: the type of what was raised, and where in the integrator's code.

Deskbell's worker records the cause and the traceback's frames in the job's `meta` when the job fails for good. Where it
could not, because a stock worker ran the job or the worker died, the type is read from the text that RQ keeps. The
exception's own text is never part of a cause: a customer may have written it.
"""

import re
from contextlib import suppress
from typing import Any, Literal

from rq.timeouts import JobTimeoutException

from shared.errors import (
    ConfigError,
    DamagedJobError,
    JobDecision,
    LeftError,
    NotRunError,
    OutOfTurnError,
    ProcessDied,
)
from shared.frames import MOST, Frame, frames_of, integrators_frame
from shared.raised import as_raised

UNKNOWN = "unknown"
"""The cause of a dead letter that says nothing about itself."""

FailureKind = Literal[
    "http_401_403",
    "http_429",
    "http_4xx",
    "http_5xx",
    "timeout",
    "connection",
    "decided",
    "unknown_type",
    "settings",
    "damaged",
    "process_died",
    "other",
]
"""What an attempt failed for, in few words: HTTP statuses; no answer; what the job raised to steer; what it lacked."""

_HEADERS = ("Traceback (most recent call last):\n", "  + Exception Group Traceback (most recent call last):\n")
_TYPE = re.compile(r"^(?:  \| )?(?:(?:[A-Za-z_]\w*|<locals>)\.)*([A-Za-z_]\w{0,100})(?=:|$)", re.MULTILINE)
_STATUSES = range(100, 600)
_HTTP_KINDS: dict[int, FailureKind] = {401: "http_401_403", 403: "http_401_403", 429: "http_429"}
_KINDS: tuple[tuple[FailureKind, tuple[type[BaseException], ...]], ...] = (
    ("decided", (JobDecision,)),
    ("unknown_type", (LeftError,)),
    ("settings", (ConfigError,)),
    ("damaged", (DamagedJobError, NotRunError)),
    ("process_died", (ProcessDied,)),
    ("timeout", (TimeoutError, JobTimeoutException)),
    ("connection", (OSError,)),
)
_KIND_WORDS: dict[str, FailureKind] = {"Timeout": "timeout", "Connect": "connection", "Network": "connection"}
"""By a part of the type's name: clients have types of their own."""
_PLAIN = {
    "Moved to FailedJobRegistry, due to AbandonedJobError": "AbandonedJobError",
    "The worker gave no sign of life": "AbandonedJobError",
    "Work-horse terminated unexpectedly": "ProcessDied",
}


def cause_of(error: BaseException) -> str:
    """The cause that an exception is, with the HTTP status it tells: `HTTPStatusError 401 at acme/jobs.py:9 in f`.

    Of a job that waits for its turn: what for, in our own words.
    """
    if isinstance(error, OutOfTurnError):
        return str(error)
    error = as_raised(error)
    code, frame = code_of(error), integrators_frame(frames_of(error.__traceback__))
    return type(error).__name__ + (f" {code}" if code else "") + (f" at {frame}" if frame else "")


def code_of(error: BaseException) -> str | None:
    """The code that an integrator has given one of Deskbell's exceptions, else the HTTP status that it tells.

    Of a job's own process that died: of which signal, or with which status.
    """
    if isinstance(error, ProcessDied):
        return error.how or None
    if isinstance(error, JobDecision) and error.code:
        return error.code
    status = status_of(error)
    return str(status) if status else None


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an exception tells, else that of the one it was raised `from`; None when neither does."""
    for each in (error, error.__cause__):
        with suppress(BaseException):  # whatever an exception's attributes do
            for holder, name in _status_attributes(each):
                status = getattr(holder, name, None)
                if isinstance(status, int) and status in _STATUSES:
                    return int(status)
    return None


def _status_attributes(error: BaseException | None) -> tuple[tuple[object, str], ...]:
    """Where httpx and requests put a status, and where aiohttp and urllib do."""
    return (getattr(error, "response", None), "status_code"), (error, "status_code"), (error, "status")


def kind_of(error: BaseException | None) -> FailureKind | Literal[""]:
    """The kind of what an attempt failed for, one of few words; "" when it did not fail."""
    if error is None or isinstance(error, OutOfTurnError):
        return ""
    raised = as_raised(error)
    code = code_of(raised) or ""
    if code.isdecimal() and 400 <= int(code) < 600:  # noqa: PLR2004 - HTTP's
        return _HTTP_KINDS.get(int(code), "http_4xx" if int(code) < 500 else "http_5xx")  # noqa: PLR2004
    for kind, types in _KINDS:
        if isinstance(raised, types):
            return kind
    words = type(raised).__name__
    return next((kind for word, kind in _KIND_WORDS.items() if word in words), "other")


def last_frames_of(error: BaseException) -> list[Frame]:
    """The last frames that an exception passed through, the outermost first: lists in JSON."""
    return frames_of(as_raised(error).__traceback__)[-MOST:]


def read_frames(written: Any) -> list[Frame]:
    """The frames that were recorded, read from JSON."""
    return [Frame(*each) for each in written or ()]


def cause_in(text: str) -> str:
    """The type that a failure's text names: RQ's traceback, or the sentence that RQ or a worker wrote instead.

    The first exception's is taken. What follows it may be its message, which anybody may have written.
    """
    for beginning, cause in _PLAIN.items():
        if text.startswith(beginning):
            return cause
    found = _TYPE.search(text) if text.startswith(_HEADERS) else None
    return found[1] if found else UNKNOWN
