"""Drains the spool to Redis, in order, and probes Redis while the breaker is open.

1. While the breaker is open a single event of the spool is sent now and then, at most a second apart (the half-open
   probe): what Redis says to it, it would say to all. With an empty spool a call without events asks the same, and so
   it does once at the start.
2. Redis takes it: the breaker closes, and the spool is drained in order, as many events in a call as the intake sends.
   A call in doubt is resolved first: its events are sent only if Redis had not taken them.
3. Events that come meanwhile queue up behind those of the spool. When few are left the intake waits for the last of
   them, and sends to Redis again. Under a load that does not let it come to that within a minute, new events go to
   Redis directly, and their order is given up.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from api.acceptance.accept import MOST_EVENTS, AcceptScript, Entry, Kept, SequenceNumber
from api.acceptance.breaker import Breaker
from api.acceptance.forgotten import forgotten_among
from api.acceptance.spool import Batch, Spool
from api.metrics import DrainResult, Metrics
from shared.logs import get_log
from shared.runtime.tasks import cancel_and_wait
from shared.settings.config import Settings

_Result = TypeVar("_Result")

_SHORTEST_SECONDS = 0.05
_LONGEST_SECONDS = 1.0
IDLE_SECONDS = 5.0
DISK_SECONDS = 1.0
_IN_ORDER_SECONDS = 60.0


class Drainer:
    """Sends Redis the events of the spool."""

    def __init__(
        self,
        redis: AsyncRedis,
        settings: Settings,
        script: AcceptScript,
        spool: Spool,
        breaker: Breaker,
        metrics: Metrics,
    ) -> None:
        self._redis = redis
        self._script = script
        self._spool = spool
        self._breaker = breaker
        self._metrics = metrics
        self._patience = settings.redis_timeout_ms / 2000  # seconds that new events may wait for the last of the spool
        self._log = get_log()
        self._probe = SequenceNumber.of_new_producer()
        self._began: float | None = None
        self._drained: Counter[str] = Counter()
        self._stepped = asyncio.Event()
        self._run: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._run = asyncio.create_task(self._run_forever())

    async def close(self) -> None:
        """Stop; what waits stays in the spool."""
        await cancel_and_wait(self._run)

    async def must_queue_up(self) -> bool:
        """Whether new events must go to the spool though Redis takes events, to keep their order.

        Waits a moment for the last events of the spool, if few are left.
        """
        if self._breaker.is_open or self._breaker.seconds > _IN_ORDER_SECONDS:
            return False
        if self._spool.waiting <= MOST_EVENTS and not self._spool.problem:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    while self._spool.waiting and not self._breaker.is_open:
                        self._stepped.clear()
                        await self._stepped.wait()
        return bool(self._spool.waiting)

    async def _run_forever(self) -> None:
        pause = _SHORTEST_SECONDS
        while True:
            try:
                went_well = await self._step()
            except Exception as error:  # noqa: BLE001 - a defect of Deskbell's must not end the draining
                self._log.error("drainer_failed", error=error)
                went_well = False
            self._stepped.set()
            if went_well:
                pause = _SHORTEST_SECONDS
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_SECONDS)

    async def _step(self) -> bool:
        """Probe, drain a batch, or idle; whether that went well."""
        if self._spool.problem:
            await self._spool.check()
        must_ask = self._breaker.is_open or self._breaker.is_probe_due
        if not must_ask and not self._spool.all_waiting:
            await self._idle()
            return True
        batch = await self._patiently(self._spool.first(1 if self._breaker.is_open else MOST_EVENTS))
        if batch is None and not must_ask:
            return False
        self._breaker.is_probe_due = False
        try:
            if self._breaker.is_open:
                await self._script.lost_writes.check()
            in_doubt, results = await self._send(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, Redis takes nothing
            self._breaker.trip(error)
            await self._script.reconnect()
            return False
        self._breaker.close()
        return batch is None or await self._remove(batch, in_doubt, results)

    async def _idle(self) -> None:
        await self._breaker.wait_for_change(IDLE_SECONDS)
        await self._patiently(self._spool.adopt())
        with suppress(RedisError, OSError):  # the next event that is sent finds out
            await self._script.lost_writes.check()

    async def _send(self, batch: Batch | None) -> "tuple[SequenceNumber | None, Counter[str]]":
        """Send a batch, or ask Redis without one.

        Returns:
            The call in doubt that had taken the batch, if one had; and what became of the events, counted.
        """
        if batch is None:
            self._probe = self._probe.next()
            await self._script.accept([], self._probe)
            return None, Counter()
        first, last = batch.rows[0], batch.rows[-1]
        if first.in_doubt and await self._script.resolve(first.in_doubt):
            return first.in_doubt, Counter()
        forgotten = await forgotten_among(self._redis, [row.entry for row in batch.rows])
        rows = [row for row in batch.rows if row.entry.event_id not in forgotten]
        entries = [row.entry for row in rows]
        numbers = [row.number for row in rows]
        found = await self._script.accept(entries, SequenceNumber(first.epoch, last.number), numbers=numbers)
        results: Counter[str] = Counter(map(self._result, entries, found))
        results["forgotten"] += len(forgotten)
        return None, results

    def _result(self, entry: Entry, before: Kept | None) -> DrainResult:
        """What became of an event of the spool, in a word."""
        if before is None:
            return "sent"
        if before.event_id == entry.event_id:
            return "taken_before"
        self._log.warning("spooled_duplicate", event_id=entry.event_id, first=before.event_id)
        return "duplicate"

    async def _remove(self, batch: Batch, in_doubt: SequenceNumber | None, results: "Counter[str]") -> bool:
        """Remove from the spool what Redis has; whether the disk did so."""
        if self._began is None:
            self._begin()
        removed = await self._patiently(self._spool.remove(batch, in_doubt))
        if removed is None:
            return False
        if in_doubt:
            results["taken_before"] += removed
        for result, count in results.items():
            self._metrics.drained.labels(result).inc(count)
        self._drained += results
        if not self._spool.all_waiting:
            self._end()
        return True

    def _begin(self) -> None:
        self._began = asyncio.get_running_loop().time()
        self._log.info("drain_begins", events=self._spool.all_waiting)

    def _end(self) -> None:
        seconds = asyncio.get_running_loop().time() - (self._began or 0)
        self._log.info("drained", seconds=round(seconds, 3), **self._drained)
        self._began, self._drained = None, Counter()

    async def _patiently(self, call: Awaitable[_Result]) -> _Result | None:
        """What a call of the spool returns; None when the disk fails, or hangs: Redis must not wait for it."""
        try:
            async with asyncio.timeout(DISK_SECONDS):  # Python 3.11's `wait_for` may swallow a cancellation
                return await call
        except Exception as error:  # noqa: BLE001 - it is tried again
            self._spool.record_failure(error)
            return None
