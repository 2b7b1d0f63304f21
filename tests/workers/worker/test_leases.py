"""Leases: jobs are claimed, released and reaped, and only the holder of a lease writes what came of its job."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError
from rq.registry import StartedJobRegistry

from deskbell import ApiCall, Discard, Jobs
from deskbell.testing import api_call
from shared.redis.queues import PERFORM
from tests.conftest import WorkplaceFactory
from tests.logged import capture_logs
from tests.workers.claiming import LEASE, claim_all, executions, expire, lost_answer, put
from tests.workers.running import Workplace, traceback_of
from workers.worker.leases import Acked


def test_a_claimed_job_is_in_the_registry_and_never_in_the_workers_memory_alone(
    workplace: Workplace, valkey_url: str
) -> None:
    """Ids go from the lists into RQ's StartedJobRegistry in one step, with a lease; RQ sees the execution."""
    ids = put(workplace, 3)

    with executions(valkey_url) as step:
        claims = claim_all(step, free=2)

    default = workplace.queue()
    assert [claim.job_id for claim in claims] == ids[:2]
    assert default.job_ids == ids[2:]
    assert sorted(default.started_job_registry.get_job_ids()) == sorted(ids[:2])
    job = workplace.redis.hgetall(f"rq:job:{ids[0]}")
    assert (job[b"status"], job[b"worker_name"], job[b"meta"], job[b"retries_left"]) == (
        b"started", b"ours", b'{"attempt": 1}', b"2",
    )  # fmt: skip
    assert LEASE - 5 <= workplace.redis.ttl(f"rq:execution:{claims[0].member}") <= LEASE


@pytest.mark.parametrize("renewed", [False, True])
def test_rqs_tools_do_not_take_a_job_whose_heartbeat_is_late_and_the_reaper_does(
    renewed: bool, workplace: Workplace, valkey_url: str
) -> None:
    """The lease is the life of the execution's key; the registry, which RQ's tools clean, allows 50 s more."""
    [job_id] = put(workplace)
    registry = workplace.queue().started_job_registry

    with executions(valkey_url) as step:
        [claim] = claim_all(step)
        if renewed:
            step(lambda ours: ours.renew([claim], "busy"))
        early = step(lambda ours: ours.reap("default"))[0]
        registry.cleanup(time.time() + LEASE + 45)
        kept = registry.get_job_ids(cleanup=False)
        workplace.redis.delete(f"rq:execution:{claim.member}")
        workplace.redis.zincrby("rq:wip:default", -LEASE - 1, claim.member)  # as when the lease has just run out
        late = step(lambda ours: ours.reap("default"))[0]

    assert (early, kept, late) == ([], [job_id], [job_id.encode()])


def test_a_lease_of_rqs_own_worker_is_left_to_its_end(workplace: Workplace, valkey_url: str) -> None:
    """Its score has no margin; as long as its execution's key exists it is not reaped."""
    put(workplace)

    with executions(valkey_url) as step:
        [claim] = claim_all(step)
        workplace.redis.zadd("rq:wip:default", {claim.member: time.time() + 5})
        reaped = step(lambda ours: ours.reap("default"))[0]

    assert reaped == []


def test_queues_are_claimed_from_in_their_order_and_each_in_its_own(
    open_workplace: WorkplaceFactory, valkey_url: str
) -> None:
    """The first queue first; within a queue, the job that waits longest."""
    workplace = open_workplace(Jobs())
    for name, ids in {"low": ["l1", "l2"], "high": ["h1", "h2"]}.items():
        for job_id in ids:
            workplace.queue(name).enqueue(PERFORM, job_id=job_id, description="x")

    with executions(valkey_url) as step:
        first = [claim.job_id for claim in claim_all(step, "high", "low", free=3)]
        second = [claim.job_id for claim in claim_all(step, "high", "low", free=3)]

    assert (first, second) == (["h1", "h2", "l1"], ["l2"])


def test_a_later_queue_does_not_starve(open_workplace: WorkplaceFactory) -> None:
    """One claim in eight begins with a later queue: its jobs run though the first queue is never empty."""
    jobs, ran = Jobs(), []

    @jobs.on(ApiCall, queue="high")
    async def urgent(event: ApiCall) -> None:  # noqa: ARG001
        ran.append("urgent")

    @jobs.on(ApiCall, queue="low")
    async def patient(event: ApiCall) -> None:  # noqa: ARG001
        ran.append("patient")

    workplace = open_workplace(jobs)
    for _ in range(30):
        workplace.put_jobs(api_call())

    workplace.work("high", "low", concurrency=1)

    assert ran.count("urgent") == ran.count("patient") == 30
    assert 1 <= ran[:30].count("patient") <= 6


