"""What comes of the jobs of a worker that died, and of a claim whose answer was lost: none waits, none holds a slot."""

import os
import signal

import pytest
from redis import Redis

from deskbell import ApiCall, Concurrency, Jobs
from tests.conftest import WorkplaceFactory
from tests.workers.claiming import claim, expire, limited_jobs, lost_answer, put_job, worker_of
from tests.workers.working import signals_kept
from workers.worker.worker import ConcurrentWorker


def test_all_that_a_dead_worker_held_is_recovered_at_once(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """However many: a worker is not back after a hundred of them a look."""
    workplace = open_workplace(limited_jobs("1/s"))
    ids = [put_job(workplace, "free") for _ in range(450)]
    with worker_of(workplace, valkey_url, "dead") as step:
        claim(step, free=1000)
    expire(redis)

    with worker_of(workplace, valkey_url) as step:
        reaped, _ = step(lambda ours: ours.reap("default"))

    assert sorted(reaped) == sorted(job_id.encode() for job_id in ids)
    assert redis.zcard("rq:wip:default") == 0
    assert sorted(redis.lrange("rq:queue:default", 0, -1)) == sorted(reaped)


def test_no_more_are_taken_to_be_buried_than_a_worker_buries(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """Each is a thread's work; the rest comes at the next look."""
    workplace = open_workplace(limited_jobs("1/s"))
    for _ in range(250):
        put_job(workplace, "free")
    with worker_of(workplace, valkey_url, "dead") as step:
        claim(step, free=1000)
    for key in redis.scan_iter("rq:job:*"):
        redis.hset(key, "retries_left", 0)
    expire(redis)

    with worker_of(workplace, valkey_url) as step:
        _, exhausted = step(lambda ours: ours.reap("default"))

    assert len(exhausted) == 100
    assert redis.zcount("rq:wip:default", 0, 1) == 150


@pytest.mark.parametrize("how", ["recovered", "buried", "put back"])
def test_a_job_that_leaves_its_worker_frees_its_slot(
    how: str, open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """Recovered or put back, the slot is not held until its lease has run out."""
    workplace = open_workplace(limited_jobs(Concurrency(1)))
    job_id = put_job(workplace, "few")

    with worker_of(workplace, valkey_url) as step:
        claims = claim(step).leases
        held = redis.zrange("deskbell:slots:few", 0, -1)
        redis.hset(f"rq:job:{job_id}", "retries_left", int(how != "buried"))
        if how == "put back":
            step(lambda ours: ours.release(claims))
        else:
            expire(redis)
            step(lambda ours: ours.reap("default"))

    assert held == [job_id.encode()]
    assert redis.zcard("deskbell:slots:few") == 0


def test_a_worker_puts_back_what_a_claim_took_whose_answer_was_lost(
    open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """Redis claimed, the connection broke: the jobs run at once, and it is their first attempt."""
    jobs, ran = Jobs(), []

    @jobs.on(ApiCall, attempts=3)
    def count(event: ApiCall) -> None:
        ran.append(event.id)

    workplace = open_workplace(jobs)
    ids = [put_job(workplace, "count") for _ in range(3)]

    with lost_answer() as lost:
        workplace.work()

    assert lost == [3]
    assert sorted(ran) == sorted(job_id[:32] for job_id in ids)
    assert {redis.hget(f"rq:job:{job_id}", "meta") for job_id in ids} == {b'{"attempt": 1}'}
    assert redis.zcard("rq:wip:default") == 0


def test_a_worker_that_ends_puts_back_what_it_does_not_know_it_has(
    open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """The answer of its last claim was lost, and then it was told to end."""
    workplace = open_workplace(limited_jobs("1000/s"))
    ids = [put_job(workplace, "free") for _ in range(2)]

    with signals_kept(), lost_answer(then=lambda: os.kill(os.getpid(), signal.SIGTERM)):
        ConcurrentWorker(["default"], workplace.performer, redis).run()

    assert workplace.queue().job_ids == ids
    assert redis.zcard("rq:wip:default") == 0
    assert {redis.hget(f"rq:job:{job_id}", "status") for job_id in ids} == {b"queued"}


def test_what_redis_reaps_long_after_it_was_asked_is_nothing(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """It stood still meanwhile, and no worker could renew its leases; after the next heartbeat it is reaped."""
    workplace = open_workplace(limited_jobs("1/s"), abandoned_seconds=5)
    job_id = put_job(workplace, "free")
    with worker_of(workplace, valkey_url, "dead") as step:
        claim(step, free=1)
    expire(redis)

    with worker_of(workplace, valkey_url) as step:
        step(lambda ours: ours.renew([]))
        redis.execute_command("CLIENT", "PAUSE", 2000, "ALL")
        late = step(lambda ours: ours.reap("default"))
        step(lambda ours: ours.renew([]))
        reaped, _ = step(lambda ours: ours.reap("default"))

    assert late == ([], [])
    assert reaped == [job_id.encode()]


def test_rqs_maintenance_takes_no_job_from_a_worker(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """RQ's own goes by the clock of whoever cleans; the registries of what has ended it cleans as ever."""
    workplace = open_workplace(limited_jobs("1/s"))
    job_id = put_job(workplace, "free")
    with worker_of(workplace, valkey_url, "slow") as step:
        claim(step, free=1)
    expire(redis)
    redis.zadd("rq:finished:default", {"long ago": 1})

    worker = ConcurrentWorker(["default"], workplace.performer, redis)
    worker.run_maintenance_tasks()  # type: ignore[no-untyped-call]

    assert redis.zcard("rq:wip:default") == 1
    assert redis.hget(f"rq:job:{job_id}", "status") == b"started"
    assert redis.zcard("rq:finished:default") == 0
    assert worker.last_cleaned_at
