"""What only Deskbell's worker is measured for, and the targets of all measurements."""

import time
from dataclasses import dataclass
from statistics import median

from bench.jobs.contenders.contender import CONCURRENCY, DESKBELL, WAITING
from bench.jobs.testbed import Memory, Testbed
from bench.report import Target, at_least, at_most

THOUSAND = 1_000
_LIST, _RESERVE = "rq:queue:bench", "bench:reserve"
_RUNS = 5
_TOP_UP_SECONDS = 0.02
_TOP_UP = """
for _ = redis.call('LLEN', KEYS[1]) + 1, tonumber(ARGV[1]) do
  redis.call('LMOVE', KEYS[2], KEYS[1], 'LEFT', 'RIGHT')
end
"""


@dataclass(frozen=True, slots=True)
class Extras:
    """What was measured of Deskbell's worker alone.

    Attributes:
        backlog: how many jobs were queued for `many`.
        few, many: jobs/s of no-ops, with a thousand and with that many in the queue.
        threads: jobs/s of no-ops that are `def` and run in threads.
        memory: at 64 running jobs.
    """

    backlog: int
    few: float
    many: float
    threads: float
    memory: Memory


def measure_extras(testbed: Testbed, seconds: float, backlog: int) -> Extras:
    """Measure what only Deskbell's worker is measured for.

    The million comes last: the memory that it fragments slows the server down afterwards.
    """
    few: list[float] = []
    for _ in range(_RUNS):
        _fill(testbed, int(DESKBELL.expected["nothing"] * seconds * 3))
        few.append(_with_a_thousand(testbed, seconds))
    testbed.clear()
    testbed.put(DESKBELL, "nothing_def", int(DESKBELL.expected["nothing_def"] * seconds))
    threads = _window(testbed, seconds)
    memory = _memory(testbed, seconds)
    _fill(testbed, backlog)
    many = [_window(testbed, seconds) for _ in range(_RUNS)]
    return Extras(backlog, median(few), median(many), threads, memory)


def judge(rates: dict[str, dict[str, float]], p50_ms: float, simple_rss: float, extras: Extras) -> list[Target]:
    """Hold what was measured against the targets.

    Args:
        rates: jobs/s, by contender and workload.
        p50_ms: from enqueue to start on an idle worker.
        simple_rss: MiB of RQ's SimpleWorker, waiting.
        extras: of Deskbell's worker.
    """
    ours, simple, dramatiq = rates["Deskbell"], rates["RQ SimpleWorker"], rates["dramatiq"]
    return [
        at_least("no-op, times RQ SimpleWorker", 20, ours["nothing"] / simple["nothing"]),
        at_least("no-op, times dramatiq", 4, ours["nothing"] / dramatiq["nothing"]),
        at_least(f"50 ms of waiting, {WAITING} at once, jobs/s", 1500, ours["wait"]),
        at_most("enqueue to start when idle, p50, ms", 5, p50_ms),
        at_most(f"RSS at {CONCURRENCY} running jobs, times RQ SimpleWorker", 1.5, extras.memory.rss / simple_rss),
        at_least(f"no-op with {extras.backlog:,} queued, times {THOUSAND:,}", 0.9, extras.many / extras.few),
    ]


def _fill(testbed: Testbed, count: int) -> None:
    testbed.clear()
    testbed.put(DESKBELL, "nothing", count)


def _with_a_thousand(testbed: Testbed, seconds: float) -> float:
    """Jobs/s while the queue is kept at a thousand: what is taken from it is put back from a list beside it."""
    testbed.redis.rename(_LIST, _RESERVE)
    return _window(testbed, seconds)


def _window(testbed: Testbed, seconds: float) -> float:
    """Jobs/s for some seconds; the queue is topped up to a thousand, if there is anything to top it up with."""
    top_up = testbed.redis.register_script(_TOP_UP)
    top_up(keys=[_LIST, _RESERVE], args=[THOUSAND])
    testbed.forget_starts()
    with testbed.worker(DESKBELL, CONCURRENCY) as worker:
        worker.wait_for(1, 0)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            top_up(keys=[_LIST, _RESERVE], args=[THOUSAND])
            time.sleep(_TOP_UP_SECONDS)
        return worker.rate()


def _memory(testbed: Testbed, seconds: float) -> Memory:
    testbed.clear()
    testbed.put(DESKBELL, "wait", int(DESKBELL.expected["wait"] * seconds))
    with testbed.worker(DESKBELL, CONCURRENCY) as worker:
        worker.wait_for(int(DESKBELL.expected["wait"] * seconds / 2), seconds)
        return worker.memory()
