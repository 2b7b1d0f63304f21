"""Detects lost writes: after a restore, or a failover to a replica that lagged, Redis lacks what it acknowledged.

Each call of `accept.lua` has a sequence number, and Redis keeps the last one of each producer: where that is lower than
the last one acknowledged, calls are missing, and the events in them are lost.
"""

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from shared.logs import get_log
from shared.redis.queues import FORGOTTEN_KEY, MARK_KEY
from shared.sentences import Sentence, sentence

_REPORTED_SECONDS = 7 * 24 * 3600
_RECENT_SECONDS = 24 * 3600  # much less than Redis keeps the number of a producer


class LostWriteDetector:
    """Compares the last call that Redis acknowledged with the last one that Redis knows.

    Attributes:
        missing: what Redis was found to lack, a sentence; "" as long as it lacks nothing.
    """

    def __init__(self, redis: AsyncRedis) -> None:
        self.missing = ""
        self._redis = redis
        self._producer = ""
        self._number = 0
        self._at = 0.0
        self._unsaved = ""

    async def acknowledge(self, producer: str, number: int, before: int) -> None:
        """Record that Redis acknowledged a call of a producer.

        `before` is the last number that Redis had of it until then: the call's own, when that was sent twice.
        """
        if producer == self._producer and before < self._number and self._is_recent:
            await self._report(self._number - max(before, 0))
        self._producer, self._number, self._at = producer, number, time.time()

    async def check(self) -> None:
        """Ask Redis for the last call it knows: after an outage, and now and then while no call is sent."""
        if self._unsaved:
            await self._save()
        if not self._is_recent:
            return
        asked = self._producer, self._number
        found = await self._redis.get(MARK_KEY + self._producer)
        number = int(found) if found and found.isdigit() else 0
        was_sent = asked != (self._producer, self._number)  # another call was acknowledged meanwhile, and compared
        if not was_sent and found != b"closed" and number < self._number:
            missing, self._at = self._number - number, 0.0
            await self._report(missing)

    @property
    def _is_recent(self) -> bool:
        return time.time() < self._at + _RECENT_SECONDS

    async def _report(self, calls: int) -> None:
        now = time.time()
        self.missing = _sentence(now, calls)
        get_log().error("redis_lost_writes", calls=calls)
        self._unsaved = json.dumps({"at": now, "calls": calls})
        await self._save()

    async def _save(self) -> None:
        """Tell all; where Redis takes no writes yet, since it is still a replica, the next check tells it."""
        with suppress(RedisError, OSError):
            await self._redis.set(FORGOTTEN_KEY, self._unsaved, ex=_REPORTED_SECONDS)
            self._unsaved = ""


def read_lost_writes(connection: Redis) -> str:
    """What an api found Redis to lack within the last days, a sentence; "" if nothing."""
    found: Any = connection.get(FORGOTTEN_KEY)
    if not found:
        return ""
    return _sentence(**from_json(found))


def _sentence(at: float, calls: int) -> Sentence:
    return sentence(
        "at {at:%Y-%m-%d %H:%M:%S} UTC Redis lacked {calls} calls, each of one event or more, that it had "
        "acknowledged: it is another server, or was restored from an older copy (docs/how-to/operate.md, Failover)",
        at=datetime.fromtimestamp(at, UTC),
        calls=calls,
    )
