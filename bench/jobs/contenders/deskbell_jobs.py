"""Deskbell: jobs as its fan-out writes them; many are copied from one, since a million is asked for."""

import uuid
from functools import cache
from pathlib import Path

from redis import Redis

from bench.jobs.contenders import probe
from deskbell import ApiCall, Jobs
from shared.redis.queues import FOREVER, PERFORM, queue, queue_key
from shared.wire.commands import received
from shared.wire.events import Reply
from workers.retries import rq_retry

QUEUE = "bench"
_AT_ONCE = 5_000
jobs = Jobs()


@jobs.on(ApiCall, queue=QUEUE)
async def nothing(event: ApiCall) -> None:
    await probe.nothing_async(probe.PACKET)


@jobs.on(ApiCall, queue=QUEUE)
def nothing_def(event: ApiCall) -> None:
    probe.nothing(probe.PACKET)


@jobs.on(ApiCall, queue=QUEUE)
def cpu(event: ApiCall) -> None:
    probe.burn(probe.PACKET)


@jobs.on(ApiCall, queue=QUEUE)
async def wait(event: ApiCall) -> None:
    await probe.wait_async(probe.PACKET)


@cache
def connection() -> Redis:
    return Redis.from_url(probe.REDIS_URL)


def put_one(name: str) -> str:
    job_type = jobs.get(name)
    assert job_type
    event = received(probe.PACKET, app_id="1400000001", node="")
    job = queue(QUEUE, connection()).enqueue(
        PERFORM,
        args=[name, event.to_wire(Reply())],
        job_id=f"{event.id}-{job_type.type_slug}",
        description=name,
        job_timeout=job_type.timeout,
        failure_ttl=FOREVER,
        result_ttl=job_type.keep,
        retry=rq_retry(job_type),
    )
    return str(job.id)


def put(workload: str, count: int) -> None:
    job_id = put_one(workload)
    script = connection().register_script(Path(__file__).with_name("fill.lua").read_text())
    for done in range(0, count - 1, _AT_ONCE):
        more = min(_AT_ONCE, count - 1 - done)
        script(keys=[queue_key(QUEUE)], args=[job_id, more, uuid.uuid4().hex[:24], job_id[33:]])
