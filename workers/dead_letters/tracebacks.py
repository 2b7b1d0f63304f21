"""The traceback text that is kept with a failed job: bounded, and encodable for Redis."""

from collections.abc import Iterable
from traceback import TracebackException

_MOST = 64 * 1024
_MOST_OF_A_PART = 8 * 1024
_CUT = "[...]\n"

KEPT_TEXT = "deskbell_text"
"""The attribute that holds, for an exception from another process, the text that Python printed there."""


def traceback_text(error: BaseException) -> str:
    """An exception with its traceback, as Python prints it, bounded."""
    try:
        if isinstance(kept := getattr(error, KEPT_TEXT, None), str):
            return kept
        return bounded(TracebackException.from_exception(error).format())
    except BaseException:  # noqa: BLE001 - whatever the attributes of an integrator's exception do
        return "The exception cannot be printed: reading it raises another"


def bounded(parts: Iterable[str]) -> str:
    """A text of some 64 kB at most, from its parts: each is cut at its end, and the whole in the middle.

    Half a surrogate pair cannot be sent to Redis, and is written as an escape.
    """
    text = "".join(part if len(part) <= _MOST_OF_A_PART else part[:_MOST_OF_A_PART] + _CUT for part in parts)
    if len(text) > _MOST:
        text = f"{text[: _MOST // 2]}\n  {_CUT}{text[-_MOST // 2 :]}"
    return text.encode("utf-8", "backslashreplace").decode()
