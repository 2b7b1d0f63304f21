"""Which successes the ack script writes, and which are left to RQ's own code."""

from typing import Any

from redis import Redis

from deskbell import ApiCall, Jobs
from tests.conftest import WorkplaceFactory
from tests.workers.claiming import claim, put_job, worker_of
from tests.workers.running import Workplace
from workers.worker.leases import Acked


def one_job(open_workplace: WorkplaceFactory, **fields: Any) -> tuple[Workplace, str]:
    """A job on its queue, some fields of its hash as given."""
    jobs = Jobs()

    @jobs.on(ApiCall)
    def count(event: ApiCall) -> None: ...

    workplace = open_workplace(jobs)
    job_id = put_job(workplace, "count")
    for name, value in fields.items():
        workplace.redis.hset(f"rq:job:{job_id}", name, value)
    return workplace, job_id


def test_a_job_that_is_not_to_be_kept_is_deleted_by_its_ack(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """In the script, as any other: what RQ deletes of it is deleted, and it is in no registry."""
    workplace, job_id = one_job(open_workplace, result_ttl=0)
    redis.sadd(f"rq:job::{job_id}:dependencies", "before")

    with worker_of(workplace, valkey_url) as step:
        [lease] = claim(step).leases
        acked = step(lambda ours: ours.ack([(lease, None)]))

    assert acked == Acked(set(), set(), set())
    assert redis.keys(f"*{job_id}*") == []
    assert redis.exists("rq:wip:default", "rq:finished:default", "rq:worker:ours:executions") == 0
