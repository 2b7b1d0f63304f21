"""`deskbell doctor QUEUE`: why a queue does not move, each reason made for real, and the one to act on first."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis
from rq import Worker

from deskbell import ApiCall, Breaker, Concurrency, Event, Jobs, TaskFlowEvent
from deskbell.testing import api_call
from shared.redis import clock
from shared.redis.history import MINUTE_KEY
from shared.redis.queues import EVENTS
from shared.redis.workers import WORKER_KEY, WorkerRecord, read_workers
from tests.conftest import WorkplaceFactory, open_workplace
from tests.deskbell.cli.doctor.looking import Look, problems, worker
from tests.workers.running import Workplace
from workers.declared import declared

__all__ = ["open_workplace"]  # a fixture

NOTHING_RAN = Jobs()


@NOTHING_RAN.on(ApiCall, queue="erp")
async def push(event: ApiCall) -> None:
    """Do nothing."""


def record_of(redis: Redis, name: str, jobs: Jobs, **changed: Any) -> None:
    """Write what a worker says of itself."""
    here = WorkerRecord(
        name=name,
        host="vm",
        pid=26450,
        version="1",
        queues=("erp",),
        job_types={each.name: declared(each) for each in jobs.types},
        slots=64,
        noted=time.time(),
    )
    redis.set(WORKER_KEY + name, replace(here, **changed).to_json())


@pytest.fixture
def waiting(open_workplace: WorkplaceFactory) -> Workplace:
    """A queue erp on which two jobs wait."""
    workplace = open_workplace(NOTHING_RAN)
    for _ in range(2):
        workplace.put_jobs(api_call("order"))
    return workplace


def test_a_queue_that_is_empty_or_moves_has_no_reason(look: Look, redis: Redis, waiting: Workplace) -> None:
    """Status 0, also when only RQ's own worker is there to be seen."""
    with worker(redis, EVENTS, "erp"):
        _, stuck = look("erp")
        waiting.work("erp")
        status, lines = look("erp")

    unexplained = "unknown: nothing that Redis knows holds it back, and yet nothing moved within 2 s"
    assert any(line.startswith("queue erp: 2 wait") for line in stuck)
    assert any(line.startswith(unexplained) for line in stuck)
    assert status == 0
    assert "queue erp: nothing waits; workers: 1" in lines


def test_a_name_that_no_queue_has_is_refused(look: Look, redis: Redis) -> None:
    """With the nearest one."""
    with worker(redis, EVENTS, "erp"):
        status, lines = look("erpp")

    assert (status, lines) == (2, [])


@pytest.mark.usefixtures("waiting")
def test_a_damaged_key_of_another_queue_is_a_reason_if_the_same_worker_reads_it(look: Look, redis: Redis) -> None:
    """Such a worker claims from none of its queues; the others are not held up."""
    redis.sadd("rq:queues", "rq:queue:other")
    redis.set("rq:wip:other", "x")

    _, lines = look("erp")

    assert problems(lines) == ["no living worker reads the queue erp; start `deskbell worker erp`"]
    assert "not at all in other" in lines[-1]
    with worker(redis, "other"), worker(redis, "erp"):
        assert problems(look("erp")[1]) == []
    with worker(redis, "other", "erp"):
        assert problems(look("erp")[1])[0].startswith("rq:wip:other: expected a zset, got a string")


@pytest.mark.usefixtures("waiting")
def test_all_workers_are_suspended(look: Look, redis: Redis) -> None:
    """Before everything else that may be wrong."""
    redis.set("rq:suspended", 1)

    status, lines = look("erp")

    first, second = problems(lines)
    assert status == 1
    assert first == "all workers are suspended by `rq suspend`: no job is begun; write `rq resume`"
    assert second == "no living worker reads the queue erp; start `deskbell worker erp`"


@pytest.mark.usefixtures("waiting")
def test_a_worker_that_was_killed_is_not_taken_for_a_living_one(look: Look, redis: Redis) -> None:
    """It is known for a minute longer than it may be silent."""
    with worker(redis, "erp") as dead:
        redis.expire(dead.key, 59)
        _, lines = look("erp")

    assert problems(lines) == [
        "no living worker reads the queue erp (1 gave no sign of life lately); start `deskbell worker erp`"
    ]


