"""The audit log: who replayed or discarded dead letters, paused a queue, forgot a user, or was refused; for 90 days.

The script counts in the entry what it did, in the same moment: the count of a command that was killed is right, too.
"""

import getpass
import socket
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from shared.redis.queues import RUNS_KEY

_KEPT_SECONDS = 90 * 24 * 3600


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What somebody did, or was refused.

    Attributes:
        action: `replay`, `discard`, `forget`, `pause`, `resume`, `reveal`; `sign-in`, or the address of a form, where
            it was refused.
        selection: which dead letters were meant, as it was typed; a user, by a digest; which queue; which event; from
            where.
        done: how many dead letters were put back, or deleted; how much of a user was removed.
        end: how it ended: `done`, `interrupted` or `refused`; "" while it runs, or when it was killed.
    """

    began_at: datetime
    by: str
    action: str
    selection: str
    done: int
    end: str


class AuditLog:
    """Writes and reads the entries."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def note(self, action: str, selection: str, by: str, end: str) -> None:
        """Record what takes no time: somebody did it, or was refused."""
        self.begin(action, selection, by, end)

    def begin(self, action: str, selection: str, by: str, end: str = "") -> str:
        """Record that something begins."""
        now = time.time()
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

    def latest(self, count: int) -> list[AuditEntry]:
        """The last entries, the last one first."""
        ids: Any = self._redis.zrevrange(RUNS_KEY, 0, count - 1)
        with self._redis.pipeline(transaction=False) as pipeline:
            for entry_id in ids:
                pipeline.hgetall(_key(entry_id.decode(errors="replace")))
            return list(_entries(pipeline.execute()))


def user_name() -> str:
    """Who runs this process, as far as the system knows."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def _key(entry_id: str) -> str:
    return f"{RUNS_KEY}:{entry_id}"


def _entries(hashes: Iterable[Any]) -> Iterable[AuditEntry]:
    for fields in hashes:
        if fields:  # else it has expired
            read = {name.decode(): value.decode() for name, value in fields.items()}
            began_at = datetime.fromtimestamp(float(read["began_at"]), UTC)
            yield AuditEntry(began_at, read["by"], read["action"], read["selection"], int(read["done"]), read["end"])
