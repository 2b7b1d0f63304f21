"""`/readyz`: whether events can be kept, and where; and what an acknowledgement is worth."""

import asyncio
import time
from typing import Any

from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from api.durability import DurabilityWatch
from api.intake import Intake
from api.replies import Replies
from shared.config import Settings
from shared.queues import EVENTS, queue_key


class Readiness:
    """Answers whether this process is fit to be sent callbacks."""

    def __init__(self, redis: AsyncRedis, settings: Settings, intake: Intake, replies: Replies) -> None:
        self._redis = redis
        self._seconds = settings.redis_timeout_ms / 1000
        self._intake = intake
        self._replies = replies
        self._durability = DurabilityWatch(redis, settings.min_replicas)

    def start(self) -> None:
        """Begin to read what an acknowledgement is worth; on the running event loop."""
        self._durability.look()

    async def close(self) -> None:
        """Stop reading."""
        await self._durability.close()

    async def look(self) -> tuple[int, dict[str, Any]]:
        """An HTTP status and what there is to say.

        Events that go to the spool are kept: not ready is who can keep none. A handler whose threads are all stuck
        answers with its fallback: worse, but better than no answer at all.
        """
        state = self._intake.state
        redis, lag = (state.redis, None) if state.redis != "ok" else await self._ask_redis()
        stuck = self._replies.stuck
        spooling = redis != "ok" or state.waiting > 0
        can_keep = redis == "ok" or state.spool == "ok"
        status = "not ready" if not can_keep else "spooling" if spooling else "degraded" if stuck else "ready"
        durability = self._durability.look()
        return 200 if can_keep else 503, {
            "status": status,
            "redis": redis,
            "lag": lag,
            "spool": {"disk": state.spool, "events": state.waiting, "oldest_seconds": age(state.oldest)},
            "durability": {"worth": durability.worth, "warnings": durability.problems + durability.warnings},
            "stuck_handlers": stuck,
        }

    async def _ask_redis(self) -> tuple[str, int | None]:
        """Whether it answers, and how many events wait to be fanned out."""
        try:
            async with asyncio.timeout(self._seconds):
                return "ok", await self._redis.llen(queue_key(EVENTS))
        except (RedisError, OSError) as error:
            return type(error).__name__, None


def age(oldest: float | None) -> float | None:
    """Seconds since a time; 0 if the clock has been put back since."""
    return None if oldest is None else round(max(0.0, time.time() - oldest), 1)
