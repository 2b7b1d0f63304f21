"""Which dead letters an action means: one, a group, or those that a filter lets through; none that failed later."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from deskbell.calls.moments import FORM, read_moment
from shared.records.users import user_digest
from shared.sentences import sentence
from workers.dead_letters.registry import DeadLetter, DeadLetters, Selection
from workers.dead_letters.replay import Pages

_TEXTS = ("id", "group", "job", "cause", "queue", "node", "session")
_TIMES = ("since", "until")
FIELDS = (*_TEXTS, *_TIMES, "user")
"""What a choice is read from."""

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
        given = {name: fields.get(name, "")[:_LONGEST] for name in FIELDS}
        read: dict[str, Any] = {name: given[name] or None for name in _TEXTS}
        read |= {name: _time(name, given[name]) for name in _TIMES}
        return cls(**read, user=user_digest(given["user"]) if given["user"] else None)

    def __str__(self) -> str:
        """The choice for the audit log."""
        return self.words()

    def words(self, group: str = "") -> str:
        """The choice for the audit log, its group by its names if those are given."""
        if self.id:
            return self.id
        others = Selection.__str__(self)
        if not self.group:
            return others
        group = group or f"the cause {self.group}"
        return group if others == "--all" else f"{group} {others}"

    @property
    def fields(self) -> dict[str, str]:
        """The choice as `read` reads it."""
        texts = {name: getattr(self, name) for name in (*_TEXTS, "user")}
        times = {name: getattr(self, name) for name in _TIMES}
        return {name: text for name, text in texts.items() if text} | {
            name: time.isoformat() for name, time in times.items() if time
        }

    @property
    def scope(self) -> str:
        """What the choice means, without when: of two actions with the same scope, one waits for the other."""
        what = "\0".join(getattr(self, name) or "" for name in (*_TEXTS, "user"))
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
        return [dead_letters.chosen(dead_letters.find([self.id]), self)]


@lru_cache(_GROUPS_KEPT)
def group_id(job: str, queue: str, cause: str) -> str:
    """Stands for a group in an address, whatever its names hold."""
    return hashlib.sha256(f"{job}\0{queue}\0{cause}".encode(errors="replace")).hexdigest()[:16]


def _time(name: str, text: str) -> datetime | None:
    try:
        return read_moment(text, UTC) if text else None
    except ValueError:
        wrong = sentence("{name}: expected {form}, got {got!r}", name=name, form=FORM, got=text)
        raise ValueError(wrong) from None
