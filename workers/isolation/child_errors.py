"""Serialized exceptions: what a job raised in a child process, as JSON for its worker: no object of the integrator's.

The worker makes an exception of it that has the name, the frames, the HTTP status and the text of the first. What
steers the worker (`Retry`, `Discard`, and the errors that no further attempt can help) is of its own class again.
"""

from collections.abc import Sequence
from types import CodeType, TracebackType
from typing import Any

from shared import errors
from shared.errors import DeskbellError, JobDecision
from shared.frames import Frame
from shared.raised import as_raised
from workers.causes import last_frames_of, read_frames, status_of
from workers.dead_letters.tracebacks import KEPT_TEXT, traceback_text

_MOST_OF_A_NAME = 100
_MOST_OF_A_VALUE = 1000


def encode_error(error: BaseException) -> dict[str, Any]:
    """An exception as native JSON, bounded."""
    kind = _steering(type(error))
    error = as_raised(error)
    return {
        "name": type(error).__name__[:_MOST_OF_A_NAME],
        "kind": kind.__name__ if kind else None,
        "state": _plain(vars(error)) if kind else {},
        "message": _message(error),
        "status": status_of(error),
        "frames": last_frames_of(error),
        "text": traceback_text(error),
    }


def decode_error(encoded: dict[str, Any]) -> Exception:
    """The exception that the worker goes on with."""
    kind = getattr(errors, encoded["kind"] or "", Exception)
    name = encoded["name"]
    error: Exception = kind.__new__(kind if kind.__name__ == name else type(name, (kind,), {}))
    error.args = (encoded["message"],)
    vars(error).update(
        encoded["state"] | {KEPT_TEXT: encoded["text"]} | ({"status": encoded["status"]} if encoded["status"] else {})
    )
    return error.with_traceback(_traceback(read_frames(encoded["frames"])))


def _steering(kind: type[BaseException]) -> type[BaseException] | None:
    """Deskbell's class that an exception is of, if a worker decides by it."""
    ours = (each for each in kind.__mro__ if each.__module__ == errors.__name__ and each is not DeskbellError)
    return next((each for each in ours if issubclass(each, JobDecision | DeskbellError)), None)


def _message(error: BaseException) -> str:
    try:
        return str(error)[:_MOST_OF_A_VALUE]
    except BaseException:  # noqa: BLE001 - whatever an integrator's `__str__` does
        return ""


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    """The attributes of one of Deskbell's exceptions: numbers, truth values and short texts."""
    short = {name: value[:_MOST_OF_A_VALUE] if isinstance(value, str) else value for name, value in state.items()}
    return {name: value for name, value in short.items() if isinstance(value, str | int | float | None)}


def _traceback(frames: Sequence[Frame]) -> TracebackType | None:
    """A traceback through frames; Python gives a frame only to code that runs."""
    whole = None
    for frame in reversed(frames):
        code: CodeType = compile("raise RuntimeError", frame.file, "exec")
        try:
            exec(code.replace(co_name=frame.function, co_qualname=frame.function, co_firstlineno=frame.line), {})  # noqa: S102
        except RuntimeError as raised:
            inner = raised.__traceback__.tb_next if raised.__traceback__ else None
            assert inner
            whole = TracebackType(whole, inner.tb_frame, inner.tb_lasti, frame.line)
    return whole
