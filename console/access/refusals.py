"""Refusals in the audit log: the same one again within an hour is counted, for whoever repeats it would fill Redis."""

from contextlib import suppress
from hashlib import sha256
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from shared.keys import DESKBELL
from shared.logs import get_log
from shared.redis.queues import RUNS_KEY
from workers.audit import AuditLog

REFUSED_KEY = f"{DESKBELL}console:refused:"
"""Prefix of a key that names the entry of a refusal, as long as it is counted there."""

_PERIOD_SECONDS = 3600


class Refusals:
    """Records who was refused what."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._audit = AuditLog(redis)

    def record(self, action: str, selection: str, by: str) -> None:
        """Record a refusal in the audit log, and in the log; there each one, also while Redis is away."""
        get_log().warning("console_refused", action=action, user=by, reason="refused")
        with suppress(RedisError, OSError):
            self._count(action, selection, by)

    def _count(self, action: str, selection: str, by: str) -> None:
        key = REFUSED_KEY + sha256(f"{action}\0{selection}\0{by}".encode()).hexdigest()[:32]
        known: Any = self._redis.get(key)
        entry = known.decode() if known else self._audit.begin(action, selection, by, "refused")
        entry_id = entry.removeprefix(f"{RUNS_KEY}:")
        self._redis.hincrby(f"{RUNS_KEY}:{entry_id}", "done", 1)
        if not known:
            self._redis.set(key, entry_id, ex=_PERIOD_SECONDS)