def test_a_success_is_written_once_and_only_by_the_holder_of_the_lease(workplace: Workplace, valkey_url: str) -> None:
    """Fencing: a worker that was frozen until its job was reaped and begun elsewhere can ack nothing."""
    [job_id] = put(workplace)

    with executions(valkey_url, "frozen") as frozen, executions(valkey_url, "other") as other:
        old = claim_all(frozen)
        expire(workplace.redis)
        other(lambda theirs: theirs.reap("default"))
        new = claim_all(other)
        refused = frozen(lambda ours: ours.ack([(old[0], None)]))
        refused_again = frozen(lambda ours: ours.renew(old, "busy"))
        released = frozen(lambda ours: ours.release(old))
        status = workplace.redis.hget(f"rq:job:{job_id}", "status")
        acked = other(lambda theirs: theirs.ack([(new[0], None)]))

    assert refused == Acked({old[0].execution_id}, set(), set())
    assert refused_again == (False, {old[0].execution_id})
    assert released == 0
    assert status == b"started"
    assert acked == Acked(set(), set(), set())
    assert workplace.redis.hget(f"rq:job:{job_id}", "status") == b"finished"
    assert workplace.redis.xlen(f"rq:results:{job_id}") == 1
    assert not workplace.redis.exists("rq:wip:default", "rq:worker:frozen:executions", "rq:worker:other:executions")


@pytest.mark.parametrize("outcome", [OSError("late"), Discard("late")], ids=str)
def test_a_failure_of_an_execution_that_was_reaped_writes_nothing(
    outcome: Exception, open_workplace: WorkplaceFactory
) -> None:
    """Neither status, retry, meta nor dead letter: the job is running elsewhere."""
    jobs = Jobs()
    after: list[Any] = []
    redis: Redis

    @jobs.on(ApiCall, attempts=3)
    def late(event: ApiCall) -> None:  # noqa: ARG001
        member: Any = redis.zrange("rq:wip:default", 0, -1)[0]
        redis.zrem("rq:wip:default", member)  # what the reaper and another worker's claim do
        redis.delete(f"rq:execution:{member.decode()}")
        redis.hset(job_key, mapping={"worker_name": "other", "meta": '{"attempt": 2}'})
        after.append(redis.hgetall(job_key))
        raise outcome

    workplace = open_workplace(jobs, abandoned_seconds=5)  # its next heartbeat comes soon
    redis = workplace.redis
    event = api_call()
    job_key = f"rq:job:{event.id}-late"
    workplace.put_jobs(event)

    with capture_logs() as logs:
        workplace.work()

    assert [line["event"] for line in logs if "lost" in line["event"]] == ["lease_lost"]
    assert redis.hgetall(job_key) == after[0]
    assert workplace.queue().scheduled_job_registry.get_job_ids() == []
    assert workplace.queue().failed_job_registry.get_job_ids() == []


def test_released_jobs_are_as_if_they_had_not_been_claimed(workplace: Workplace, valkey_url: str) -> None:
    """At the head of the queue, in their order, the attempt uncounted."""
    ids = put(workplace, 4)
    before = workplace.redis.hgetall(f"rq:job:{ids[0]}")

    with executions(valkey_url) as step:
        claims = claim_all(step, free=3)
        count = step(lambda ours: ours.release(claims))
        again = claim_all(step, free=1)

    assert count == 3
    assert workplace.queue().job_ids == ids[1:]
    assert again[0].attempt == 1
    after = workplace.redis.hgetall(f"rq:job:{ids[1]}")
    assert after[b"status"] == b"queued"
    assert after[b"retries_left"] == before[b"retries_left"]
    assert after[b"meta"] == b'{"attempt": 0}'


def test_a_reaped_job_is_back_on_its_queue_and_its_attempt_has_counted(workplace: Workplace, valkey_url: str) -> None:
    """A job that kills its workers must come to an end."""
    [job_id] = put(workplace)

    with executions(valkey_url) as step:
        attempts = []
        for _ in range(3):
            [claim] = claim_all(step)
            attempts.append(claim.attempt)
            expire(workplace.redis)
            reaped = step(lambda ours: ours.reap("default"))

    assert attempts == [1, 2, 3]
    assert reaped[0] == []
    assert [lease.job_id for lease in reaped[1]] == [job_id]
    assert workplace.queue().started_job_registry.get_job_ids() == [job_id], "until its dead letter is written"


@pytest.mark.usefixtures("reaps_at_once")
def test_a_reaped_job_without_attempts_left_is_a_dead_letter(open_workplace: WorkplaceFactory, valkey_url: str) -> None:
    """RQ's own code writes the dead letter, which says why."""
    jobs = Jobs()

    @jobs.on(ApiCall, name="count", attempts=1)
    def once(event: ApiCall) -> None: ...

    workplace = open_workplace(jobs)
    [job_id] = put(workplace)
    with executions(valkey_url) as step:
        claim_all(step)
    workplace.redis.hset(f"rq:job:{job_id}", "retries_left", 0)
    expire(workplace.redis)

    with capture_logs() as logs:
        workplace.work()

    job = workplace.queue().fetch_job(job_id)
    assert job
    assert job.is_failed
    assert "no sign of life" in traceback_of(job)
    assert "job_abandoned" in [line["event"] for line in logs]
    assert workplace.queue().started_job_registry.get_job_ids() == []


