"""Reaping the jobs of a dead worker, and releasing a claim whose answer was lost: no job waits, none holds a slot."""

import os
import signal

import pytest
from redis import Redis

from deskbell import ApiCall, Concurrency, Jobs
from deskbell.testing.stack import signals_kept
from shared.redis.releases import declared_key
from tests.conftest import WorkplaceFactory
from tests.logged import capture_logs
from tests.workers.claiming import claim, expire, limited_jobs, lost_answer, put_job, worker_of
from workers.worker.heartbeat import ReapGuard
from workers.worker.worker import ConcurrentWorker


def test_all_jobs_of_a_dead_worker_are_reaped_at_once(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """However many there were: a hundred at each heartbeat would take too long."""
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


def test_at_most_a_hundred_dead_letters_are_written_at_one_heartbeat(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """Each is a thread's work; the others are reaped at the next heartbeat."""
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


def test_a_damaged_key_of_what_workers_declare_stops_no_reaping(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has written over it: the jobs of dead workers are put back, and the log says what is wrong."""
    workplace = open_workplace(limited_jobs("1/s"))
    job_id = put_job(workplace, "free")
    with worker_of(workplace, valkey_url, "dead") as step:
        claim(step, free=1)
    expire(redis)
    redis.set(declared_key("default"), "x")
    monkeypatch.setattr(ReapGuard, "may_reap", True)

    with capture_logs() as lines:
        workplace.work()

    assert [line["job_id"] for line in lines if line["event"] == "job_reaped"] == [job_id]
    assert "maintenance_failed" in [line["event"] for line in lines]


@pytest.mark.parametrize("how", ["reaped", "dead letter", "released"])
def test_a_job_that_leaves_its_worker_frees_its_slot(
    how: str, open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """Whether it is reaped or released, its slot does not stay taken until it expires."""
    workplace = open_workplace(limited_jobs(Concurrency(1)))
    job_id = put_job(workplace, "few")

    with worker_of(workplace, valkey_url) as step:
        claims = claim(step).leases
        held = redis.zrange("deskbell:slots:few", 0, -1)
        redis.hset(f"rq:job:{job_id}", "retries_left", int(how != "dead letter"))
        if how == "released":
            step(lambda ours: ours.release(claims))
        else:
            expire(redis)
            step(lambda ours: ours.reap("default"))

    assert held == [job_id.encode()]
    assert redis.zcard("deskbell:slots:few") == 0


def test_a_worker_releases_the_jobs_of_a_claim_whose_answer_was_lost(
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


def test_a_worker_that_ends_releases_the_jobs_of_a_claim_whose_answer_was_lost(
    open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """Its last claim was not answered before it was told to end."""
    workplace = open_workplace(limited_jobs("1000/s"))
    ids = [put_job(workplace, "free") for _ in range(2)]

    with signals_kept(), lost_answer(then=lambda: os.kill(os.getpid(), signal.SIGTERM)):
        ConcurrentWorker(["default"], workplace.performer, redis).run()

    assert workplace.queue().job_ids == ids
    assert redis.zcard("rq:wip:default") == 0
    assert {redis.hget(f"rq:job:{job_id}", "status") for job_id in ids} == {b"queued"}


def test_a_reap_that_redis_runs_long_after_it_was_sent_reaps_nothing(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """Redis stood still meanwhile, and no worker could renew its leases."""
    workplace = open_workplace(limited_jobs("1/s"), abandoned_seconds=5)
    job_id = put_job(workplace, "free")
    with worker_of(workplace, valkey_url, "dead") as step:
        claim(step, free=1)
    expire(redis)

    with worker_of(workplace, valkey_url) as step:
        step(lambda ours: ours.renew([], "busy"))
        redis.execute_command("CLIENT", "PAUSE", 2000, "ALL")
        late = step(lambda ours: ours.reap("default"))
        step(lambda ours: ours.renew([], "busy"))
        reaped, _ = step(lambda ours: ours.reap("default"))

    assert late == ([], [])
    assert reaped == [job_id.encode()]


def test_rqs_maintenance_takes_no_job_from_a_worker(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """RQ's own goes by the clock of the worker that cleans; registries of jobs that have ended are cleaned as ever."""
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
