"""What became of callbacks and jobs, counted on Redis by minute, by ten minutes and ever: history without Prometheus.

Each process counts for itself and adds its counts to three hashes every few seconds, in one transaction. A count whose
write is in doubt is not written again: a process that is killed, or an outage, loses some seconds, and doubles none.
Minutes are those of Redis' clock: a host whose own is wrong counts with the others.
"""

import asyncio
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from operator import add
from typing import Any, Literal

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import BusyLoadingError, NoPermissionError, OutOfMemoryError, ReadOnlyError, RedisError

from shared.keys import DESKBELL
from shared.logs import get_log
from shared.redis.clock import seconds_ahead
from shared.runtime.tasks import cancel_and_wait

MINUTE_KEY = f"{DESKBELL}minute:"
"""Prefix of the counts of a minute, behind which stands its Unix minute; kept for 8 hours."""

COARSE_KEY = f"{DESKBELL}minutes:"
"""Prefix of the counts of ten minutes, behind which stands their first Unix minute; kept for 72 hours."""

TOTALS_KEY = f"{DESKBELL}totals"
"""The counts since Redis has them."""

WRITE_SECONDS = 5.0
COARSE_MINUTES = 10
FINE_SECONDS = 8 * 3600
COARSE_SECONDS = 72 * 3600

BOUNDS_MS = (
    *(1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700),
    *(1000, 1500, 2000, 5000, 20_000, 60_000),
)
"""The upper bounds of a histogram's buckets, in milliseconds; a last bucket has what took longer."""

Kind = Literal["callback", "refused", "job", "lease"]

_WROTE_NOTHING = (OutOfMemoryError, ReadOnlyError, NoPermissionError, BusyLoadingError)
"""With these Redis refuses a transaction before it begins."""

_MOST_NEW = 100_000
_MOST_FIELDS = 20_000  # while Redis is away
_MOST_NAMES = 10_000  # of fields that are remembered
_SEPARATOR = "\t"  # which no name has
_HISTOGRAMS = ("ms", "waited_ms", "whole_ms")
_NO_BUCKETS = (0,) * (len(BOUNDS_MS) + 1)
_BUCKETS = {str(number): number for number in range(len(_NO_BUCKETS))}


@dataclass(frozen=True, slots=True)
class _Outcome:
    at: float
    kind: Kind
    name: str
    outcome: str
    ms: float | None = None
    waited_ms: float | None = None
    whole_ms: float | None = None
    cause: str = ""
    times: int = 1


