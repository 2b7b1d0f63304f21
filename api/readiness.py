"""`/readyz`: whether events can be kept, and where; and what an acknowledgement is worth.

Whether they can is about the process that is asked. The rest is about all processes of this api, and all that waits on
this host's disk.
"""

import asyncio
import time
from contextlib import suppress
from typing import Any

from prometheus_client import Gauge
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from api.backlog import Backlog
from api.durability import WORTH_OF_THE_SPOOL, DurabilityWatch
from api.intake import Intake
from api.lateness import Lateness
from api.metrics import Metrics
from shared.blocks import LAST_BLOCKS_KEY, entry_of
from shared.config import Settings
from shared.endings import end
from shared.queues import EVENTS, queue_key
from shared.replies import Replies

_SHOW_SECONDS = 1.0


class Readiness:
    """Answers whether this process is fit to be sent callbacks."""

    def __init__(
        self,
        redis: AsyncRedis,
        settings: Settings,
        intake: Intake,
        replies: Replies,
        metrics: Metrics,
        backlog: Backlog,
        lateness: Lateness,
    ) -> None:
        self._redis = redis
        self._seconds = settings.redis_timeout_ms / 1000
        self._refused_seconds = settings.refused_seconds
        self._intake = intake
        self._replies = replies
        self._metrics = metrics
        self._backlog = backlog
        self._lateness = lateness
        self._durability = DurabilityWatch(redis, settings.min_replicas)
        self._shower: asyncio.Task[None] | None = None
        self._noted: object = None

    def start(self) -> None:
        """Begin to read what an acknowledgement is worth, and to tell the other processes; on the event loop."""
        self._durability.look()
        self._shower = asyncio.create_task(self._show_forever())

    async def close(self) -> None:
        """Stop."""
        await end(self._shower)
        await self._durability.close()

    async def look(self) -> tuple[int, dict[str, Any]]:
        """An HTTP status and what there is to say.

        Events that go to the spool are kept: not ready is who can keep none. What is worse, but better than no answer,
        is degraded: a handler whose threads are all stuck answers with its fallback, one that blocks the event loop
        makes all others late, without a spool the next outage of Redis refuses callbacks, and a Redis with a problem
        may lose events, or will take none. What Redis will refuse until a person does something is failing: events are
        kept, and no longer than the disk has room. It is not ready when that is so for longer than the setting.
        """
        state = self._intake.state
        redis, lag = (state.redis, None) if state.redis != "ok" else await self._ask_redis()
        is_away = any(self._metrics.living(self._metrics.redis_away).values())
        if redis != state.redis or (is_away and state.redis == "ok"):
            self._intake.doubt_redis()  # who looks next is told what it says to an event
        self._show()
        stuck, blocking = self._handlers(self._metrics.stuck), self._handlers(self._metrics.loop_blocked)
        waiting, oldest = await self._on_disk()
        can_keep = redis == "ok" or state.spool == "ok"
        is_spooling = redis != "ok" or waiting or is_away
        durability = self._durability.look()
        problems = [*filter(None, [state.forgotten]), *durability.problems]
        has_no_spool = any(self._metrics.living(self._metrics.spool_failing).values())
        is_degraded = stuck or blocking or problems or has_no_spool
        is_late = state.refused_seconds > self._refused_seconds
        return 200 if can_keep and not is_late else 503, {
            "status": _status(can_keep, state.refusal, is_spooling, is_degraded),
            "redis": redis,
            "problem": state.refusal or None,
            "lag": lag,
            "spool": {"disk": state.spool, "events": waiting, "oldest_seconds": age(oldest)},
            "durability": {
                "worth": WORTH_OF_THE_SPOOL if is_spooling else durability.worth,
                "warnings": problems + durability.warnings,
            },
            "stuck_handlers": stuck,
            "blocking_handlers": blocking,
        }

    def _handlers(self, gauge: Gauge) -> list[str]:
        """The handlers of which a gauge tells 1, in any process that lives."""
        return [handler for (handler,), value in self._metrics.living(gauge).items() if value]

    async def _on_disk(self) -> tuple[int, float | None]:
        """How many events wait there, and since when; this process's own while the disk does not answer."""
        found = await self._backlog.read()
        state = self._intake.state
        return (found.level.events, found.level.oldest) if found else (state.waiting, state.oldest)

    async def _show_forever(self) -> None:
        while True:
            self._show()
            self._durability.look()  # so that who asks for the first time in an hour is not told of an hour ago
            await self._note_block()
            await asyncio.sleep(_SHOW_SECONDS)

    async def _note_block(self) -> None:
        """Let `deskbell doctor` know of the last block."""
        block = self._lateness.last_block
        if block and block is not self._noted:
            with suppress(RedisError, OSError):  # it is tried again
                async with asyncio.timeout(self._seconds):
                    await self._redis.hset(LAST_BLOCKS_KEY, *entry_of(block))
                self._noted = block

    def _show(self) -> None:
        """Let the other processes, and `/metrics`, know of the handlers that are stuck or block here."""
        stuck, blocking = self._replies.saturated, self._lateness.blocking
        for handler in self._metrics.handlers:
            self._metrics.stuck.labels(handler).set(handler in stuck)
        for handler in ("", *self._metrics.handlers):
            self._metrics.loop_blocked.labels(handler).set(handler in blocking)

    async def _ask_redis(self) -> tuple[str, int | None]:
        """Whether it answers, and how many events wait to be fanned out."""

        async def ask() -> int:
            async with asyncio.timeout(self._seconds):
                return await self._redis.llen(queue_key(EVENTS))

        try:
            return "ok", await self._lateness.fairly(ask, self._seconds)
        except (RedisError, OSError) as error:
            return type(error).__name__, None


def _status(can_keep: bool, is_failing: object, is_spooling: object, is_degraded: object) -> str:
    if not can_keep or is_failing:
        return "failing" if can_keep else "not ready"
    return "spooling" if is_spooling else "degraded" if is_degraded else "ready"


def age(oldest: float | None) -> float | None:
    """Seconds since a time; 0 if the clock has been put back since."""
    return None if oldest is None else round(max(0.0, time.time() - oldest), 1)