@pytest.mark.usefixtures("waiting")
def test_every_slot_is_taken(look: Look, redis: Redis) -> None:
    """With the functions that went on after their time; not while another worker has a free one."""
    with worker(redis, "erp") as here, worker(redis, "erp") as other:
        record_of(redis, here.name, NOTHING_RAN, used=64, stragglers=3, queues=("erp", "other"))
        record_of(redis, other.name, NOTHING_RAN, used=63, pid=2)
        _, free = look("erp")
        record_of(redis, other.name, NOTHING_RAN, used=64, pid=2)
        status, lines = look("erp")

    assert problems(free) == []
    assert status == 1
    (found,) = problems(lines)
    assert found.startswith("all 128 slots of the workers vm:")
    assert "3 more functions go on after their job's time; start another `deskbell worker erp`" in found


@pytest.mark.usefixtures("waiting")
def test_slots_that_are_taken_for_seconds_are_no_problem(look: Look, redis: Redis) -> None:
    """A queue that drains takes all; one whose jobs last stands still. A heartbeat may be older than what runs."""

    def run(seconds: float) -> None:
        job_id = "a" * 32 + "-push"
        redis.zadd("rq:wip:erp", {f"{job_id}:1": time.time() + 60})
        redis.hset(f"rq:execution:{job_id}:1", mapping={"worker_name": "vm", "created_at": time.time() - seconds})

    with worker(redis, "erp") as here:
        record_of(redis, here.name, NOTHING_RAN, used=64)
        _, ended = look("erp")
        run(-30)
        drains, draining = look("erp")
        run(60)
        stands, standing = look("erp")

    taken = "all 64 slots of the workers vm:26450 are taken, here by 1 of push, the first for "
    assert not any(line.startswith("all 64 slots") for line in (*ended, *problems(ended)))
    assert (drains, stands) == (0, 1)
    assert any(line.startswith(taken) for line in draining)
    assert problems(standing)[0].startswith(taken)


LIMITED = Jobs()


@LIMITED.on(ApiCall, queue="sms", limit="1/h")
async def send_sms(event: ApiCall) -> None:
    """Do nothing."""


@LIMITED.on(ApiCall, queue="erp", limit=Concurrency(1))
async def book(event: ApiCall) -> None:
    """Do nothing."""


