"""dramatiq on Redis."""

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.jobs.contenders.probe import BLOCKING, PACKET, REDIS_URL, begun

dramatiq.set_broker(RedisBroker(url=REDIS_URL))
actors = {name: dramatiq.actor(function, actor_name=name) for name, function in BLOCKING.items()}


def pair(packet: dict[str, Any]) -> None:
    actors["first"].send(packet)
    actors["second"].send(packet)


def both(packet: dict[str, Any]) -> None:
    begun()
    pair(packet)


actors["both"] = dramatiq.actor(both)


def put(workload: str, count: int) -> None:
    for _ in range(count):
        actors[workload].send(PACKET)