@dataclass(slots=True)
class Tally:
    """What became of the callbacks of a node, or the jobs of a type.

    Attributes:
        outcomes: how many had each outcome.
        ms: how many took so long, by bucket: a callback from its first byte to its answer, a job's attempt.
        waited_ms: by bucket, how long after the callback a job's first attempt began; of a callback nothing.
        whole_ms: by bucket, how long after the callback a job was done; of a callback nothing.
        sums: the milliseconds of each histogram in sum.
        causes: how many failed for a kind of cause, by outcome and cause.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    ms: list[int] = field(default_factory=lambda: list(_NO_BUCKETS))
    waited_ms: list[int] = field(default_factory=lambda: list(_NO_BUCKETS))
    whole_ms: list[int] = field(default_factory=lambda: list(_NO_BUCKETS))
    sums: Counter[str] = field(default_factory=Counter)
    causes: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """How many there were."""
        return self.outcomes.total()

    def add(self, other: "Tally") -> None:
        """Add what another has counted."""
        for name in ("outcomes", "sums", "causes"):
            counts = getattr(self, name)
            for each, count in getattr(other, name).items():
                counts[each] += count
        for name in _HISTOGRAMS:
            setattr(self, name, list(map(add, getattr(self, name), getattr(other, name))))


Tallies = dict[tuple[Kind, str], Tally]
"""By kind and name: a callback's is its node, that of one that was refused its cause, a job's its type."""


class History:
    """Counts what this process does, and adds it to what Redis has."""

    def __init__(self) -> None:
        self._new: deque[_Outcome] = deque(maxlen=_MOST_NEW)
        self._unwritten: dict[int, Counter[str]] = {}
        self._ahead = 0.0
        self._fails = False
        self._writing: asyncio.Task[None] | None = None

    def record(
        self,
        kind: Kind,
        name: str,
        outcome: str,
        ms: float,
        received_ms: float | None = None,
        attempt: int = 0,
        cause: str = "",
    ) -> None:
        """One callback or attempt has ended; from any thread.

        It took `ms` milliseconds. Of a job, its callback came at `received_ms`, in Unix milliseconds, this is the
        attempt of that number, and `cause` is the kind of what it failed for, one of few words.
        """
        now = time.time()
        whole = None if received_ms is None else max(0.0, now * 1000 - received_ms)
        waited = max(0.0, whole - ms) if whole is not None and attempt == 1 else None
        done = whole if outcome == "done" else None
        self._new.append(_Outcome(now, kind, name, outcome, ms, waited, done, cause))

    def count(self, kind: Kind, name: str, outcome: str, times: int) -> None:
        """Something has come about so many times, of which nothing else is counted."""
        if times:
            self._new.append(_Outcome(time.time(), kind, name, outcome, times=times))

    async def write(self, redis: AsyncRedis) -> None:
        """Add what is new to Redis; while it is away that is kept, up to some thousand counts."""
        if not (self._new or self._unwritten):
            return
        is_there = await self._look_at_clock(redis)  # an outage is noticed before anything is in doubt
        self._collect()
        if not is_there:
            return
        taken, self._unwritten = self._unwritten, {}
        try:
            await _add(redis, taken)
        except (RedisError, OSError) as error:
            if isinstance(error, _WROTE_NOTHING):
                self._unwritten = taken
            if not self._fails:
                get_log().warning("history_not_written", error=error)
            self._fails = True
        else:
            self._fails = False

    async def _look_at_clock(self, redis: AsyncRedis) -> bool:
        """See how far this host's clock is ahead of Redis'; whether Redis answers."""
        with suppress(RedisError, OSError):
            await redis.ping()  # which a Redis that loads refuses, other than TIME
            self._ahead = await seconds_ahead(redis)
            return True
        return False

    def start(self, redis: AsyncRedis) -> None:
        """Begin to write every few seconds; on the running event loop."""
        self._writing = asyncio.create_task(self._write_forever(redis))

    async def close(self, redis: AsyncRedis) -> None:
        """Write what is left, and stop."""
        await cancel_and_wait(self._writing)
        await self.write(redis)

    async def _write_forever(self, redis: AsyncRedis) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.write(redis)

    def _collect(self) -> None:
        for _ in range(len(self._new)):
            each = self._new.popleft()
            counts = self._unwritten.setdefault(int((each.at - self._ahead) // 60), Counter())
            for name, count in _fields(each):
                counts[name] += count
        while len(self._unwritten) > 1 and sum(map(len, self._unwritten.values())) > _MOST_FIELDS:
            del self._unwritten[min(self._unwritten)]


def read_history(connection: Redis, since: float, until: float) -> dict[float, Tallies]:
    """What was counted in a period of Unix seconds, by the second at which each minute, or each ten minutes, began.

    Minutes are given as far back as they are kept, ten minutes beyond that.
    """
    fine_since = time.time() - FINE_SECONDS
    minute, step = int(since // 60), 1
    if since < fine_since:
        minute, step = minute - minute % COARSE_MINUTES, COARSE_MINUTES
    prefix = MINUTE_KEY if step == 1 else COARSE_KEY
    minutes = range(minute, int(until // 60) + 1, step)
    with connection.pipeline(transaction=False) as pipeline:
        for each in minutes:
            pipeline.hgetall(f"{prefix}{each}")
        return {each * 60.0: read_tallies(counts) for each, counts in zip(minutes, pipeline.execute(), strict=True)}


def read_outcomes(connection: Redis, since: float, until: float) -> dict[float, dict[tuple[Kind, str], Counter[str]]]:
    """How many had each outcome, by the second at which each minute began; within the last hours, and soon read."""
    minutes = range(int(since // 60), int(until // 60) + 1)
    with connection.pipeline(transaction=False) as pipeline:
        for each in minutes:
            pipeline.hgetall(f"{MINUTE_KEY}{each}")
        written = pipeline.execute()
    found = {}
    for each, counts in zip(minutes, written, strict=True):
        tallies = read_tallies({name: count for name, count in counts.items() if b"\toutcome\t" in name})
        found[each * 60.0] = {name: tally.outcomes for name, tally in tallies.items()}
    return found


def read_tallies(counts: Mapping[Any, Any]) -> Tallies:
    """The counts that HGETALL gives of one of these keys; a field that somebody else has written is left out."""
    found: Tallies = {}
    for written, count in counts.items():
        place = _place(written)
        if place is None or not count.isdigit():
            continue
        whose, what, which = place
        tally = found.get(whose)
        if tally is None:
            tally = found[whose] = Tally()
        getattr(tally, what)[which] += int(count)
    return found


@lru_cache(_MOST_NAMES)
def _place(written: bytes) -> tuple[tuple[Any, str], str, Any] | None:
    """Whose tally a field belongs to, which attribute and which of it; the same fields come again in each minute."""
    parts = written.decode(errors="replace").split(_SEPARATOR)
    if len(parts) != 4:  # noqa: PLR2004 - kind, name, what is counted, which of it
        return None
    kind, name, what, which = parts
    if what == "outcome":
        return (kind, name), "outcomes", which
    if what == "cause" and ":" in which:
        return (kind, name), "causes", tuple(which.split(":", 1))
    if what in _HISTOGRAMS and which in _BUCKETS:
        return (kind, name), what, _BUCKETS[which]
    return ((kind, name), "sums", what) if what in _HISTOGRAMS and which == "sum" else None


def total(tallies: Iterable[Tally]) -> Tally:
    """All of them together."""
    found = Tally()
    for tally in tallies:
        found.add(tally)
    return found


def quantile_ms(buckets: Iterable[int], share: float) -> float | None:
    """The upper bound of the bucket that a share of all, 0 to 1, lies below; None when there are none."""
    counts = list(buckets)
    wanted, seen = share * sum(counts), 0
    if not sum(counts):
        return None
    for bound, count in zip((*BOUNDS_MS, float("inf")), counts, strict=True):
        seen += count
        if seen >= wanted:
            return bound
    return float("inf")


async def _add(redis: AsyncRedis, taken: Mapping[int, Counter[str]]) -> None:
    async with redis.pipeline(transaction=True) as pipeline:
        for minute, counts in taken.items():
            coarse = minute - minute % COARSE_MINUTES
            for key, seconds in (
                (f"{MINUTE_KEY}{minute}", FINE_SECONDS),
                (f"{COARSE_KEY}{coarse}", COARSE_SECONDS),
                (TOTALS_KEY, None),
            ):
                for name, count in counts.items():
                    pipeline.hincrby(key, name, count)
                if seconds:
                    pipeline.expire(key, seconds)
        await pipeline.execute()


def _fields(each: _Outcome) -> Iterable[tuple[str, int]]:
    head = f"{each.kind}{_SEPARATOR}{each.name}{_SEPARATOR}"
    yield f"{head}outcome{_SEPARATOR}{each.outcome}", each.times
    if each.cause:
        yield f"{head}cause{_SEPARATOR}{each.outcome}:{each.cause}", 1
    for name in _HISTOGRAMS:
        if (ms := getattr(each, name)) is not None:
            yield f"{head}{name}{_SEPARATOR}{bisect_left(BOUNDS_MS, ms)}", 1
            yield f"{head}{name}{_SEPARATOR}sum", round(ms)
