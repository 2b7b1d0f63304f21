"""Dead letters for a test: real ones, from jobs that fail, and any number of them written as RQ writes them."""

import json
import time
import zlib
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from redis import Redis
from rq.serializers import JSONSerializer

from deskbell import Event, Jobs
from deskbell.testing import api_call
from shared.redis.queues import PERFORM
from shared.wire.events import new_event_id
from tests.workers.running import Workplace
from workers.dead_letters.registry import DeadLetter, DeadLetters, Selection

TRACEBACK = """Traceback (most recent call last):
  File "/app/workers/perform.py", line 50, in perform
    self._call(job_type, arguments)
  File "/app/acme/jobs.py", line 12, in record
    raise OSError(event.user_id)
OSError: user517
"""


class Unwilling:
    """A job type whose jobs fail until a flag is set."""

    def __init__(self, *, attempts: int = 1, queue: str = "default", name: str = "acme.record") -> None:
        self.jobs = Jobs()
        self.fails = True
        self.done: list[str] = []

        @self.jobs.on(Event, attempts=attempts, queue=queue, name=name)
        def record(event: Event) -> None:
            if self.fails:
                raise OSError(event.user_id)
            self.done.append(event.id)


def make_dead_letters(
    workplace: Workplace, *, queue: str = "default", count: int = 1, events: Sequence[Event] = ()
) -> list[Event]:
    """Have jobs of these events, or of so many, fail for good; the events, the first first."""
    events = events or [api_call("order_status", SystemClientUserID="user517") for _ in range(count)]
    for event in events:
        workplace.put_jobs(event)
    while workplace.queue(queue).count + workplace.queue(queue).scheduled_job_registry.count:
        workplace.make_due(queue)
        workplace.work(queue)
    return sorted(events, key=lambda event: event.id)


def write_dead_letters(redis: Redis, count: int, *, queue: str = "crm", name: str = "crm-contact") -> list[str]:
    """Write so many dead letters, a second apart, every third with its cause recorded; their ids, the first first."""
    now = time.time() - count
    data = zlib.compress(JSONSerializer.dumps([PERFORM, None, [name, {"packet": {"Name": "user517"}}], {}]))
    text = b64encode(zlib.compress(TRACEBACK.encode()))
    ids = [f"{new_event_id(now + number)}-{name}" for number in range(count)]
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.sadd("rq:queues", f"rq:queue:{queue}")
        for number, job_id in enumerate(ids):
            record = {"attempt": 0, "attempts": 8, "cause": "Discard at acme/jobs.py:9 in record"}
            fields: Any = {
                "status": "failed",
                "origin": queue,
                "data": data,
                "created_at": "2026-11-24T10:00:00.000000Z",
            }
            meta = record if number % 3 == 0 else {"attempt": 8}
            pipeline.hset(f"rq:job:{job_id}", mapping=fields | {"meta": json.dumps(meta), "retries_left": 0})
            pipeline.zadd(f"rq:failed:{queue}", {job_id: -1})
            pipeline.xadd(f"rq:results:{job_id}", {"type": 2, "worker_name": "w", "exc_string": text})
            if len(pipeline) >= 5000:
                pipeline.execute()
        pipeline.execute()
    return ids


def all_dead_letters(redis: Redis, selection: Selection | None = None) -> list[DeadLetter]:
    """Every dead letter that is meant."""
    return [dead_letter for page in DeadLetters(redis).pages(selection or Selection()) for dead_letter in page]
