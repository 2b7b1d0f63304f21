"""The ways in which a queue may be stopped, each with real parts: workers that run, hang or die, and jobs that wait."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from redis import Redis
from rq.suspension import suspend
from rq.worker import Worker

from deskbell import ApiCall, Callbacks, Jobs, TaskFlowEvent
from deskbell.queues.pausing import Pausing
from deskbell.testing import api_call, event_of
from shared.redis.queues import EVENTS, events_job
from shared.redis.workers import WORKER_KEY, WorkerRecord, read_workers
from tests.conftest import patient_settings
from tests.desk import serving
from tests.forked import Forked
from tests.waiting import until
from tests.workers.running import Workplace, jobs_in, running_worker

JOBS = """
import asyncio
import time
from pathlib import Path

from deskbell import ApiCall, Backoff, Breaker, Concurrency, Jobs, TaskFlowEvent

jobs = Jobs()

async def wait(event: ApiCall) -> None:
    while not Path("gate").exists():
        await asyncio.sleep(0.05)

def linger(event: ApiCall) -> None:
    while not Path("gate").exists():
        time.sleep(0.05)

def fail(event: ApiCall) -> None:
    raise OSError

def end(event: ApiCall) -> None: ...

def finish(event: TaskFlowEvent) -> None: ...

for name in ("suspended", "paused_by_hand", "unread", "damaged", "far_behind", "lost", "renamed"):
    jobs.on(ApiCall, node=name, queue=name, name=name)(end)
for name in ("slots", "frozen", "twice", "died", "locked"):
    jobs.on(ApiCall, node=name, queue=name, name=name, timeout=3600)(wait)
jobs.on(ApiCall, node="lingers", queue="slots", name="lingers", timeout=1, attempts=1)(linger)
jobs.on(ApiCall, node="paused", queue="paused", name="paused", breaker=Breaker(failures=1, pause=3600))(fail)
jobs.on(ApiCall, node="rate", queue="rate", name="rate", limit="1/h")(end)
jobs.on(ApiCall, node="semaphore", queue="semaphore", name="semaphore", limit=Concurrency(1), timeout=3600)(wait)
jobs.on(ApiCall, node="semaphored", queue="far_behind", name="semaphored", limit=Concurrency(1), timeout=3600)(wait)
jobs.on(ApiCall, node="ordered", queue="ordered", name="ordered", ordered_by="session", timeout=3600)(wait)
jobs.on(TaskFlowEvent, queue="gap", name="gap", ordered_by="session")(finish)
jobs.on(ApiCall, node="early", queue="early", name="early", ordered_by="session")(end)
jobs.on(ApiCall, node="held", queue="held", name="held", ordered_by="session", on_dead="hold", attempts=1)(fail)
for name in ("retried", "overdue"):
    jobs.on(ApiCall, node=name, queue=name, name=name, backoff=Backoff(base=600, jitter=0))(fail)
