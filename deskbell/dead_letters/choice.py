"""Which dead letters an action means: one, a group, or those that a filter lets through; none that failed later."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from deskbell.calls.moments import FORM, read_moment
from workers.dead_letters.registry import DeadLetter, DeadLetters, Selection
from workers.dead_letters.replay import Pages

_LONGEST = 200
_GROUPS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Choice(Selection):
    """Which dead letters are meant; all of them by default.

    Attributes:
        id: the one of this id.
        group: those of one job type, queue and cause, by `group_id`.
        until: those that had failed by then. One that was put back and has failed again since is not meant: whoever
            chose has not seen that failure.
    """

    id: str | None = None
    group: str | None = None
    until: datetime | None = None

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> "Choice":
        """The choice that the fields of a form or an address mean.

        Raises:
            ValueError: a time is none; the message is a sentence.
        """
        job, cause, letter_id, group = (
            fields.get(each, "")[:_LONGEST] or None for each in ("job", "cause", "id", "group")
        )
        since, until = (_time(each, fields.get(each, "")[:_LONGEST]) for each in ("since", "until"))
        return cls(job, cause, since, letter_id, group, until)

    def __str__(self) -> str:
        """The choice for the audit log."""
        if self.id:
            return self.id
        return f"the cause {self.group}" if self.group else Selection.__str__(self)

    @property
    def fields(self) -> dict[str, str]:
        """The choice as `read` reads it."""
        texts = {"id": self.id, "group": self.group, "job": self.job, "cause": self.cause}
        times = {"since": self.since, "until": self.until}
        return {name: text for name, text in texts.items() if text} | {
            name: time.isoformat() for name, time in times.items() if time
        }

    @property
    def scope(self) -> str:
        """What the choice means, without when: of two actions with the same scope, one waits for the other."""
        what = "\0".join(each or "" for each in (self.id, self.group, self.job, self.cause))
        return hashlib.sha256(what.encode(errors="replace")).hexdigest()[:32]

    def holds(self, dead_letter: DeadLetter) -> bool:
        """Whether a dead letter is among those meant."""
        group = None if self.group is None else group_id(dead_letter.job, dead_letter.queue, dead_letter.cause)
        is_seen = self.until is None or dead_letter.failed_at is None or dead_letter.failed_at <= self.until
        return self.group == group and is_seen and Selection.holds(self, dead_letter)

    def pages(self, dead_letters: DeadLetters) -> Pages:
        """The dead letters, a page at a time."""
        if self.id is None:
            return dead_letters.pages(self)
        return [[each for each in dead_letters.find([self.id]) if self.holds(each)]]


@lru_cache(_GROUPS_KEPT)
def group_id(job: str, queue: str, cause: str) -> str:
    """Stands for a group in an address, whatever its names hold."""
    return hashlib.sha256(f"{job}\0{queue}\0{cause}".encode(errors="replace")).hexdigest()[:16]


def _time(name: str, text: str) -> datetime | None:
    try:
        return read_moment(text, UTC) if text else None
    except ValueError:
        raise ValueError(f"{name}: expected {FORM}, got {text!r}") from None
