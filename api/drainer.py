"""The breaker in front of Redis, and the way of spooled events to it.

1. A call of Redis fails, whatever the reason: the breaker opens at once, and events go to the spool untried.
2. One event of the spool is sent now and then, at most a second apart: what Redis says to it, it would say to all. With
   an empty spool a call without events asks the same, and so it does once at the start.
3. It is taken: the breaker closes, and the spool is drained in order, as many events in a call as the intake sends.
   A call in doubt is settled first: its events are sent only if Redis had not taken them.
4. Events that come meanwhile queue up behind those of the spool. When few are left the intake waits for the last of
   them, and sends to Redis again. A load that does not let it come to that within a minute goes to Redis directly
   then, and its order is given up.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from redis.exceptions import RedisError

from api.acceptance import MOST_EVENTS, Acceptance, Entry, Mark, Remembered
from api.metrics import DrainResult, Metrics
from api.spool import Head, Spool
from shared.endings import end
from shared.events import new_event_id
from shared.logs import get_log
from shared.outage import Outage

_Result = TypeVar("_Result")

_SHORTEST_SECONDS = 0.05
_LONGEST_SECONDS = 1.0
_IDLE_SECONDS = 5.0
_DISK_SECONDS = 1.0
_CATCH_UP_SECONDS = 60.0


class Drainer:
    """Knows whether Redis takes events, and sends it those of the spool.

    Attributes:
        outage: why the breaker is open, and since when.
    """

    def __init__(self, acceptance: Acceptance, spool: Spool, metrics: Metrics, patience: float) -> None:
        """Make a drainer.

        Args:
            acceptance: sends to Redis.
            spool: what is sent.
            metrics: counts what was.
            patience: seconds that new events may wait for the last of the spool.
        """
        self.outage = Outage()
        self._acceptance = acceptance
        self._spool = spool
        self._metrics = metrics
        self._patience = patience
        self._log = get_log()
        self._probe = Mark(new_event_id(time.time()), 0)
        self._since = 0.0
        self._has_asked = False
        self._began: float | None = None
        self._drained: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._turned = asyncio.Event()
        self._run: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._since = asyncio.get_running_loop().time()
        self._run = asyncio.create_task(self._run_forever())

    async def close(self) -> None:
        """Stop; what waits stays in the spool."""
        await end(self._run)

    @property
    def is_open(self) -> bool:
        """Whether Redis takes no events."""
        return bool(self.outage.cause)

    async def has_caught_up(self) -> bool:
        """Whether new events may go to Redis: none wait that they should queue up behind, after a moment's patience."""
        if self._is_late:
            return True
        if self._spool.waiting <= MOST_EVENTS and not self._spool.problem:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    while self._spool.waiting and not self.is_open:
                        self._turned.clear()
                        await self._turned.wait()
        return not self._spool.waiting

    @property
    def _is_late(self) -> bool:
        return asyncio.get_running_loop().time() > self._since + _CATCH_UP_SECONDS

    def open(self, error: BaseException) -> None:
        """Redis has not taken a call: stop trying."""
        if self.outage.note(error):
            self._since = asyncio.get_running_loop().time()
            self._metrics.redis_away.set(1)
        self._wake.set()

    def ask(self) -> None:
        """Ask Redis soon whether it takes events, though none waits for it."""
        self._has_asked = False
        self._wake.set()

    async def _run_forever(self) -> None:
        pause = _SHORTEST_SECONDS
        while True:
            try:
                went_well = await self._turn()
            except Exception as error:  # noqa: BLE001 - a defect of ours must not end the draining
                self._log.error("drainer_failed", error=error)
                went_well = False
            self._turned.set()
            if went_well:
                pause = _SHORTEST_SECONDS
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_SECONDS)

    async def _turn(self) -> bool:
        """Probe, drain a little, or rest; whether that went well."""
        if self._spool.problem:
            await self._spool.check()
        if self._has_asked and not self.is_open and not self._spool.all_waiting:
            await self._rest()
            return True
        head = await self._head()
        if self._has_asked and head is None and not self.is_open:
            return False
        self._has_asked = True
        try:
            if self.is_open:
                await self._acceptance.acknowledged.check()
            offered = await self._offer(head)
        except Exception as error:  # noqa: BLE001 - whatever it is, Redis takes nothing
            self.open(error)
            await self._acceptance.reconnect()
            return False
        self._close_breaker()
        return head is None or await self._forget(head, offered)

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_IDLE_SECONDS):
                await self._wake.wait()
        self._wake.clear()
        await self._patiently(self._spool.adopt())
        with suppress(RedisError, OSError):  # whoever keeps an event finds out
            await self._acceptance.acknowledged.check()

    async def _head(self) -> Head | None:
        """What is sent next; None when nothing waits, or the disk does not hand it out."""
        return await self._patiently(self._spool.head(1 if self.is_open else MOST_EVENTS))

    async def _offer(self, head: Head | None) -> "_Offered":
        """Send the first events that wait.

        Raises:
            Exception: Redis did not take them.
        """
        if head is None:
            self._probe = Mark(self._probe.sender, self._probe.number + 1)
            await self._acceptance.send([], self._probe)
            return _Offered()
        first, last = head.rows[0], head.rows[-1]
        if first.doubt and await self._acceptance.settle(first.doubt):
            return _Offered(taken=first.doubt)
        entries = [row.entry for row in head.rows]
        numbers = [row.number for row in head.rows]
        found = await self._acceptance.send(entries, Mark(first.epoch, last.number), numbers=numbers)
        return _Offered(results=Counter(map(self._result, entries, found)))

    def _result(self, entry: Entry, before: Remembered | None) -> DrainResult:
        """What became of an event of the spool, in a word."""
        if before is None:
            return "sent"
        if before.event_id == entry.event_id:
            return "taken_before"
        self._log.warning("spooled_duplicate", event_id=entry.event_id, first=before.event_id)
        return "duplicate"

    async def _forget(self, head: Head, offered: "_Offered") -> bool:
        if self._began is None:
            self._begin()
        if offered.taken:
            removed = await self._patiently(self._spool.forget_taken(head, offered.taken))
            offered.results["taken_before"] += removed or 0
        else:
            removed = await self._patiently(self._spool.forget(head))
        if removed is None:
            return False
        for result, count in offered.results.items():
            self._metrics.drained.labels(result).inc(count)
        self._drained += offered.results
        if not self._spool.all_waiting:
            self._end()
        return True

    def _close_breaker(self) -> None:
        if self.outage.end():
            self._since = asyncio.get_running_loop().time()
            self._metrics.redis_away.set(0)

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
            async with asyncio.timeout(_DISK_SECONDS):  # Python 3.11's `wait_for` may swallow a cancellation
                return await call
        except Exception as error:  # noqa: BLE001 - it is tried again
            self._spool.note(error)
            return None


@dataclass(slots=True)
class _Offered:
    """What Redis made of the first events that wait: each by result, or the call in doubt that it had taken."""

    results: "Counter[str]" = field(default_factory=Counter)
    taken: Mark | None = None
