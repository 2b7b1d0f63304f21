"""taskiq on a Redis stream: of its brokers for Redis the one that acknowledges."""

import asyncio
from functools import cache
from typing import Any

from taskiq_redis import RedisStreamBroker

from bench.jobs.contenders.probe import PACKET, PAIR, REDIS_URL, begun, burn, ended_async, nothing_async, wait_async

broker = RedisStreamBroker(url=REDIS_URL)


async def pair(packet: dict[str, Any]) -> None:
    await tasks["first"].kiq(packet)
    await tasks["second"].kiq(packet)


async def both(packet: dict[str, Any]) -> None:
    begun()
    await pair(packet)


functions: dict[str, Any] = {
    "nothing": nothing_async,
    "cpu": burn,
    "wait": wait_async,
    "both": both,
    **dict.fromkeys(PAIR, ended_async),
}
tasks = {name: broker.task(task_name=name)(function) for name, function in functions.items()}


@cache
def loop() -> asyncio.Runner:
    runner = asyncio.Runner()
    runner.run(broker.startup())
    return runner


def put(workload: str, count: int) -> None:
    async def enqueue() -> None:
        for _ in range(count):
            await tasks[workload].kiq(PACKET)

    loop().run(enqueue())
