"""Replays and discards in the background: a thread of the console's process does it, whoever looks at it or not.

Its entry in the audit log holds, beside what `AuditLog` writes there, how far it is. A process that dies in the middle
leaves an entry that is not ended and says no more that it lives; the dead letters that are left are where they were.
One action of a scope runs at a time, over all consoles: a lock on Redis, which ends with the process that holds it.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from deskbell.dead_letters.choice import Choice
from deskbell.dead_letters.plan import Action
from shared.declarations.policies import Rate
from shared.jobs.job_type import JobType
from shared.keys import DESKBELL
from shared.logs import get_log
from shared.redis.queues import RUNS_KEY
from workers.audit import AuditEntry, AuditLog
from workers.dead_letters.registry import DeadLetters
from workers.dead_letters.replay import Replays, Throttle
from workers.replay_as import ReplaysAs

_MOST = 4  # at once in a process
_ALIVE_SECONDS = 15
_PULSE_SECONDS = 1.0
_CLOSE_SECONDS = 5.0


class StoppedError(KeyboardInterrupt):
    """A person has ended the run."""


class BusyError(Exception):
    """This process runs as many as it may."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done.

    Attributes:
        words: the choice for the audit log.
        total: how many a dry run has counted; None without one.
        rate: of a replay; None is at once.
        as_: another job type, to replay them as.
    """

    action: Action
    choice: Choice
    by: str
    words: str
    total: int | None
    rate: str | None = None
    as_: JobType | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its entry in the audit log tells it.

    Attributes:
        seen: how many dead letters were looked at: counted by pages, but never less than were replayed or discarded.
        total: how many a dry run had counted; None without one.
        rate: "" for at once.
        outcomes: what became of how many; only once it has ended.
        stopped_by: who ended it.
        as_: the other job type that they are replayed as; "" for their own.
    """

    entry: AuditEntry
    choice: Choice
    seen: int
    total: int | None
    rate: str
    outcomes: Mapping[str, int]
    stopped_by: str
    as_: str


class Runs:
    """Starts, stops and reads runs.

    Args:
        redis: where dead letters, locks and the audit log are.
        on_end: is called when a run of this process has ended.
    """

    def __init__(self, redis: Redis, on_end: Callable[[], object]) -> None:
        self._redis = redis
        self._on_end = on_end
        self._audit = AuditLog(redis)
        self._free = threading.Semaphore(_MOST)
        self._under_way: dict[_Running, threading.Thread] = {}

    def start(self, order: Order) -> tuple[str, bool]:
        """Begin a run; its id and True, or the id of the one of the same scope that is under way, and False.

        Raises:
            BusyError: this process runs as many as it may.
        """
        if not self._free.acquire(blocking=False):
            raise BusyError
        try:
            lock = _lock_key(order.choice)
            if not self._redis.set(lock, "", nx=True, ex=_ALIVE_SECONDS):
                self._free.release()
                holder: Any = self._redis.get(lock)
                return (holder or b"").decode(), False
            record = self._audit.begin(order.action, order.words, order.by)
            run = _Running(self._redis, order, record, lock)
            run.pulse()
        except BaseException:
            self._free.release()
            raise
        thread = threading.Thread(target=self._carry_out, args=(run,), name="dead letters", daemon=True)
        self._under_way[run] = thread
        thread.start()
        return record.removeprefix(f"{RUNS_KEY}:"), True

    def stop(self, run_id: str, by: str) -> bool:
        """Ask the process that runs it to end a run; whether it was under way."""
        run = self.read(run_id)
        is_running = run is not None and run.entry.is_running
        if is_running:
            self._redis.hset(f"{RUNS_KEY}:{run_id}", "stopped_by", by)
        return is_running

    def close(self) -> None:
        """End the runs of this process: each is interrupted, and what is left is still a dead letter."""
        for run, thread in list(self._under_way.items()):
            run.stop()
            thread.join(_CLOSE_SECONDS)

    def read(self, run_id: str) -> Run | None:
        """A run; None when there is none of this id."""
        entry = self._audit.read(run_id)
        if entry is None:
            return None
        fields: Any = self._redis.hgetall(f"{RUNS_KEY}:{run_id}")
        read = {name.decode(): value.decode() for name, value in fields.items()}
        if "choice" not in read:  # not a run of a console
            return None
        total = int(read["total"]) if read["total"] else None
        seen = max(int(read["seen"]), entry.done)
        outcomes = json.loads(read.get("outcomes", "{}"))
        choice = Choice.read(json.loads(read["choice"]))
        return Run(entry, choice, seen, total, read["rate"], outcomes, read.get("stopped_by", ""), read["as"])

    def _carry_out(self, run: "_Running") -> None:
        try:
            run.carry_out()
        except (RedisError, OSError) as error:
            get_log().error("dead_run_failed", action=run.order.action, user=run.order.by, error=error)
        finally:
            del self._under_way[run]
            self._free.release()
            self._on_end()


