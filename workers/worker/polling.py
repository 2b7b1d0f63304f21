"""Polling with wake-ups: when a worker asks its queues for jobs, and in which order.

1. An idle worker learns at once that a job has come, by a blocking read that takes nothing. Clients that enqueue, RQ's
   own among them, only push ids onto a list. `BLMOVE list list LEFT LEFT` waits for the first of them, takes it from
   the head and puts it back there in one step: nothing changes, and every worker that waits wakes.
2. Jobs that a limit holds back, and a Redis that is away, are asked for again after a pause with backoff.
3. It asks again as soon as it has room for what it has left.
4. Queues have strict priority, with a turn for the others, so that none starves.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count

from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from shared.logs import get_log
from shared.redis.queues import EVENTS, queue_key
from shared.runtime.tasks import cancel_and_wait
from workers.lease import Lease
from workers.worker.execution import Execution
from workers.worker.leases import MOST_AT_ONCE, MOST_EVENTS, Claimed, Leases

WAIT_SECONDS = 5
_PAUSE_SECONDS = 0.5
_TURN = 8
_HELD_SECONDS = 0.05  # before jobs that something holds back are asked for again; doubled each time
_LONGEST_HELD_SECONDS = 0.5
_MARGIN_SECONDS = 0.001
_SUSPENDED_SECONDS = 1.0
_SHORTEST_OUTAGE_SECONDS = 0.05
_LONGEST_OUTAGE_SECONDS = 2.0


def polling_orders(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """The order for each claim: that given, except that one claim in eight begins with a later queue, each in turn."""
    for claim in count(1):
        first = 0
        if claim % _TURN == 0 and len(names) > 1:
            first = 1 + claim // _TURN % (len(names) - 1)
        yield [*names[first:], *names[:first]]


class Pauses:
    """How many seconds a worker pauses before it claims again."""

    def __init__(self) -> None:
        self._held = _HELD_SECONDS
        self._outage = 0.0

    def after(self, claimed: Claimed, *, has_room: bool) -> float:
        """The pause after a claim: until a rate or a breaker lets go of jobs, or, at most, a slot may be free."""
        if claimed.suspended:
            return _SUSPENDED_SECONDS
        if not (has_room and any(claimed.lengths.values())):
            return WAIT_SECONDS
        seconds, self._held = self._held, min(self._held * 2, _LONGEST_HELD_SECONDS)
        return seconds if claimed.opens_in is None else min(seconds, claimed.opens_in + _MARGIN_SECONDS)

    def after_error(self) -> float:
        """The pause after a claim that failed, longer each time."""
        self._outage = min(max(self._outage * 2, _SHORTEST_OUTAGE_SECONDS), _LONGEST_OUTAGE_SECONDS)
        return self._outage

    def reset(self, claimed: Claimed) -> None:
        """A claim was answered; when it has taken anything, nothing is held back for long."""
        self._outage = 0.0
        if claimed.leases or claimed.missing:
            self._held = _HELD_SECONDS


@dataclass(eq=False)
class Polling:
    """Claims jobs when there may be some, and room for them.

    Attributes:
        claimed: the leases of jobs that are not under way yet.
        must_claim: whether there may be jobs that the last claim did not see.
    """

    under_way: Mapping[str, Execution]
    leases: Leases
    names: Sequence[str]
    concurrency: int

    def __post_init__(self) -> None:
        self.claimed: list[Lease] = []
        self.must_claim = True
        self.pauses = Pauses()
        self._passed_by: tuple[Sequence[str], Sequence[str]] = ((), ())
        self._order = polling_orders(self.names)
        self._last = Claimed([], suspended=False, held=0, lengths={}, missing=[], opens_in=None)

    def pass_by(self, type_slugs: Sequence[str], queues: Sequence[str]) -> None:
        """Leave the jobs of types, and whole queues, to other workers."""
        if (type_slugs, queues) != self._passed_by:
            self._passed_by = (type_slugs, queues)
            self.leases.attempts_text = json.dumps(self.leases.attempts | dict.fromkeys(type_slugs, 0))
            self.must_claim = True

    async def claim(self) -> Claimed:
        """Claim, or say again what the last claim left."""
        if not (self.must_claim or self._has_work(self._last)):
            return self._last
        self.must_claim = False
        jobs, events = self._room
        order = [name for name in next(self._order) if name not in self._passed_by[1]]
        claimed = await self.leases.claim(order, jobs, events)
        self.claimed += claimed.leases
        self._last = replace(claimed, leases=[], missing=[])
        self.pauses.reset(claimed)
        for job_id in claimed.missing:
            get_log().error("job_missing", job_id=job_id.decode(errors="replace")[:100])
        return claimed

    def take(self) -> list[Lease]:
        """The leases that were claimed, to be started."""
        taken, self.claimed = self.claimed, []
        return taken

    def pause(self, claimed: Claimed) -> float:
        """The pause after a claim."""
        return self.pauses.after(claimed, has_room=self._has_work(claimed))

    def _has_work(self, claimed: Claimed) -> bool:
        """Whether there is room for what a claim has left."""
        return any(claimed.lengths.values()) and (self._room[0] > 0 or claimed.lengths.get(EVENTS, 0) > 0)

    @property
    def _room(self) -> tuple[int, int]:
        """How many jobs and events may be claimed at once; events take no slots, or slow jobs would hold them up.

        Half of all, so that one half can start while Redis acks the other, and claims. What is being acked has left.
        """
        held = [bool(each.fan_out) for each in self.under_way.values() if each.state != "acking"]
        held += [lease.queue == EVENTS for lease in self.claimed]
        events = sum(held)
        free = self.concurrency - len(held) + events
        half = min((self.concurrency + 1) // 2, MOST_AT_ONCE)
        return max(0, min(free, half)), max(0, min(2 * MOST_EVENTS - events, MOST_EVENTS))


class Wakeup:
    """An event that ends a worker's sleep early: there is something to ack or to claim, or the worker is to end."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """End the sleep, or the next one."""
        self._event.set()

    async def sleep(self, seconds: float) -> bool:
        """Sleep until woken, but no longer than this; whether it was woken."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        was_woken = self._event.is_set()
        self._event.clear()
        return was_woken


class QueueWakeups:
    """Blocking reads, one for each queue that was found empty."""

    def __init__(self, redis: AsyncRedis, wake: Callable[[], None]) -> None:
        self._redis = redis
        self._wake = wake
        self._waiting: dict[str, asyncio.Task[None]] = {}

    def watch(self, queues: Iterable[str]) -> None:
        """Wait for jobs on queues, where that is not done yet."""
        for name in queues:
            if name not in self._waiting:
                self._waiting[name] = asyncio.create_task(self._wait(name))

    async def close(self) -> None:
        """Stop waiting."""
        await cancel_and_wait(*self._waiting.values())

    async def _wait(self, name: str) -> None:
        key = queue_key(name)
        try:
            while not await self._redis.blmove(key, key, WAIT_SECONDS, "LEFT", "LEFT"):
                pass
        except RedisError:
            await asyncio.sleep(_PAUSE_SECONDS)  # the worker itself says that Redis is away
        finally:
            self._waiting.pop(name, None)
            self._wake()
