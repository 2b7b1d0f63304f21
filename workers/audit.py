"""The audit log: who replayed or discarded dead letters, paused a queue, forgot a user, or was refused; for 90 days.

The script counts in the entry what it did, in the same moment: the count of a command that was killed is right, too.
"""

import getpass
import math
import re
import socket
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from shared.redis.queues import RUNS_KEY

_KEPT_SECONDS = 90 * 24 * 3600
_ID = re.compile(r"[0-9a-f]{32}")
_FIELDS = ("began_at", "by", "action", "selection", "done", "end", "alive_until")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What somebody did, or was refused.

    Attributes:
        action: `replay`, `discard`, `forget`, `pause`, `resume`, `reveal`; `sign-in`, or the address of a form, where
            it was refused.
        selection: which dead letters were meant, as it was typed; a user, by a digest; which queue; which event; from
            where.
        done: how many dead letters were put back, or deleted; how much of a user was removed;
            how often somebody was refused, within the hour that follows.
        end: how it ended: `done`, `interrupted` or `refused`; "" while it runs, or when it was killed.
        alive_until: of what a console does in the background: until when it is taken to run, in Unix seconds, 0 once
            it has ended; else None.
    """

    id: str
    began_at: datetime
    by: str
    action: str
    selection: str
    done: int
    end: str
    alive_until: float | None

    @property
    def is_running(self) -> bool:
        """Whether a console does it at this moment; of a command that is not known."""
        return not self.end and (self.alive_until or 0) > time.time()


class AuditLog:
    """Writes and reads the entries."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def note(self, action: str, selection: str, by: str, end: str) -> None:
        """Record what takes no time: somebody did it, or was refused."""
        self.begin(action, selection, by, end)

    def begin(self, action: str, selection: str, by: str, end: str = "") -> str:
        """Record that something begins."""
        now = round(time.time(), 6)  # as a datetime has it
        entry_id = uuid.uuid4().hex
        key = _key(entry_id)
        fields: Any = {
            "began_at": str(now),
            "by": by,
            "action": action,
            "selection": selection,
            "done": "0",
            "end": end,
        }
        with self._redis.pipeline() as pipeline:
            pipeline.hset(key, mapping=fields)
            pipeline.expire(key, _KEPT_SECONDS)
            pipeline.zadd(RUNS_KEY, {entry_id: now})
            pipeline.zremrangebyscore(RUNS_KEY, 0, now - _KEPT_SECONDS)
            pipeline.execute()
        return key

    def end(self, key: str, how: str) -> None:
        """Record how it ended."""
        self._redis.hset(key, "end", how)

    def latest(self, count: int, before: float = math.inf) -> list[AuditEntry]:
        """The last entries that began before a time, in Unix seconds; the last one first."""
        ids: Any = self._redis.zrevrangebyscore(RUNS_KEY, f"({before}", "-inf", start=0, num=count)
        return self._read([each.decode(errors="replace") for each in ids])

    def read(self, entry_id: str) -> AuditEntry | None:
        """An entry by its id."""
        found = self._read([entry_id]) if _ID.fullmatch(entry_id) else []
        return found[0] if found else None

    def _read(self, ids: list[str]) -> list[AuditEntry]:
        with self._redis.pipeline(transaction=False) as pipeline:
            for entry_id in ids:
                pipeline.hmget(_key(entry_id), _FIELDS)
            answers = pipeline.execute()
        # the fields of an entry that has expired are not there
        return [_entry(entry_id, fields) for entry_id, fields in zip(ids, answers, strict=True) if fields[0]]


def user_name() -> str:
    """Who runs this process, as far as the system knows."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def _key(entry_id: str) -> str:
    return f"{RUNS_KEY}:{entry_id}"


def _entry(entry_id: str, fields: list[bytes | None]) -> AuditEntry:
    began_at, by, action, selection, done, end, alive_until = ((each or b"").decode() for each in fields)
    when = datetime.fromtimestamp(float(began_at), UTC)
    return AuditEntry(
        entry_id, when, by, action, selection, int(done), end, float(alive_until) if alive_until else None
    )
