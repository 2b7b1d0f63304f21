"""RQ, with JSON jobs; `Worker` and `SimpleWorker` share it."""

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from bench.jobs.contenders.probe import BLOCKING, PACKET, REDIS_URL

queue = Queue("bench", connection=Redis.from_url(REDIS_URL), serializer=JSONSerializer)


def put(workload: str, count: int) -> None:
    if count == 1:
        queue.enqueue(BLOCKING[workload], PACKET)
    else:
        queue.enqueue_many([Queue.prepare_data(BLOCKING[workload], args=[PACKET]) for _ in range(count)])
