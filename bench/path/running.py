"""A stack at work: its api, its worker, Redis and the sender; what became of the callbacks, and the CPU they took."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench.ack.load import FIRST_TIME, Serving
from bench.jobs.contenders.probe import END, PAIR
from bench.jobs.testbed import Testbed, Worker
from bench.path.sender import Plan, Sent, send
from bench.path.stack import DESKBELL, Stack
from bench.processes import cpu_seconds

_LOOK_SECONDS = 0.002
_FILL_SECONDS = 60
_APART = 1_000_000
_firsts = count(0, _APART)


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU in microseconds of each process; 0 for what did not run."""

    api: float = 0.0
    worker: float = 0.0
    redis: float = 0.0
    sender: float = 0.0

    @property
    def whole(self) -> float:
        """Of all of them."""
        return self.api + self.worker + self.redis + self.sender

    def __sub__(self, before: "Cost") -> "Cost":
        return Cost(*(getattr(self, name) - getattr(before, name) for name in self.__slots__))

    def per(self, items: int) -> "Cost":
        """For each of so many."""
        return Cost(*(getattr(self, name) / max(items, 1) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of the callbacks that a sender sent.

    Attributes:
        sent: what the sender said.
        acked: monotonic time of the answer, by number.
        done: monotonic time of the end of the last job, by number.
        cost: of them all.
    """

    sent: Sent
    acked: dict[int, float]
    done: dict[int, float]
    cost: Cost

    def done_by(self, moment: float) -> int:
        """How many were wholly done at a monotonic time."""
        return sum(each <= moment for each in self.done.values())

    @property
    def latencies(self) -> list[float]:
        """Seconds from the answer to the end of the last job."""
        return [moment - self.acked[number] for number, moment in self.done.items()]


class Site:
    """An api with or without a worker, on a test bed."""

    def __init__(self, bed: Testbed, api: Serving, worker: Worker | None = None) -> None:
        self._bed = bed
        self._pids = {"api": api.pid, "redis": bed.server_pid}
        self._port = api.port
        self._worker = worker
        if worker:
            self._pids["worker"] = worker.pid

    def used(self) -> Cost:
        """The CPU that they have used so far."""
        return Cost(**{name: cpu_seconds(pid) * 1e6 for name, pid in self._pids.items()})

    def send(self, plan: Plan, patience: float = 20.0) -> Seen:
        """Send callbacks, and wait for the ends of their jobs, if there is a worker.

        Args:
            plan: how; its first number is chosen here.
            patience: seconds to wait after the last was sent.

        Raises:
            RuntimeError: no job ended.
        """
        self._bed.forget_starts()
        plan = replace(plan, first=next(_firsts))
        before = self.used()
        sent, acks = self._run_sender(plan)
        acked = {number - FIRST_TIME: moment for number, moment in END.iter_unpack(acks)}
        if worker := self._worker:
            wait(lambda: worker.ended() >= len(acked) * len(PAIR), patience)
        cost = self.used() - before
        done = {number: moment for number, moment in self._ended().items() if number in acked}
        if self._worker and not done:
            raise RuntimeError(f"{len(acked)} callbacks were answered, and no job of theirs ended")
        return Seen(sent, acked, done, replace(cost, sender=sent.cpu_seconds * 1e6))

    def _run_sender(self, plan: Plan) -> tuple[Sent, bytes]:
        """In a process of its own, so that its CPU is known and nothing else uses its interpreter."""
        with ProcessPoolExecutor(1, get_context("fork")) as process:
            return process.submit(send, self._port, self._bed.ends, plan).result()

    def _ended(self) -> dict[int, float]:
        """When the last job of each callback ended, also of those that an earlier step sent."""
        ends: Counter[int] = Counter()
        last: dict[int, float] = {}
        for number, moment in _records(self._bed.ends):
            ends[number] += 1
            last[number] = max(moment, last.get(number, 0))
        return {number - FIRST_TIME: moment for number, moment in last.items() if ends[number] == len(PAIR)}


def put(bed: Testbed, stack: Stack, api: Serving, events: int) -> Cost:
    """Have the api accept events, on an empty server, or enqueue the contender's job that enqueues two.

    Returns:
        The CPU that it took the api to accept them.
    """
    bed.clear()
    if stack is not DESKBELL:
        bed.put(stack.worker, "both", events)
        return Cost()
    accepted = Site(bed, api).send(Plan(_FILL_SECONDS, most=events)).cost
    bed.forget_starts()
    return accepted


def wait(is_over: Callable[[], Any], seconds: float) -> None:
    """Look every 2 ms, for some seconds at most."""
    deadline = time.monotonic() + seconds
    while not is_over() and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)


def last_end(bed: Testbed) -> float:
    """The monotonic time at which the last job ended."""
    return max(moment for _, moment in _records(bed.ends))


def _records(path: Path) -> list[tuple[int, float]]:
    whole = path.read_bytes()
    return list(END.iter_unpack(whole[: len(whole) // END.size * END.size]))
