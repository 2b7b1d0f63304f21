"""What living workers have: each says it at intervals, and learns what the others have that it does not.

1. Jobs of a type that another worker of the queue declares stay on the queue for that one: `claim.lua` passes them by.
2. Jobs that were left because nobody had what they need are recalled by the first worker that has it.
3. Of the workers that read `events`, those of the newest release fan out: an event becomes the jobs of one release, and
   during a deploy that is the new one from its first worker on. The newest release is the one with the job type, or the
   form of events, that was introduced last.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from redis.asyncio import Redis as AsyncRedis
from rq.utils import utcformat

from shared.jobs.jobs import Jobs
from shared.logs import get_log
from shared.redis.queues import EVENTS
from shared.redis.releases import FAN_OUT_KEY, declared_key, needs_met
from shared.redis.scripts import script_text
from shared.redis.workers import SILENT_SECONDS

_REMEMBERED_SECONDS = 30 * 24 * 3600
_RECALLED_AT_ONCE = 500


PassBy = Callable[[Sequence[str], Sequence[str]], None]
"""Has a worker pass by, from now on, the jobs of these types, as ids have them, and these queues."""


class Declarations:
    """One worker among the others; on its event loop."""

    def __init__(self, redis: AsyncRedis, worker: str, queues: Sequence[str], jobs: Jobs, pass_by: PassBy) -> None:
        self._redis = redis
        self._worker, self._queues, self._pass_by = worker, queues, pass_by
        self._have = needs_met(job_type.type_slug for job_type in jobs.types)
        self._declare = redis.register_script(script_text("workers.releases", "declare"))
        self._recall = redis.register_script(script_text("workers.releases", "recall"))
        self._is_behind = False

    async def declare(self) -> None:
        """Say what this worker has, do what follows from what others have, and recall what was left for it."""
        arguments: list[str | float] = [self._worker, SILENT_SECONDS, _REMEMBERED_SECONDS, json.dumps(self._have)]
        arguments += self._queues
        others, left, is_behind = await self._declare(args=arguments)
        if is_behind != self._is_behind:
            self._is_behind = is_behind
            get_log().warning("fan_out_left" if is_behind else "fan_out_resumed")
        self._pass_by(sorted(each.decode() for each in others), [EVENTS] if is_behind else [])
        for each in left:
            await self._recall_all(*each.decode().split(":", 1))

    async def close(self) -> None:
        """This worker has ended, and what it has is not there any more, unless another says so at its next turn."""
        now, _ = await self._redis.time()
        for queue in self._queues if self._have else ():
            await self._redis.zadd(declared_key(queue), dict.fromkeys(self._have, now - SILENT_SECONDS - 1), xx=True)
        members: list[bytes] = await self._redis.zrange(FAN_OUT_KEY, 0, -1)  # type: ignore[assignment]
        for member in members:
            if member.endswith(b" " + self._worker.encode()):
                await self._redis.zrem(FAN_OUT_KEY, member)

    async def _recall_all(self, queue: str, need: str) -> None:
        total, is_more = 0, True
        while is_more:
            date = utcformat(datetime.now(UTC))
            count, is_more = await self._recall(args=[date, queue, need, _RECALLED_AT_ONCE])
            total += count
            await asyncio.sleep(0)
        get_log().info("jobs_recalled", queue=queue, need=need, count=total)
