"""The signs of life of a worker, and what it hears: leases, recovery, RQ's maintenance, scheduler and commands."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis as AsyncRedis
from rq import worker_registration

from shared.endings import cancel_and_wait
from shared.logs import get_log
from shared.threads import DaemonThreads
from workers.ending import Ending
from workers.executions import Executions, Recovered
from workers.outages import is_transient
from workers.running import KilledError, StoppedError
from workers.silence import Silence
from workers.upkeep import Upkeep

if TYPE_CHECKING:
    from workers.worker import ConcurrentWorker

_RECOVERY_SECONDS = 5.0  # at most, between looks for leases that have run out
_SCHEDULE_SECONDS = 1.0  # as RQ's scheduler
_MAINTENANCE_SECONDS = 30.0
_PAUSE_SECONDS = 1.0


class Life:
    """What goes on beside a worker's jobs."""

    def __init__(
        self, worker: "ConcurrentWorker", executions: Executions, redis: AsyncRedis, threads: DaemonThreads
    ) -> None:
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
        self._silence = Silence(worker.ledger.lease_seconds)
        self._tasks: list[asyncio.Task[None]] = []
        self._log = get_log()

    async def begin(self) -> None:
        """Do everything once, then at intervals."""
        lease = self._worker.ledger.lease_seconds
        for seconds, step in (
            (min(lease / 6, _RECOVERY_SECONDS), self._recover),
            (_SCHEDULE_SECONDS, self._schedule),
            (_MAINTENANCE_SECONDS, self._maintain),
        ):
            await self._try(step)
            self._tasks.append(asyncio.create_task(self._repeat(seconds, step)))
        self._tasks.append(asyncio.create_task(self._listen()))

    async def close(self) -> None:
        """Stop."""
        await cancel_and_wait(*self._tasks)
        await self._try(self._close_upkeep)

    async def _repeat(self, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._try(step)

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except Exception as error:  # noqa: BLE001 - Redis away, or damage: the next time may do
            if is_transient(error):
                self._worker.outage.note(error, step.__name__)
            else:
                self._log.error("upkeep_failed", error=error)
        else:
            self._worker.outage.end(step.__name__)

    async def _renew(self) -> None:
        known, lost = await self._executions.renew(self._worker.to_renew, self._worker.known_seconds)
        self._silence.note_sign()
        self._touch_heartbeat()
        for execution_id in lost:
            self._worker.drop(execution_id)
        if not known:  # struck off while it was frozen, or Redis lost its data
            await self._threads.run(self._register)

    def _touch_heartbeat(self) -> None:
        file = self._worker.settings.heartbeat_file
        if not file:
            return
        try:
            file.touch()
        except OSError as error:
            self._log.error("heartbeat_failed", file=str(file), error=error)

    def _register(self) -> None:
        with self._worker.connection.pipeline() as pipeline:
            pipeline.hset(self._worker.key, mapping=self._worker.serialize())
            worker_registration.register(self._worker, pipeline)
            pipeline.expire(self._worker.key, self._worker.known_seconds)
            pipeline.execute()

    async def _recover(self) -> None:
        """Renew, and recover what others have left: in this order, or a worker would recover what is its own.

        When Redis did not answer for longer than a lease, nobody could renew; who renews first must not take the rest.
        """
        await self._renew()
        for queue in self._worker.queues if self._silence.is_over else ():
            self._take_over(queue.name, await self._executions.recover(queue.name))

    def _take_over(self, queue: str, recovered: Recovered) -> None:
        for job_id in recovered.job_ids:
            self._log.warning("job_recovered", job_id=job_id.decode(), queue=queue)
        for claim in recovered.spent:
            self._log.error("job_abandoned", job_id=claim.job_id, queue=queue)
            self._worker.dead_letter(claim)

    async def _schedule(self) -> None:
        await self._threads.run(self._upkeep.schedule)

    async def _close_upkeep(self) -> None:
        await self._threads.run(self._upkeep.close)

    async def _maintain(self) -> None:
        await self._threads.run(self._upkeep.maintain)

    async def _listen(self) -> None:
        """Hear RQ's commands, as long as the worker lives."""
        while True:
            try:
                await self._hear_commands()
            except Exception as error:  # noqa: BLE001 - whatever it is, commands are to be heard
                if not is_transient(error):  # else the worker itself says that Redis is away
                    self._log.error("upkeep_failed", error=error)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _hear_commands(self) -> None:
        """Hear RQ's commands until the connection is lost."""
        async with self._redis.pubsub() as channel:
            await channel.subscribe(self._worker.pubsub_channel_name)
            # Without a time-out: when the kernel gives an idle socket up (ETIMEDOUT), redis-py takes that for the end
            # of one, and answers None at once, for ever. So None is the end of this connection.
            while message := await channel.get_message(timeout=None):
                if message["type"] == "message":
                    self._hear(message["data"])

    def _hear(self, data: bytes) -> None:
        try:
            self._obey(json.loads(data))
        except Exception as error:  # noqa: BLE001 - whatever was said, the next command is heard
            self._log.error("command_unreadable", error=error)

    def _obey(self, command: dict[str, Any]) -> None:
        """Carry out one of RQ's commands; another is nothing to us."""
        name = command["command"]
        if name == "shutdown":
            self._worker.begin_end(Ending.DONE)
        elif name == "kill-horse":
            self._worker.stop_all(KilledError("killed by command"))
        elif name == "stop-job":
            self._worker.stop_job(command["job_id"], StoppedError("stopped by command"))
        elif name == "stop-execution":
            self._worker.stop_execution(command["execution_id"], StoppedError("stopped by command"))