def test_a_semaphore_is_full_and_who_holds_it(look: Look, redis: Redis, open_workplace: WorkplaceFactory) -> None:
    """A slot of a job that does not run any more is free at the end of its lease; when what waits will have begun."""
    workplace = open_workplace(LIMITED)
    workplace.put_jobs(api_call("order"))
    minute = int(time.time() // 60)
    for each in (minute - 1, minute, minute + 1):  # whichever is the last full one when it is read
        redis.hset(f"{MINUTE_KEY}{each}", mapping={"job\tbook\toutcome\tdone": 4, "job\tbook\toutcome\tretry": 2})
    redis.zadd("deskbell:slots:book", {"gone": (time.time() + 60) * 1000})

    with worker(redis, "erp") as here:
        record_of(redis, here.name, LIMITED)
        status, lines = look("erp")

    assert status == 0
    waits = (
        "1 job of book waits for its limit, 1 at once, of which 1 are taken; 1 of them is of a job that does not run: "
    )
    assert any(line.startswith(waits) for line in lines)
    assert "the last job that waits now begins in about 10 s, at the rate of the last full minute" in lines


def ordered(on_dead: Any = "continue", **options: Any) -> Jobs:
    """One ordered job type that fails."""
    jobs = Jobs()

    @jobs.on(ApiCall | TaskFlowEvent, queue="erp", ordered_by="session", on_dead=on_dead, **options)
    def ledger(event: Event) -> None:
        raise OSError(event.id)

    return jobs


def test_jobs_are_held_behind_a_dead_letter(look: Look, redis: Redis, open_workplace: WorkplaceFactory) -> None:
    """Which, why it died, and what to write."""
    workplace = open_workplace(ordered("hold", attempts=1))
    first = workplace.put_jobs(api_call("book", SystemSessionID="s-1"))
    workplace.work("erp")
    for _ in range(3):
        workplace.put_jobs(api_call("book", SystemSessionID="s-1"))

    with worker(redis, "erp"):
        status, lines = look("erp")

    (found,) = problems(lines)
    assert status == 1
    assert f"3 jobs are held, 1 of the first 3 behind the dead letter {first.id}-ledger (OSError at " in found
    assert f"write `deskbell dead replay {first.id}-ledger`, or `dead discard`" in found
    assert any(
        "3 jobs wait for earlier ones of their key: of the first, 2 behind one that is held itself" in line
        for line in lines
    )


def test_jobs_wait_for_the_next_try_of_one_before_them(
    look: Look, redis: Redis, open_workplace: WorkplaceFactory
) -> None:
    """When that is, and why the attempt before failed."""
    workplace = open_workplace(ordered())
    for _ in range(2):
        workplace.put_jobs(api_call("book", SystemSessionID="s-1"))
    workplace.work("erp")

    with worker(redis, "erp"):
        status, lines = look("erp")

    assert status == 0
    [tried] = [line for line in lines if line.startswith("1 job waits for its next try at ")]
    assert "OSError at " in tried
    assert "1 job waits for earlier ones of its key: 1 behind one that is to be tried again" in lines


def test_a_retry_is_due_and_no_scheduler_queues_it(look: Look, redis: Redis, open_workplace: WorkplaceFactory) -> None:
    """The lock of one that died is waited for; one that has renewed it since is behind; without a worker none is."""
    workplace = open_workplace(ordered())
    event = workplace.put_jobs(api_call("book"))
    workplace.work("erp")
    redis.zadd("rq:scheduled:erp", {f"{event.id}-ledger": time.time() - 10})
    redis.set("rq:scheduler-lock:erp", "dead", ex=45)

    _, nobody = look("erp")
    with worker(redis, "erp"):
        _, lines = look("erp")
        redis.expire("rq:scheduler-lock:erp", 60)
        status, behind = look("erp")

    assert problems(nobody)[1].endswith("no worker has queued them; start `deskbell worker erp`")
    assert "a scheduler that may have died has the lock for " in problems(lines)[0]
    assert status == 0
    assert any(line.endswith(" s: the scheduler of a worker is behind") for line in behind)


def test_no_living_worker_declares_what_waits(look: Look, redis: Redis, waiting: Workplace) -> None:
    """A type that was renamed or removed, or that is too new; not while one worker of the queue declares it.

    An id without a job is not counted.
    """
    erp, gone = waiting.queue("erp"), f"{'0' * 32}-push"
    assert erp.count == 2
    with worker(redis, "erp") as here, worker(redis, "erp") as other:
        record_of(redis, here.name, LIMITED)
        _, of_one = look("erp")
        record_of(redis, other.name, LIMITED, pid=2)
        redis.rpush(erp.key, gone)
        status, lines = look("erp")
        redis.lrem(erp.key, 1, gone)
        record_of(redis, other.name, NOTHING_RAN, pid=2)
        _, known = look("erp")

    assert problems(of_one) == problems(known) == []  # RQ's own worker does not say what it knows
    assert status == 1
    (found,) = problems(lines)
    assert found.startswith("2 jobs of push wait, and no living worker of the queue erp declares that type; deploy a ")


def test_a_worker_says_what_it_declares_how_busy_it_is_and_how_wrong_its_clock(
    redis: Redis, open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its heartbeat, for as long as RQ knows it."""
    monkeypatch.setattr(clock, "time", SimpleNamespace(time=lambda: time.time() + 3600))
    jobs = Jobs()
    seen: list[tuple[WorkerRecord, int]] = []

    @jobs.on(ApiCall, limit="6/min", breaker=Breaker(), queue="erp")
    def look_around(event: ApiCall) -> None:  # noqa: ARG001
        name = Worker.all(redis)[0].name
        seen.append((read_workers(redis, [name])[name], redis.ttl(WORKER_KEY + name)))

    workplace = open_workplace(jobs)
    workplace.put_jobs(api_call("order"))
    workplace.work("erp", concurrency=7)

    ((record, seconds),) = seen
    assert (record.queues, record.slots, 0 < seconds <= 105) == (("erp",), 7, True)
    assert record.job_types["look_around"].starts == 6
    assert record.job_types["look_around"].period_ms == 60_000
    assert 3500 < record.ahead < 3700


def test_that_a_queue_is_empty_means_nothing_while_events_wait(
    look: Look, redis: Redis, open_workplace: WorkplaceFactory
) -> None:
    """Its jobs may be among those that have not been made; an event that has just come is no reason."""
    waiting = open_workplace(LIMITED).put_event(api_call("order"))

    with worker(redis, "erp"):
        _, just_come = look("erp")
        waiting.enqueued_at = datetime.now(UTC) - timedelta(seconds=60)
        waiting.save()
        _, lines = look("erp")
        _, of_events = look(EVENTS)

    told = "warning: events wait on the queue events, 1 of them, the first for "
    assert not any(line.startswith(told) for line in (*just_come, *of_events))
    assert any(line.startswith(told) and line.endswith("see `deskbell doctor events`") for line in lines)
