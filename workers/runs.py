"""Who has replayed or discarded dead letters: a record on Redis of each run, kept for 90 days.

The scripts that act count in it what they did, in the same moment: the count of a run that was killed is right too.
"""

import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from shared.queues import RUNS_KEY

_KEPT_SECONDS = 90 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Run:
    """A replay or a discard.

    Attributes:
        began_at: when.
        by: who began it.
        action: `replay` or `discard`.
        selection: which letters were meant, as it was typed.
        done: how many letters were put back, or deleted.
        end: how it ended: `done` or `interrupted`; "" while it runs, or when it was killed.
    """

    began_at: datetime
    by: str
    action: str
    selection: str
    done: int
    end: str


class Runs:
    """Writes and reads records of runs."""

    def __init__(self, redis: Redis) -> None:
        """Prepare.

        Args:
            redis: the connection.
        """
        self._redis = redis

    def begin(self, action: str, selection: str, by: str) -> str:
        """Record that a run begins.

        Returns:
            The key of its record, for the scripts and for `end`.
        """
        now = time.time()
        run_id = uuid.uuid4().hex
        key = _key(run_id)
        fields: Any = {"began_at": str(now), "by": by, "action": action, "selection": selection, "done": "0", "end": ""}
        with self._redis.pipeline() as pipeline:
            pipeline.hset(key, mapping=fields)
            pipeline.expire(key, _KEPT_SECONDS)
            pipeline.zadd(RUNS_KEY, {run_id: now})
            pipeline.zremrangebyscore(RUNS_KEY, 0, now - _KEPT_SECONDS)
            pipeline.execute()
        return key

    def end(self, key: str, how: str) -> None:
        """Record how a run ended."""
        self._redis.hset(key, "end", how)

    def latest(self, count: int) -> list[Run]:
        """The last runs, the last one first."""
        ids: Any = self._redis.zrevrange(RUNS_KEY, 0, count - 1)
        with self._redis.pipeline(transaction=False) as pipeline:
            for run_id in ids:
                pipeline.hgetall(_key(run_id.decode(errors="replace")))
            return list(_runs(pipeline.execute()))


def _key(run_id: str) -> str:
    return f"{RUNS_KEY}:{run_id}"


def _runs(hashes: Iterable[Any]) -> Iterable[Run]:
    for fields in hashes:
        with suppress(KeyError, ValueError, OverflowError):  # it has expired, or is not as it was written
            read = {name.decode(): value.decode() for name, value in fields.items()}
            began_at = datetime.fromtimestamp(float(read["began_at"]), UTC)
            yield Run(began_at, read["by"], read["action"], read["selection"], int(read["done"]), read["end"])
