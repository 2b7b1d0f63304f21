"""Whether our worker drains a million events as fast as a thousand."""

import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from bench.ack.load import Serving
from bench.jobs.backlog import keep_at_a_thousand, work_for
from bench.jobs.contenders.probe import PAIR
from bench.jobs.testbed import Testbed
from bench.path.running import Site
from bench.path.sender import Plan
from bench.path.stack import DESKBELL, EVENTS
from shared.redis.job_data import unpack
from shared.redis.queues import queue_key

_WORKER = replace(DESKBELL.worker, settings={"DESKBELL_JOBS": "bench.path.job_types:beginning"})
_LIST = queue_key(EVENTS)
_RUNS = 3
_RESERVE = 20_000
_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Backlogs:
    """Events whose jobs began in a second, with a thousand events queued and with so many.

    Attributes:
        queued: the many.
        few, many: by run.
    """

    queued: int
    few: list[float]
    many: list[float]

    @property
    def ratio(self) -> float:
        return median(self.many) / median(self.few)


def measure_backlogs(bed: Testbed, api: Serving, queued: int, seconds: float) -> Backlogs:
    """The many come last: the memory that they fragment slows the server down afterwards."""
    few = []
    for _ in range(_RUNS):
        _fill(bed, api, _RESERVE)
        keep_at_a_thousand(bed.redis, _LIST)
        few.append(_rate(bed, seconds))
    _fill(bed, api, queued)
    return Backlogs(queued, few, [_rate(bed, seconds) for _ in range(_RUNS)])


def _rate(bed: Testbed, seconds: float) -> float:
    return work_for(bed, _WORKER, 0, _LIST, seconds) / len(PAIR)


def _fill(bed: Testbed, api: Serving, events: int) -> None:
    """Have the api accept one event, and copy it."""
    bed.clear()
    Site(bed, api).send(Plan(1, most=1))
    redis: Any = bed.redis
    event = redis.lindex(_LIST, 0).decode()
    data = unpack(redis.hget(f"rq:job:{event}", "data"))
    fill = redis.register_script(Path(__file__).with_name("fill.lua").read_text())
    for done in range(0, events - 1, _AT_ONCE):
        fill(keys=[_LIST], args=[event, data, min(_AT_ONCE, events - 1 - done), uuid.uuid4().hex[:20]])
