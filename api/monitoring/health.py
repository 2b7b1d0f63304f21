"""The health report of `/readyz`: whether and where events can be kept, and what an acknowledgement is worth.

Whether they can be kept is said of the process that is asked; all else of all processes of this api, and of this host's
disk.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from prometheus_client import Gauge
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from api.acceptance.backlog import BacklogReader, age
from api.acceptance.intake import Intake
from api.lateness import Lateness
from api.metrics import Metrics
from api.monitoring.durability import WORTH_OF_THE_SPOOL, DurabilityWatch
from shared.handlers.replies import Replies
from shared.redis.queues import EVENTS, queue_key
from shared.runtime.blocks import LAST_BLOCKS_KEY, entry_of
from shared.runtime.tasks import cancel_and_wait
from shared.settings.config import Settings

SHOW_SECONDS = 1.0


@dataclass(eq=False)
class Health:
    """Reports whether this process is fit to be sent callbacks."""

    redis: AsyncRedis
    settings: Settings
    intake: Intake
    replies: Replies
    metrics: Metrics
    backlog: BacklogReader
    lateness: Lateness

    def __post_init__(self) -> None:
        self._seconds = self.settings.redis_timeout_ms / 1000
        self._durability = DurabilityWatch(self.redis, self.settings.min_replicas)
        self._shower: asyncio.Task[None] | None = None
        self._recorded_block: object = None

    def start(self) -> None:
        """Begin to read what an acknowledgement is worth, and to tell the other processes; on the event loop."""
        self._durability.latest()
        self._shower = asyncio.create_task(self._show_forever())

    async def close(self) -> None:
        """Stop."""
        await cancel_and_wait(self._shower)
        await self._durability.close()

    async def report(self) -> tuple[int, dict[str, Any]]:
        """The report, and its HTTP status.

        - not ready (503): events can be kept neither on Redis nor on the disk; or failing for longer than the setting.
        - failing: Redis refuses events until a person does something; they are kept while the disk has room.
        - spooling: events are kept on the disk.
        - degraded: a handler whose threads are all stuck answers with its fallback, one that blocks the event loop
          makes all others late, without a spool the next outage of Redis rejects callbacks, and a Redis with a problem
          may lose events, or will take none.
        """
        breaker, spool = self.intake.breaker, self.intake.spool
        outage = breaker.outage
        redis, lag = (outage.cause, None) if breaker.is_open else await self._ask_redis()
        is_away = any(self.metrics.living(self.metrics.redis_away).values())
        if not breaker.is_open and (redis != "ok" or is_away):
            breaker.probe_soon()  # the next report says what Redis answers to an event
        self._show()
        stuck, blocking = self._handlers(self.metrics.stuck), self._handlers(self.metrics.loop_blocked)
        waiting, oldest = await self._on_disk()
        can_keep = redis == "ok" or not spool.problem
        is_spooling = redis != "ok" or waiting or is_away
        durability = self._durability.latest()
        problems = [*filter(None, [self.intake.lost_writes.missing]), *durability.problems]
        has_no_spool = any(self.metrics.living(self.metrics.spool_failing).values())
        is_degraded = stuck or blocking or problems or has_no_spool
        is_failing_long = outage.refused_seconds > self.settings.refused_seconds
        return 200 if can_keep and not is_failing_long else 503, {
            "status": _status(can_keep, outage.refusal, is_spooling, is_degraded),
            "redis": redis,
            "problem": outage.refusal or None,
            "lag": lag,
            "spool": {"disk": spool.problem or "ok", "events": waiting, "oldest_seconds": age(oldest)},
            "durability": {
                "worth": WORTH_OF_THE_SPOOL if is_spooling else durability.worth,
                "warnings": problems + durability.warnings,
            },
            "stuck_handlers": stuck,
            "blocking_handlers": blocking,
        }

    def _handlers(self, gauge: Gauge) -> list[str]:
        """The handlers for which a gauge is 1 in any living process."""
        return [handler for (handler,), value in self.metrics.living(gauge).items() if value]

    async def _on_disk(self) -> tuple[int, float | None]:
        """How many events wait there, and since when; this process's own while the disk does not answer."""
        found = await self.backlog.read()
        spool = self.intake.spool
        return (found.events, found.oldest) if found else (spool.all_waiting, spool.oldest)

    async def _show_forever(self) -> None:
        while True:
            self._show()
            self._durability.latest()  # a report reads what was found last: it must not be of an hour ago
            await self._record_block()
            await asyncio.sleep(SHOW_SECONDS)

    async def _record_block(self) -> None:
        """Let `deskbell doctor` know of the last block."""
        block = self.lateness.last_block
        if block and block is not self._recorded_block:
            with suppress(RedisError, OSError):  # it is tried again
                async with asyncio.timeout(self._seconds):
                    await self.redis.hset(LAST_BLOCKS_KEY, *entry_of(block))
                self._recorded_block = block

    def _show(self) -> None:
        """Let the other processes, and `/metrics`, know of the handlers that are stuck or block here."""
        stuck, blocking = self.replies.saturated, self.lateness.blocking
        for handler in self.metrics.handlers:
            self.metrics.stuck.labels(handler).set(handler in stuck)
        for handler in ("", *self.metrics.handlers):
            self.metrics.loop_blocked.labels(handler).set(handler in blocking)

    async def _ask_redis(self) -> tuple[str, int | None]:
        """Whether it answers, and how many events wait to be fanned out."""

        async def ask() -> int:
            async with asyncio.timeout(self._seconds):
                return await self.redis.llen(queue_key(EVENTS))

        try:
            return "ok", await self.lateness.retry_if_blocked(ask, self._seconds)
        except (RedisError, OSError) as error:
            return type(error).__name__, None


def _status(can_keep: bool, is_failing: object, is_spooling: object, is_degraded: object) -> str:
    if not can_keep or is_failing:
        return "failing" if can_keep else "not ready"
    return "spooling" if is_spooling else "degraded" if is_degraded else "ready"
