"""The text of a failure that is kept with a dead letter: bounded, and such that Redis can hold it."""

from collections import deque
from collections.abc import Iterable
from traceback import TracebackException

_MOST = 64 * 1024
_MOST_OF_A_PART = 8 * 1024
_CUT = "[...]\n"

KEPT_TEXT = "deskbell_text"
"""The attribute of an exception that was raised in another process: its text, as Python printed it there."""


def traceback_text(error: BaseException) -> str:
    """An exception with where it came from, as Python prints it; see `bounded`."""
    try:
        if isinstance(kept := getattr(error, KEPT_TEXT, None), str):
            return kept
        return bounded(TracebackException.from_exception(error).format())
    except BaseException:  # noqa: BLE001 - whatever the attributes of an integrator's exception do
        return "The exception cannot be printed: reading it raises another"


def bounded(parts: Iterable[str]) -> str:
    """A text of some 64 kB at most, from its parts, lines or more each: what is too much is left out in the middle.

    Half a surrogate pair cannot be sent to Redis, and is written as an escape.
    """
    head, tail, left, kept, is_cut = [], deque[str](), _MOST // 2, 0, False
    for whole in parts:
        part = _cut(whole)
        if not tail and len(part) <= left:
            head.append(part)
            left -= len(part)
            continue
        tail.append(part)
        kept += len(part)
        while kept > _MOST // 2:
            kept -= len(tail.popleft())
            is_cut = True
    text = "".join([*head, *([f"  {_CUT}"] if is_cut else []), *tail])
    return text.encode("utf-8", "backslashreplace").decode()


def _cut(part: str) -> str:
    return part if len(part) <= _MOST_OF_A_PART else part[:_MOST_OF_A_PART] + _CUT
