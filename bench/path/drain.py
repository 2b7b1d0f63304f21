"""How fast one worker drains events that wait: until their jobs are done, or only until they are fanned out."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from bench.ack.load import Serving
from bench.jobs.contenders.probe import PAIR
from bench.jobs.testbed import Testbed, Worker
from bench.path.running import Cost, last_end, put, wait
from bench.path.stack import DESKBELL, EVENTS, FAN_OUT, JOBS, Stack
from bench.processes import cpu_seconds
from shared.redis.queues import queue_key

_BEGIN_SECONDS = 30
_PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Drain:
    """Events that waited, and were drained.

    Attributes:
        events: how many.
        rate: events/s, from the first that the worker took.
        cost: CPU for each; the api's and the sender's are those of accepting it.
    """

    events: int
    rate: float
    cost: Cost


def drain(bed: Testbed, stack: Stack, api: Serving, events: int) -> Drain:
    """Until all their jobs are done."""
    accepted = put(bed, stack, api, events)
    with bed.worker(stack.worker, stack.worker.slots[0]) as worker:
        has_begun = worker.started if stack is not DESKBELL else lambda: _length(bed, EVENTS) < events
        began, before = _begin(bed, worker, has_begun)
        wait(lambda: worker.ended() >= events * len(PAIR), _PATIENCE_SECONDS)
        cost = _used(bed, worker) - before
    if worker.ended() != events * len(PAIR):
        raise RuntimeError(f"{stack.name}: of {events} events {worker.ended()} jobs are done")
    return _drained(events, last_end(bed) - began, accepted, cost)


def fan_out(bed: Testbed, api: Serving, events: int) -> Drain:
    """Until their jobs are queued, by a worker of ours that does nothing else."""
    accepted = put(bed, DESKBELL, api, events)
    with bed.worker(FAN_OUT, 0) as worker:
        began, before = _begin(bed, worker, lambda: _length(bed, EVENTS) < events)
        wait(lambda: not _length(bed, EVENTS) and not bed.redis.zcard("rq:wip:events"), _PATIENCE_SECONDS)
        end, cost = time.monotonic(), _used(bed, worker) - before
    if _length(bed, JOBS) != events * len(PAIR):
        raise RuntimeError(f"{events} events were fanned out to {_length(bed, JOBS)} jobs")
    return _drained(events, end - began, accepted, cost)


def _begin(bed: Testbed, worker: Worker, has_begun: Callable[[], Any]) -> tuple[float, Cost]:
    """The moment at which the worker has taken the first event, and the CPU used until then."""
    wait(has_begun, _BEGIN_SECONDS)
    return time.monotonic(), _used(bed, worker)


def _used(bed: Testbed, worker: Worker) -> Cost:
    return Cost(worker=cpu_seconds(worker.pid) * 1e6, redis=cpu_seconds(bed.server_pid) * 1e6)


def _length(bed: Testbed, name: str) -> int:
    length: Any = bed.redis.llen(queue_key(name))
    return int(length)


def _drained(events: int, seconds: float, accepted: Cost, cost: Cost) -> Drain:
    of_api = accepted.per(events)
    return Drain(events, events / seconds, replace(cost.per(events), api=of_api.api, sender=of_api.sender))
