"""Claiming in a test: the leases of a worker, called one step after another, and jobs for them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as RedisConnectionError

from deskbell import ApiCall, Concurrency, Jobs, Settings
from deskbell.testing import api_call
from shared.redis.queues import PERFORM
from tests.workers.running import Workplace
from workers.lease import Lease
from workers.worker.leases import Claimed, Leases

LEASE = 30
CLAIMED_AT = 3  # of the answer of a claim
Step = Callable[[Callable[[Leases], Awaitable[Any]]], Any]


def counting_jobs() -> tuple[Jobs, list[str]]:
    """A job type `count` of three attempts, and what it counted."""
    jobs, counted = Jobs(), []

    @jobs.on(ApiCall, attempts=3)
    def count(event: ApiCall) -> None:
        counted.append(event.id)

    return jobs, counted


def limited_jobs(limit: str | Concurrency) -> Jobs:
    """A job type `few` with a limit, and `free` without."""
    jobs = Jobs()

    @jobs.on(ApiCall, limit=limit)
    def few(event: ApiCall) -> None: ...

    @jobs.on(ApiCall)
    def free(event: ApiCall) -> None: ...

    return jobs


@contextmanager
def executions(url: str, name: str = "ours") -> Iterator[Step]:
    """Call the leases of a worker that knows `counting_jobs`, one step after another."""
    settings = Settings(redis_url=SecretStr(url), abandoned_seconds=round(LEASE / 0.6))
    with stepping(url, name, counting_jobs()[0], settings) as step:
        yield step


@contextmanager
def worker_of(workplace: Workplace, url: str, name: str = "ours") -> Iterator[Step]:
    """Call the leases of a worker that knows the workplace's job types, one step after another."""
    with stepping(url, name, workplace.jobs, workplace.performer.settings) as step:
        yield step


@contextmanager
def stepping(url: str, name: str, jobs: Jobs, settings: Settings) -> Iterator[Step]:
    """Call a worker's leases, one step after another."""
    with asyncio.Runner() as runner:
        redis = AsyncRedis.from_url(url)
        leases = Leases(redis, name, ["default"], jobs, settings)

        async def call(what: Callable[[Leases], Awaitable[Any]]) -> Any:
            return await what(leases)

        try:
            yield lambda what: runner.run(call(what))
        finally:
            runner.run(redis.aclose())


@contextmanager
def lost_answer(then: Callable[[], object] = list) -> Iterator[list[int]]:
    """Lose the answer of the first claim that takes jobs; how many it took.

    Args:
        then: called when it is lost.
    """
    call_really, lost = AsyncScript.__call__, list[int]()

    async def call(self: AsyncScript, keys: Any = None, args: Any = None, client: Any = None) -> Any:
        answer = await call_really(self, keys, args, client)
        if keys and answer[CLAIMED_AT] and not lost:  # only claims have keys
            lost.append(len(answer[CLAIMED_AT]) // 6)
            then()
            raise RedisConnectionError
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AsyncScript, "__call__", call)
        yield lost


def claim_all(step: Callable[..., Any], *queues: str, free: int = 10) -> list[Lease]:
    """Claim what there is on queues."""
    claims: list[Lease] = step(lambda ours: ours.claim(queues or ["default"], free)).leases
    return claims


def claim(step: Step, free: int = 10, queue: str = "default") -> Claimed:
    """One claim from a queue."""
    claimed: Claimed = step(lambda ours: ours.claim([queue], free))
    return claimed


def expire(redis: Redis, name: str = "default") -> None:
    """Let the leases of a queue run out."""
    key = f"rq:wip:{name}"
    members: list[Any] = redis.zrange(key, 0, -1)
    for member in members:
        redis.zadd(key, {member: 1})


def put(workplace: Workplace, count: int = 1) -> list[str]:
    """Put jobs of the type `count` on their queue; their ids."""
    events = [api_call(str(number)) for number in range(count)]
    for event in events:
        workplace.put_jobs(event)
    return [f"{event.id}-count" for event in events]


def put_job(workplace: Workplace, name: str, queue: str = "default") -> str:
    """Put a job on a queue as fan-out does; its id."""
    event = api_call("x")
    job = workplace.queue(queue).create_job(
        PERFORM, args=[name, event.to_wire()], job_id=f"{event.id}-{name}", failure_ttl=-1
    )
    workplace.queue(queue).enqueue_job(job)
    return str(job.id)
