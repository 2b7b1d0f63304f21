"""Whose an event is, and which users were forgotten: a list on Redis, by which what still lies in a spool is dropped.

`deskbell forget` writes a user there before it removes anything. An api that drains its spool looks every event up.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from shared.keys import DESKBELL
from shared.records.packing import digest
from shared.redis.job_data import read_data
from shared.wire.commands import event_from_wire
from shared.wire.events import Event

FORGOTTEN_USERS_KEY = f"{DESKBELL}users:forgotten"
"""A sorted set: a digest of each user who was forgotten, and the Unix milliseconds until which; for a year."""

_DIGEST = re.compile(r"[0-9a-f]{16}")
_KEPT_MS = 365 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class User:
    """A user of one app, or of all.

    Attributes:
        app: `SdkAppid`; None means all apps.
    """

    id: str = field(repr=False)
    app: str | None = None

    def has(self, event: Event) -> bool:
        """Whether an event is this user's: it names them."""
        try:
            return event.user_id == self.id and self.app in (None, event.app_id)
        except ValueError:  # a number of more digits than Python writes
            return False

    def __str__(self) -> str:
        """The user without the id in the clear: a digest, and the app."""
        of_user = digest("user", self.id).hex()
        return f"{of_user}:{self.app}" if self.app else of_user


def user_digest(user: str) -> str:
    """What stands for a user where no id may: the digest of an id, or the digest that was given, 16 hex digits."""
    return user if _DIGEST.fullmatch(user) else digest("user", user).hex()


def event_of_job(data: bytes) -> Event:
    """The event among the arguments of an RQ job's data, of an event's own job or of one that it became.

    Raises:
        Exception: there is none.
    """
    return event_from_wire(read_data(data)[2][-1])


def milliseconds_of(event_id: str) -> int:
    """When an event was received, as its id says, in Unix milliseconds by the api's clock."""
    return int(event_id[:12], 16)


def users_of(event: Event) -> Sequence[str]:
    """The fields of the list by which an event's user may be forgotten."""
    return (str(User(event.user_id)), str(User(event.user_id, event.app_id)))


def is_forgotten(event: Event, until: Iterable[Any]) -> bool:
    """Whether an event came before its user was forgotten; `until` is what the list has for `users_of`."""
    return any(milliseconds_of(event.id) <= int(moment) for moment in until if moment)


def list_as_forgotten(redis: Redis, user: User) -> int:
    """Put a user on the list; the moment, in Unix milliseconds by the server's clock."""
    seconds, microseconds = redis.time()
    now = int(seconds) * 1000 + int(microseconds) // 1000
    with redis.pipeline() as pipeline:
        pipeline.zadd(FORGOTTEN_USERS_KEY, {str(user): now})
        pipeline.zremrangebyscore(FORGOTTEN_USERS_KEY, 0, now - _KEPT_MS)
        pipeline.execute()
    return now
