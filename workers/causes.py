"""The cause of a dead letter: the type of what was raised, and where in the integrator's code. Never its text.

A failure is recorded with its cause and its places as the job dies. Those of a job that died otherwise, under a worker
that is not ours or because its worker died, are read from the traceback that RQ keeps; the same rules find the place.
What stands in such a text behind the first exception's frames may be its message, which anybody may have written: so it
is not looked at, and of exceptions that were raised one while another was handled the first one tells the cause.
"""

import re
from collections.abc import Sequence
from contextlib import suppress

from shared.errors import JobDecision, ProcessDied
from shared.frames import MOST, Frame, frames_of, integrators_frame
from shared.raised import as_raised

UNKNOWN = "unknown"
"""The cause of a dead letter that says nothing about itself."""

_BEGINNING = "Traceback (most recent call last):\n"
_FILE = r"[^\"\n]{1,1000}\.py|<frozen [\w.]{1,200}>"
_FUNCTION = r"[\w.<>]{1,200}"
_FRAME = re.compile(rf'  File "({_FILE})", line (\d{{1,7}}), in ({_FUNCTION})')
_TYPE = re.compile(r"(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w{0,100})(?=:|$)")
_STATUSES = range(100, 600)
_GROUP = "  + Exception Group "
_IN_GROUP = re.compile(r"^  [|+] ", re.MULTILINE)  # how the lines of an exception group are drawn
_PLAIN = {
    "Moved to FailedJobRegistry, due to AbandonedJobError": "AbandonedJobError",
    "The worker gave no sign of life": "AbandonedJobError",
    "Work-horse terminated unexpectedly": "ProcessDied",
}


def cause_of(error: BaseException) -> str:
    """The cause that an exception is, with the HTTP status it tells: `HTTPStatusError 401 at acme/jobs.py:9 in f`."""
    error = as_raised(error)
    code = code_of(error)
    kind = type(error).__name__
    return _cause(f"{kind} {code}" if code else kind, frames_of(error.__traceback__))


def code_of(error: BaseException) -> str | None:
    """The code that an integrator has given an exception of ours, else the HTTP status that it tells.

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
            for holder, name in _status_places(each):
                status = getattr(holder, name, None)
                if isinstance(status, int) and status in _STATUSES:
                    return int(status)
    return None


def _status_places(error: BaseException | None) -> tuple[tuple[object, str], ...]:
    """Where httpx and requests put a status, and where aiohttp and urllib do."""
    return (getattr(error, "response", None), "status_code"), (error, "status_code"), (error, "status")


def places_of(error: BaseException) -> list[Frame]:
    """The last places that an exception passed through, the outermost first: lists in JSON."""
    return frames_of(as_raised(error).__traceback__)[-MOST:]


def read_places(written: object) -> list[Frame]:
    """The places that were recorded, read from JSON; none when it is anything else."""
    found = written if isinstance(written, list) else []
    return [Frame(*place) for place in found if _is_place(place)]


def cause_in(text: str) -> str:
    """The cause that a failure's text tells: RQ's traceback, or the sentence that RQ or a worker wrote instead."""
    for beginning, cause in _PLAIN.items():
        if text.startswith(beginning):
            return cause
    lines = _first_traceback(text)
    kind = next((found for line in lines if not line.startswith(" ") and (found := _TYPE.match(line))), None)
    return _cause(kind[1], frames_in(text)) if kind else UNKNOWN


def frames_in(text: str) -> list[Frame]:
    """The places in the traceback that a text begins with."""
    frames = []
    for line in _first_traceback(text):
        if not line.startswith(" "):
            break
        if found := _FRAME.fullmatch(line):
            frames.append(Frame(found[1], int(found[2]), found[3]))
    return frames


def _cause(kind: str, frames: Sequence[Frame]) -> str:
    place = integrators_frame(frames)
    return f"{kind} at {place}" if place else kind


def _first_traceback(text: str) -> list[str]:
    if text.startswith(_BEGINNING):
        return text.removeprefix(_BEGINNING).splitlines()
    if text.startswith(_GROUP + _BEGINNING):
        return _IN_GROUP.sub("", text.removeprefix(_GROUP + _BEGINNING)).splitlines()
    return []


def _is_place(written: object) -> bool:
    if not isinstance(written, list) or list(map(type, written)) != [str, int, str]:
        return False
    file, _, function = written
    return bool(re.fullmatch(_FILE, file) and re.fullmatch(_FUNCTION, function))