def test_of_a_job_that_runs_elsewhere_only_the_expired_lease_is_reaped(workplace: Workplace, valkey_url: str) -> None:
    """Two executions of one job: the one that is renewed goes on."""
    [job_id] = put(workplace)

    with executions(valkey_url) as step:
        [old] = claim_all(step)
        workplace.redis.zadd("rq:wip:default", {f"{job_id}:{old.execution_id}": 1})
        workplace.redis.rpush("rq:queue:default", job_id)
        [new] = claim_all(step)
        reaped = step(lambda ours: ours.reap("default"))

    assert reaped == ([], [])
    assert workplace.queue().job_ids == []
    members = StartedJobRegistry(queue=workplace.queue()).get_job_and_execution_ids(cleanup=False)
    assert members == [(job_id, new.execution_id)]


def claim_in_vain(step: Callable[..., Any]) -> None:
    """Claim one job, and lose the answer."""
    with lost_answer(), pytest.raises(RedisConnectionError):
        claim_all(step, free=1)


def test_a_claim_whose_answer_was_lost_is_released(workplace: Workplace, valkey_url: str) -> None:
    """Redis claimed, the connection broke: the worker finds the jobs in its own index, and releases them."""
    ids = put(workplace, 2)

    with executions(valkey_url) as step:
        claim_all(step, free=1)
        claim_in_vain(step)
        step(lambda ours: ours.release_unanswered())

    assert workplace.queue().job_ids == ids[1:]
    assert workplace.redis.hget(f"rq:job:{ids[1]}", "meta") == b'{"attempt": 0}'


def test_a_job_without_attempts_left_is_not_released_with_a_claim_whose_answer_was_lost(
    workplace: Workplace, valkey_url: str
) -> None:
    """A job reaped to become a dead letter keeps its lease, and its last attempt counts: else it would never end."""
    ids = put(workplace, 2)
    workplace.redis.lrem("rq:queue:default", 1, ids[1])

    with executions(valkey_url) as step:
        claim_all(step)
        workplace.redis.hset(f"rq:job:{ids[0]}", "retries_left", 0)
        expire(workplace.redis)
        [spent] = step(lambda ours: ours.reap("default"))[1]
        workplace.redis.rpush("rq:queue:default", ids[1])
        claim_in_vain(step)
        step(lambda ours: ours.release_unanswered())

    assert spent.job_id == ids[0]
    assert workplace.queue().job_ids == [ids[1]]
    assert workplace.redis.zscore("rq:wip:default", spent.member) is not None


def test_a_job_that_is_still_on_its_queue_is_not_pushed_again(workplace: Workplace, valkey_url: str) -> None:
    """Whether it is released or reaped, its id is on the queue once."""
    ids = put(workplace, 2)

    with executions(valkey_url) as step:
        claims = claim_all(step)
        workplace.redis.rpush("rq:queue:default", *ids)
        step(lambda ours: ours.release(claims[:1]))
        expire(workplace.redis)
        step(lambda ours: ours.reap("default"))

    assert sorted(workplace.queue().job_ids) == sorted(ids)
    assert workplace.redis.zcard("rq:wip:default") == 0


def test_what_keeps_jobs_from_running_twice_is_written_though_redis_is_full(
    workplace: Workplace, valkey_url: str
) -> None:
    """Leases are renewed, successes acked, other jobs released or reaped; only claims are refused."""
    redis = workplace.redis
    ids = put(workplace, 4)

    with executions(valkey_url) as step, full(redis):
        with lifted(redis):
            acked, released, abandoned = claim_all(step, free=3)
            expire(redis)
        lost = step(lambda ours: ours.renew([acked, released], "busy"))[1]
        outcome = step(lambda ours: ours.ack([(acked, None)]))
        count = step(lambda ours: ours.release([released]))
        reaped = step(lambda ours: ours.reap("default"))[0]
        with pytest.raises(OutOfMemoryError):
            claim_all(step)

    assert (lost, outcome, count, reaped) == (set(), Acked(set(), set(), set()), 1, [abandoned.job_id.encode()])
    assert workplace.queue().finished_job_registry.get_job_ids() == [ids[0]]
    assert workplace.queue().job_ids == [ids[2], ids[1], ids[3]]


@contextmanager
def full(redis: Redis) -> Iterator[None]:
    """Redis has used all the memory it may."""
    redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        redis.config_set("maxmemory", 0)


@contextmanager
def lifted(redis: Redis) -> Iterator[None]:
    """For a moment it has room."""
    redis.config_set("maxmemory", 0)
    yield
    redis.config_set("maxmemory", 1)
