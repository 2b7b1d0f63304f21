"""dramatiq on Redis."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.jobs.contenders.probe import BLOCKING, PACKET, REDIS_URL

dramatiq.set_broker(RedisBroker(url=REDIS_URL))
actors = {name: dramatiq.actor(function, actor_name=name) for name, function in BLOCKING.items()}


def put(workload: str, count: int) -> None:
    for _ in range(count):
        actors[workload].send(PACKET)