class _Running:
    """A run of this process."""

    def __init__(self, redis: Redis, order: Order, record: str, lock: str) -> None:
        self.order = order
        self._redis = redis
        self._record = record
        self._lock = lock
        self._seen = 0
        self._stops = threading.Event()
        self._is_over = threading.Event()

    def carry_out(self) -> None:
        """Do it, and say how far it is while it lasts."""
        pulse = threading.Thread(target=self._beat, name="pulse", daemon=True)
        pulse.start()
        outcomes: Counter[str] | None = None
        try:
            with suppress(StoppedError):
                outcomes = self._act()
        finally:
            self._is_over.set()
            pulse.join()
            self._end(outcomes)

    def stop(self) -> None:
        """Go on no further."""
        self._stops.set()

    def pulse(self) -> None:
        """Write that the run lives, and how far it is; read whether it is to stop."""
        order, alive_until = self.order, time.time() + _ALIVE_SECONDS
        total = "" if order.total is None else str(order.total)
        fields: Any = {"choice": json.dumps(order.choice.fields), "total": total, "rate": order.rate or ""}
        fields["as"] = order.as_.name if order.as_ else ""
        with self._redis.pipeline() as pipeline:
            pipeline.hset(self._record, mapping=fields | {"seen": self._seen, "alive_until": str(alive_until)})
            pipeline.set(self._lock, self._record.removeprefix(f"{RUNS_KEY}:"), ex=_ALIVE_SECONDS)
            pipeline.hget(self._record, "stopped_by")
            if pipeline.execute()[-1]:
                self.stop()

    def _act(self) -> Counter[str]:
        order = self.order
        pages = order.choice.pages(DeadLetters(self._redis))
        replays = Replays(self._redis, order.by, self._record)
        if order.action == "discard":
            return replays.discard(pages, order.words, self._progress)
        rate = Rate.parse(order.rate) if order.rate else None
        throttle = Throttle(rate, sleep=self._sleep)
        if order.as_:
            return ReplaysAs(self._redis, replays, order.as_).replay(pages, order.words, throttle, self._progress)
        return replays.replay(pages, order.words, throttle, self._progress)

    def _progress(self, more: int) -> None:
        self._seen += more
        self._sleep(0)

    def _sleep(self, seconds: float) -> None:
        if self._stops.wait(seconds):
            raise StoppedError

    def _beat(self) -> None:
        while not self._is_over.wait(_PULSE_SECONDS):
            with suppress(RedisError, OSError):
                self.pulse()

    def _end(self, outcomes: Counter[str] | None) -> None:
        with self._redis.pipeline() as pipeline:
            pipeline.hset(self._record, mapping={"seen": self._seen, "alive_until": "0"})
            if outcomes is not None:
                pipeline.hset(self._record, "outcomes", json.dumps(outcomes))
            pipeline.delete(self._lock)
            pipeline.execute()


def _lock_key(choice: Choice) -> str:
    return f"{DESKBELL}dead:lock:{choice.scope}"
