"""What only Deskbell's worker is measured for, and the targets of all measurements."""

from dataclasses import dataclass
from statistics import median

from bench.jobs.backlog import THOUSAND, keep_at_a_thousand, work_for
from bench.jobs.contenders.contender import CONCURRENCY, DESKBELL, WAITING
from bench.jobs.testbed import Memory, Testbed
from bench.report import Target, at_least, at_most

_LIST = "rq:queue:bench"
_RUNS = 5


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
        keep_at_a_thousand(testbed.redis, _LIST)
        few.append(_window(testbed, seconds))
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


def _window(testbed: Testbed, seconds: float) -> float:
    return work_for(testbed, DESKBELL, CONCURRENCY, _LIST, seconds)


def _memory(testbed: Testbed, seconds: float) -> Memory:
    testbed.clear()
    testbed.put(DESKBELL, "wait", int(DESKBELL.expected["wait"] * seconds))
    with testbed.worker(DESKBELL, CONCURRENCY) as worker:
        worker.wait_for(int(DESKBELL.expected["wait"] * seconds / 2), seconds)
        return worker.memory()