"""
QUEUES = (
    *(
        "suspended",
        "paused_by_hand",
        "damaged",
        "twice",
        "paused",
        "rate",
        "semaphore",
        "far_behind",
        "ordered",
        "gap",
        "early",
        "held",
    ),
    *("retried", "renamed", "lost"),
)
"""What one worker reads; where a worker is to hang or die, another one does."""

RENAMED = Jobs()


@RENAMED.on(ApiCall, queue="renamed")
def before_it_was_renamed(event: ApiCall) -> None:
    """Nobody declares it any more."""


@dataclass
class Floor:
    """A stack whose queues are stopped one by one."""

    redis: Redis
    url: str
    folder: Path
    stack: ExitStack
    workplace: Workplace = field(init=False)
    renaming: Workplace = field(init=False)

    def __post_init__(self) -> None:
        settings = patient_settings(self.url, self.folder)
        self.workplace = Workplace(self.redis, jobs_in(JOBS), settings)
        self.renaming = Workplace(self.redis, RENAMED, settings)
        self.start_worker(*QUEUES)

    @property
    def spool(self) -> Path:
        """Where an api keeps events that Redis does not take."""
        return self.folder / "spool"

    def start_worker(self, *arguments: str, **settings: str) -> Forked:
        """Start a worker, and wait until it reads its queues."""
        known = {each.name for each in Worker.all(self.redis)}
        process = self.stack.enter_context(
            running_worker(self.folder, JOBS, self.url, *arguments, **({"ABANDONED_SECONDS": "5"} | settings))
        )
        until(lambda: {each.name for each in Worker.all(self.redis)} - known)
        return process

    def put(self, node: str, session: str = "s-1") -> ApiCall:
        """Put the jobs of a call on their queue."""
        return self.workplace.put_jobs(api_call(node, SystemSessionID=session))

    def put_running(self, node: str) -> ApiCall:
        """Put a job on the queue of its name, and wait until a worker runs it."""
        event = self.put(node)
        until(lambda: any(f"{event.id}-{node}" in each for each in self.members(f"rq:wip:{node}")))
        return event

    def put_done(self, node: str) -> ApiCall:
        """Put a job on the queue of its name, and wait until it is done."""
        event = self.put(node)
        until(lambda: self.members(f"rq:finished:{node}"))
        return event

    def members(self, key: str) -> list[str]:
        """What a registry holds."""
        members: Any = self.redis.zrange(key, 0, -1)
        return [member.decode() for member in members]


Way = Callable[[Floor], None]


def suspended(floor: Floor) -> None:
    """Somebody writes `rq suspend`."""
    event = floor.put_done("suspended")
    suspend(floor.redis)
    floor.workplace.queue("suspended").enqueue_job(floor.workplace.job(event, "suspended"))


def paused_by_hand(floor: Floor) -> None:
    """Somebody pauses the queue."""
    Pausing(floor.redis, "li").pause("paused_by_hand")
    floor.put("paused_by_hand")


def unread(floor: Floor) -> None:
    """No worker was started for the queue."""
    floor.put("unread")


def paused(floor: Floor) -> None:
    """The jobs of a type fail, and its circuit breaker opens."""
    floor.put("paused")
    until(lambda: floor.redis.hexists("deskbell:paused", "paused"))


def rate(floor: Floor) -> None:
    """One job an hour may start, and one has."""
    floor.put("rate")
    until(lambda: floor.members("deskbell:rate:rate"))
    floor.put("rate")


def semaphore(floor: Floor) -> None:
    """One job at once, and one runs."""
    floor.put_running("semaphore")
    floor.put("semaphore")


def far_behind(floor: Floor) -> None:
    """What could run is behind more than 500 jobs that a limit holds back."""
    for _ in range(502):
        floor.workplace.put_event(api_call("semaphored"))
    floor.workplace.put_event(api_call("far_behind"))
    floor.workplace.work(EVENTS)
    until(lambda: floor.members("rq:wip:far_behind"))
    until(lambda: floor.redis.llen("rq:queue:far_behind") == 502)


def slots(floor: Floor) -> None:
    """Every slot of the worker is taken, and a function goes on after its time."""
    floor.start_worker("--concurrency", "2", "slots")
    floor.put("lingers")
    until(lambda: floor.members("rq:failed:slots"))  # its job has ended, its thread has not
    floor.put_running("slots")
    floor.put_running("slots")
    floor.put("slots")
    until(lambda: any(each.used == 2 and each.stragglers for each in records(floor)))


def frozen(floor: Floor) -> None:
    """The worker hangs; half a minute later."""
    process = floor.start_worker("frozen")
    (record,) = until(lambda: [each for each in records(floor) if each.queues == ("frozen",)])
    os.kill(process.pid, signal.SIGSTOP)
    floor.stack.callback(os.kill, process.pid, signal.SIGCONT)
    floor.redis.set(WORKER_KEY + record.name, replace(record, noted=record.noted - 30).to_json())
    floor.put("frozen")


def died(floor: Floor) -> None:
    """A worker is killed with a job; another has just started, and does not know yet whether Redis was away."""
    process = floor.start_worker("died")
    floor.put_running("died")
    process.kill()
    process.wait(30)
    floor.start_worker("died", ABANDONED_SECONDS="60")
    until(lambda: not floor.redis.keys("rq:execution:*-died:*"))


def twice(floor: Floor) -> None:
    """Somebody queues a job again while it runs."""
    event = floor.put_running("twice")
    floor.workplace.queue("twice").enqueue_job(floor.workplace.job(event, "twice"))


def ordered(floor: Floor) -> None:
    """The earlier job of its key runs."""
    floor.put_running("ordered")
    floor.put("ordered")


def gap(floor: Floor) -> None:
    """The second event of an execution is there, the first is not; the job has asked for its turn."""
    event = event_of(TaskFlowEvent, ExecutionId="x", Seq=2, SessionId="gap")
    floor.workplace.put_jobs(event)
    until(lambda: floor.members("rq:scheduled:gap"))
    until(lambda: b"gap" in (floor.redis.hget(f"rq:job:{event.id}-gap", "meta") or b""))


def early(floor: Floor) -> None:
    """An earlier event of the key is to be fanned out again."""
    events, event = floor.workplace.queue(EVENTS), api_call("early", SystemSessionID="s-1")
    job = events_job(events, event.command, event.to_wire(), event.id)
    events.schedule_job(job, datetime.now(UTC) + timedelta(hours=1))
    until(lambda: time.time() * 1000 > int(event.id[:12], 16) + 1)  # ids of one millisecond are in no order
    floor.put("early")
    until(lambda: floor.members("rq:scheduled:early"))


def held(floor: Floor) -> None:
    """A dead letter holds the jobs of its key back."""
    floor.put("held")
    until(lambda: floor.members("rq:failed:held"))
    floor.put("held")


def retried(floor: Floor) -> None:
    """An attempt failed, and the next one is not due."""
    floor.put("retried")
    until(lambda: floor.members("rq:scheduled:retried"))


def overdue(floor: Floor) -> None:
    """The retry is due, and the lock of the scheduler is that of a worker that was killed; half a minute later."""
    process = floor.start_worker("overdue")
    floor.put("overdue")
    (job_id,) = until(lambda: floor.members("rq:scheduled:overdue"))
    until(lambda: floor.redis.exists("rq:scheduler-lock:overdue"))
    process.kill()
    process.wait(30)
    floor.redis.expire("rq:scheduler-lock:overdue", 30)
    floor.redis.zadd("rq:scheduled:overdue", {job_id: time.time() - 15})
    floor.start_worker("overdue")


def renamed(floor: Floor) -> None:
    """A job waits whose type no living worker declares."""
    floor.renaming.put_jobs(api_call("renamed"))
    until(lambda: floor.members("rq:scheduled:renamed"))


def lost(floor: Floor) -> None:
    """A job is in no registry."""
    event = floor.put_done("lost")
    floor.redis.hset(f"rq:job:{event.id}-lost", "status", "queued")
    floor.redis.zrem("rq:finished:lost", f"{event.id}-lost")


def damaged(floor: Floor) -> None:
    """Somebody has written over a key of RQ's."""
    floor.redis.delete("rq:wip:damaged")
    floor.redis.set("rq:wip:damaged", "x")
    floor.put("damaged")


def spooled(floor: Floor) -> None:
    """Redis was away, and the api has ended with events on its disk."""
    nowhere = patient_settings(
        "redis://127.0.0.1:1/0", floor.folder, redis_url=SecretStr("redis://127.0.0.1:1/0"), spool_dir=floor.spool
    )
    with serving(nowhere, Callbacks()) as desk:
        assert desk.call().status_code == 200


def records(floor: Floor) -> list[WorkerRecord]:
    """What the workers say of themselves."""
    return list(read_workers(floor.redis, [each.name for each in Worker.all(floor.redis)]).values())
