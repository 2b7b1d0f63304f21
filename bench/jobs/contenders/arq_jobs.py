"""arq; all its jobs are coroutines."""

import asyncio
from functools import cache
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import func

from bench.jobs.contenders.probe import (
    PACKET,
    PAIR,
    REDIS_URL,
    SLOTS,
    begun,
    burn,
    ended_async,
    nothing_async,
    wait_async,
)

settings = RedisSettings.from_dsn(REDIS_URL)


async def nothing(_: Any, packet: dict[str, Any]) -> None:
    await nothing_async(packet)


async def cpu(_: Any, packet: dict[str, Any]) -> None:
    burn(packet)


async def wait(_: Any, packet: dict[str, Any]) -> None:
    await wait_async(packet)


async def job(_: Any, packet: dict[str, Any]) -> None:
    await ended_async(packet)


async def pair(pool: Any, packet: dict[str, Any]) -> None:
    await pool.enqueue_job("first", packet)
    await pool.enqueue_job("second", packet)


async def both(context: dict[str, Any], packet: dict[str, Any]) -> None:
    begun()
    await pair(context["redis"], packet)


class WorkerSettings:
    functions = [  # noqa: RUF012 - as arq wants it
        *(func(function) for function in (nothing, cpu, wait, both)),
        *(func(job, name=name) for name in PAIR),
    ]
    redis_settings = settings
    max_jobs = SLOTS


@cache
def loop_and_pool() -> tuple[asyncio.Runner, Any]:
    runner = asyncio.Runner()
    return runner, runner.run(create_pool(settings))


def put(workload: str, count: int) -> None:
    runner, pool = loop_and_pool()

    async def enqueue() -> None:
        for _ in range(count):
            await pool.enqueue_job(workload, PACKET)

    runner.run(enqueue())
