"""The signs of life of a worker, and what it hears: leases, recovery, RQ's maintenance, scheduler and commands."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError
from rq import worker_registration

from shared.logs import error_fields, get_log
from workers.doorbell import end
from workers.executions import Executions
from workers.running import KilledError, StoppedError
from workers.threads import Threads
from workers.upkeep import Upkeep

if TYPE_CHECKING:
    from workers.worker import ConcurrentWorker

_SCHEDULE_SECONDS = 1.0  # as RQ's scheduler
_MAINTENANCE_SECONDS = 30.0
_HEARING_SECONDS = 5.0
_PAUSE_SECONDS = 1.0


class Life:
    """What goes on beside a worker's jobs."""

    def __init__(self, worker: "ConcurrentWorker", executions: Executions, redis: AsyncRedis, threads: Threads) -> None:
        """Prepare.

        Args:
            worker: the worker.
            executions: its executions.
            redis: what commands are heard through.
            threads: where RQ's own code runs.
        """
        self._worker = worker
        self._executions = executions
        self._redis = redis
        self._threads = threads
        self._upkeep = Upkeep(worker, worker.jobs)
        self._tasks: list[asyncio.Task[None]] = []
        self._log = get_log()

    async def begin(self) -> None:
        """Do everything once, then at intervals."""
        lease = self._worker.ledger.lease_seconds
        for seconds, step in (
            (lease / 4, self._renew),
            (min(lease / 6, 5.0), self._recover),
            (_SCHEDULE_SECONDS, self._schedule),
            (_MAINTENANCE_SECONDS, self._maintain),
        ):
            await self._try(step)
            self._tasks.append(asyncio.create_task(self._repeat(seconds, step)))
        self._tasks.append(asyncio.create_task(self._listen()))

    async def close(self) -> None:
        """Stop."""
        await end(self._tasks)
        await self._try(lambda: self._threads.call(self._upkeep.close))

    async def _repeat(self, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._try(step)

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except Exception as error:  # noqa: BLE001 - Redis away, or damage: the next time may do
            self._log.error("upkeep_failed", **error_fields(error))

    async def _renew(self) -> None:
        known, lost = await self._executions.renew(self._worker.to_renew, self._worker.worker_ttl + 60)
        for execution_id in lost:
            self._worker.drop(execution_id)
        if not known:  # struck off while it was frozen, or Redis lost its data
            await self._threads.call(self._register)

    def _register(self) -> None:
        with self._worker.connection.pipeline() as pipeline:
            pipeline.hset(self._worker.key, mapping=self._worker.serialize())
            worker_registration.register(self._worker, pipeline)
            pipeline.expire(self._worker.key, self._worker.worker_ttl + 60)
            pipeline.execute()

    async def _recover(self) -> None:
        for queue in self._worker.queues:
            recovered = await self._executions.recover(queue.name)
            for job_id in recovered.job_ids:
                self._log.warning("job_recovered", job_id=job_id.decode(), queue=queue.name)
            for claim in recovered.spent:
                self._log.error("job_abandoned", job_id=claim.job_id, queue=queue.name)
                self._worker.bury(claim)
            if recovered.unfit:
                self._log.error("executions_unfit", queue=queue.name, count=len(recovered.unfit))

    async def _schedule(self) -> None:
        await self._threads.call(self._upkeep.schedule)

    async def _maintain(self) -> None:
        await self._threads.call(self._upkeep.maintain)

    async def _listen(self) -> None:
        """Hear RQ's commands, as long as the worker lives."""
        while True:
            try:
                async with self._redis.pubsub() as channel:
                    await channel.subscribe(self._worker.pubsub_channel_name)
                    while True:
                        message = await channel.get_message(ignore_subscribe_messages=True, timeout=_HEARING_SECONDS)
                        if message:
                            self._obey(message["data"])
            except (RedisError, OSError):
                await asyncio.sleep(_PAUSE_SECONDS)  # the worker itself says that Redis is away

    def _obey(self, data: bytes) -> None:
        """Carry out one of RQ's commands; another is nothing to us."""
        from workers.worker import Ending  # noqa: PLC0415

        try:
            command = json.loads(data)
            name = command["command"]
        except (ValueError, TypeError, KeyError):
            return
        if name == "shutdown":
            self._worker.begin_end(Ending.DONE)
        elif name == "kill-horse":
            self._worker.stop_all(KilledError("killed by command"))
        elif name == "stop-job":
            self._worker.stop_job(command.get("job_id"), StoppedError("stopped by command"))
        elif name == "stop-execution":
            self._worker.stop_execution(command.get("execution_id"), StoppedError("stopped by command"))
