"""`late=` of a handler, and the names of what goes in and out."""

from dataclasses import dataclass
from typing import Literal

from shared.declarations.policies import LONGEST_SECONDS, is_whole
from shared.errors import DeclarationError

TICKET = "LateTicket"
"""The variable that holds a ticket: an output of the first node, an input of the second."""

STATE = "LateState"
"""The variable by which a flow decides, an output of both nodes."""

State = Literal["ready", "not_yet", "failed", "expired", "used", "unknown"]
"""Its values: the other outputs hold the values; ask again; the job is a dead letter; too late; handed out before; no
ticket of this app, session and node."""

SUFFIX = ".late"
"""What the name of the second node has behind that of the first."""


@dataclass(frozen=True, slots=True)
class Late:
    """How the work of a handler goes on when it is out of time.

    Attributes:
        timeout: seconds that one run of the handler may take in a worker.
        attempts: how often it is run there at most, with the backoff of jobs.
        keep: seconds for which its values are kept, and for which a ticket is waited for.
        queue: the queue of its jobs.
        after_ms: milliseconds that the callback waits for it; by default as long as for every handler.
    """

    timeout: int = 30
    attempts: int = 3
    keep: int = 900
    queue: str = "late"
    after_ms: int | None = None

    def __post_init__(self) -> None:
        for name in ("timeout", "attempts", "keep", *(["after_ms"] if self.after_ms is not None else [])):
            value = getattr(self, name)
            if not is_whole(value, 1) or value > LONGEST_SECONDS:
                raise DeclarationError(
                    f"Late: {name}= must be a whole number from 1 to {LONGEST_SECONDS}, got {value!r}; write "
                    "Late(timeout=30, attempts=3, keep=900)"
                )


def parse_late(where: str, late: object) -> Late | None:
    """`late=` as a value; None for a handler without."""
    if late is None or isinstance(late, Late):
        return late
    if isinstance(late, bool):
        return Late() if late else None
    raise DeclarationError(f"{where}: late= must be True or a Late, got {late!r}; write late=Late(timeout=30)")
