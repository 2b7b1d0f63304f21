"""What is measured of a stack whose api and worker run: how fast it is, what it keeps up with, how late jobs are."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf, sqrt
from statistics import median

from bench.ack.load import Serving
from bench.jobs.contenders.probe import PAIR
from bench.jobs.testbed import Testbed
from bench.pace import percentile
from bench.path.running import Cost, Seen, Site, put, wait
from bench.path.sender import Plan
from bench.path.stack import Stack

BEHIND_SECONDS = 1.0
"""A stack keeps up when it is behind by less than so many seconds' worth of callbacks at the end."""
CONNECTIONS = 2_000
"""Enough to keep the rate, whatever the endpoint does."""
_BEGIN_SECONDS = 30
_WARM_UP = Plan(1.0, window=50)
_UP, _DOWN, _NEAR, _PROBES = 1.4, 0.75, 1.2, 6
_KEPT_UP = 0.95
_BELOW, _TRIES = 0.95, 4


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each step."""

    drain: float
    whole: float
    patience: float
    idle: float
    probe: float
    sustained: float
    half: float


@dataclass(frozen=True, slots=True)
class Latency:
    """From the answer to the end of the last job, in milliseconds."""

    p50_ms: float
    p99_ms: float
    callbacks: int


@dataclass(frozen=True, slots=True)
class Tried:
    """A rate that was tried for some seconds, and by how many callbacks the stack was behind at the end."""

    rate: float
    seconds: float
    behind: int


@dataclass(frozen=True, slots=True)
class Sustained:
    """The highest rate that was found at which a stack keeps up.

    Attributes:
        rate: callbacks/s.
        cost: CPU for each at that rate.
        tried: the rates that were tried.
    """

    rate: float
    cost: Cost
    tried: list[Tried]


@dataclass(frozen=True, slots=True)
class Whole:
    """Callbacks that came as fast as they were answered.

    Attributes:
        acknowledged: callbacks answered in a second while they were sent.
        rate: callbacks wholly done in a second, from the first until the end of all their jobs.
        done: how many; fewer than were answered, if patience ran out.
        answered: how many.
        cost: CPU for each that was done.
    """

    acknowledged: float
    rate: float
    done: int
    answered: int
    cost: Cost


@dataclass(frozen=True, slots=True)
class Steps:
    """What was measured."""

    whole: Whole
    idle: Latency
    sustained: Sustained
    half: Latency


def run_steps(bed: Testbed, stack: Stack, api: Serving, times: Times) -> Steps:
    """One step after the other; another worker and an empty server after each that may leave jobs over."""
    with _working(bed, stack, api) as site:
        whole = _whole(site.send(Plan(times.whole), times.patience), times.whole)
    with _working(bed, stack, api) as site:
        idle = _latency(_all_done(stack, site.send(Plan(times.idle, connections=1, window=1, pause=0.03))))
        probed, tried = _probe(site, whole.rate, times.probe)
    rate = probed * _BELOW
    for _ in range(_TRIES):
        with _working(bed, stack, api) as site:
            seen = site.send(Plan(times.sustained, rate=rate, connections=CONNECTIONS))
            done = seen.done_by(seen.sent.began + times.sustained)
            tried.append(Tried(rate, times.sustained, round(rate * times.sustained) - done))
            if tried[-1].behind < rate * BEHIND_SECONDS:
                cost = _all_done(stack, seen).cost.per(len(seen.done))
                half = site.send(Plan(times.half, rate=rate / 2, connections=CONNECTIONS))
                return Steps(whole, idle, Sustained(rate, cost, tried), _latency(_all_done(stack, half)))
        rate = done / times.sustained * _BELOW
    raise RuntimeError(f"{stack.name} keeps up with no rate: {tried}")


@contextmanager
def _working(bed: Testbed, stack: Stack, api: Serving) -> Iterator[Site]:
    """A worker that has begun to work: an event, which waits for it, is done."""
    put(bed, stack, api, 1)
    with bed.worker(stack.worker, stack.worker.slots[0]) as worker:
        wait(lambda: worker.ended() == len(PAIR), _BEGIN_SECONDS)
        site = Site(bed, api, worker)
        _all_done(stack, site.send(_WARM_UP))
        yield site


def _probe(site: Site, rate: float, seconds: float) -> tuple[float, list[Tried]]:
    """The highest rate at which the stack keeps up for a short while, found by bisection.

    It keeps up with what it is sent if it finishes nearly as much as it is sent, in the last two thirds of the time:
    the time that a callback takes from end to end does not matter.
    """
    tried: list[Tried] = []
    low, high = 0.0, inf
    for _ in range(_PROBES):
        seen = site.send(Plan(seconds, rate=rate, connections=CONNECTIONS))
        end = seen.sent.began + seconds
        finished = seen.done_by(end) - seen.done_by(end - seconds * 2 / 3)
        tried.append(Tried(rate, seconds, round(rate * seconds) - seen.done_by(end)))
        low, high = (rate, high) if finished > rate * seconds * 2 / 3 * _KEPT_UP else (low, rate)
        if high < low * _NEAR:
            break
        rate = low * _UP if high == inf else high * _DOWN if not low else sqrt(low * high)
    return low or rate, tried


def _whole(seen: Seen, seconds: float) -> Whole:
    end = max(seen.done.values())
    acknowledged = sum(moment <= seen.sent.began + seconds for moment in seen.acked.values()) / seconds
    rate = len(seen.done) / (end - seen.sent.began)
    return Whole(acknowledged, rate, len(seen.done), len(seen.acked), seen.cost.per(len(seen.done)))


def _latency(seen: Seen) -> Latency:
    return Latency(median(seen.latencies) * 1000, percentile(seen.latencies, 99), len(seen.latencies))


def _all_done(stack: Stack, seen: Seen) -> Seen:
    """Every callback that was answered must be wholly done, and none refused, or the stack is not measured."""
    if seen.sent.refused or len(seen.done) != len(seen.acked):
        raise RuntimeError(
            f"{stack.name}: {seen.sent.count} sent, {seen.sent.refused} refused, {len(seen.acked)} answered, "
            f"{len(seen.done)} wholly done"
        )
    return seen
