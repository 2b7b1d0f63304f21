"""After an outage leases are renewed before expired ones are reaped."""

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from deskbell import ApiCall, Jobs
from deskbell.testing import api_call
from tests.conftest import WorkplaceFactory
from tests.logged import capture_logs
from tests.workers.claiming import claim_all, executions, expire, put
from workers.worker.heartbeat import ReapGuard
from workers.worker.leases import Leases

if TYPE_CHECKING:
    from redis import Redis


def test_a_worker_renews_its_leases_before_it_reaps_expired_ones(open_workplace: WorkplaceFactory) -> None:
    """Redis did not answer for longer than a lease: the jobs under way are not run twice."""
    jobs, ran = Jobs(), []
    redis: Redis

    @jobs.on(ApiCall, attempts=3)
    async def job(event: ApiCall) -> None:
        ran.append(event.id)
        expire(redis)
        while redis.zrange("rq:wip:default", 0, 1, byscore=True) and len(ran) == 1:  # noqa: ASYNC110 - Redis is asked
            await asyncio.sleep(0.01)

    workplace = open_workplace(jobs, abandoned_seconds=5)
    redis = workplace.redis
    event = workplace.put_jobs(api_call())

    with capture_logs() as logs:
        workplace.work()

    assert ran == [event.id]
    assert not [line for line in logs if line["event"] in {"job_reaped", "lease_lost"}]


def test_the_first_worker_to_reach_redis_after_an_outage_leaves_the_others_time_to_renew(
    open_workplace: WorkplaceFactory, valkey_url: str
) -> None:
    """All leases have expired and all workers live: nothing is reaped, by a worker or by RQ's maintenance."""
    jobs = Jobs()
    redis: Redis

    @jobs.on(ApiCall, attempts=3)
    def count(event: ApiCall) -> None: ...

    @jobs.on(ApiCall, attempts=3, queue="other")
    async def pause(event: ApiCall) -> None:  # noqa: ARG001
        redis.zadd("rq:wip:default", {theirs.member: 1})
        redis.execute_command("CLIENT", "PAUSE", 2000, "ALL")
        members: Any = redis.zrange("rq:wip:other", 0, -1)
        ours = members[0]
        before = redis.zscore("rq:wip:other", ours) or 0
        while (redis.zscore("rq:wip:other", ours) or 0) <= before:  # noqa: ASYNC110 - Redis is asked
            await asyncio.sleep(0.01)

    workplace = open_workplace(jobs, abandoned_seconds=5)
    redis = workplace.redis
    put(workplace)

    with executions(valkey_url) as step, capture_logs() as logs:
        [theirs] = claim_all(step)
        workplace.work("other", "default")
        lost = step(lambda executions: executions.renew([theirs], "busy"))[1]

    assert lost == set()
    assert not [line for line in logs if line["event"] in {"job_reaped", "lease_lost"}]


def test_nothing_is_reaped_for_a_lease_from_the_first_heartbeat_after_a_gap() -> None:
    """Half a lease without a heartbeat is a gap, and so is the time before the first: Redis may just have come back."""
    now = 100.0
    guard = ReapGuard(10, clock=lambda: now)
    states = [guard.may_reap]
    for at in (100.0, 105.0, 110.0, 115.1, 120.0, 125.0, 125.2):
        now = at
        guard.record_heartbeat()
        states.append(guard.may_reap)

    assert states == [False, False, False, True, False, False, False, True]


def test_a_worker_that_cannot_renew_reaps_nothing(
    open_workplace: WorkplaceFactory, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does RQ's maintenance: it could take what is this worker's own."""
    jobs = Jobs()

    @jobs.on(ApiCall, attempts=3)
    def count(event: ApiCall) -> None: ...

    workplace = open_workplace(jobs)
    [job_id] = put(workplace)
    with executions(valkey_url) as step:
        claim_all(step)
    expire(workplace.redis)

    async def refuse(*_: Any) -> None:
        raise RedisConnectionError

    monkeypatch.setattr(Leases, "renew", refuse)
    workplace.work()

    assert workplace.redis.hget(f"rq:job:{job_id}", "status") == b"started"
    assert workplace.redis.zcard("rq:wip:default") == 1
