"""RQ, with JSON jobs; `Worker` and `SimpleWorker` share it."""

from typing import Any

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from bench.jobs.contenders.probe import BLOCKING, PACKET, REDIS_URL, begun, ended

queue = Queue("bench", connection=Redis.from_url(REDIS_URL), serializer=JSONSerializer)


def pair(packet: dict[str, Any]) -> None:
    queue.enqueue(ended, packet)
    queue.enqueue(ended, packet)


def both(packet: dict[str, Any]) -> None:
    begun()
    pair(packet)


functions = BLOCKING | {"both": both}


def put(workload: str, count: int) -> None:
    if count == 1:
        queue.enqueue(functions[workload], PACKET)
    else:
        queue.enqueue_many([Queue.prepare_data(functions[workload], args=[PACKET]) for _ in range(count)])
