"""The heartbeat of a worker: it renews the worker's leases, and reaps those that dead workers left."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from redis.asyncio import Redis as AsyncRedis

from shared.logs import get_log
from shared.redis.clock import seconds_ahead
from shared.runtime.parent import Parent
from workers.attempt import Performer
from workers.releases.declarations import Declarations
from workers.worker.execution import Executor, to_renew
from workers.worker.outcomes import Outcomes
from workers.worker.polling import Polling
from workers.worker.registration import RegisteredWorker

_LONGEST_SECONDS = 5.0


class ReapGuard:
    """Decides whether an expired lease means a dead worker: it does not when no worker could renew its leases.

    After a gap between heartbeats Redis was away, or this worker was frozen. If it was Redis, the leases of all workers
    have expired, though they live: each has the time of a whole lease to renew them before anything is reaped. The
    first heartbeat counts as one after a gap: a worker that has just started cannot know whether Redis was away.
    """

    def __init__(self, lease_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease = lease_seconds
        self._clock = clock
        self._last = float("-inf")
        self._until = float("inf")

    def record_heartbeat(self) -> None:
        """Redis has just taken a heartbeat."""
        now = self._clock()
        if now - self._last > self._lease / 2:
            self._until = now + self._lease
        self._last = now

    @property
    def may_reap(self) -> bool:
        """Whether a lease that has expired may be taken for a dead worker's."""
        return self._clock() >= self._until


@dataclass(eq=False)
class Heartbeat:
    """The heartbeat of one worker; on its event loop.

    Attributes:
        seconds: how often it beats.
    """

    worker: RegisteredWorker
    performer: Performer
    redis: AsyncRedis
    polling: Polling
    executor: Executor
    outcomes: Outcomes
    take_lag: Callable[[], float]
    parent: Parent | None

    def __post_init__(self) -> None:
        self.seconds = min(self.outcomes.leases.seconds / 6, _LONGEST_SECONDS)
        self._reap_guard = ReapGuard(self.outcomes.leases.seconds)
        settings = self.performer.settings
        self._record = self.worker.describe(self.performer.jobs, self.polling.concurrency, settings.shards)
        self._file = settings.heartbeat_file  # touched at each heartbeat that Redis takes
        self._log = get_log()
        worker, jobs = self.worker, self.performer.jobs
        self._others = Declarations(self.redis, worker.name, worker.queue_names(), jobs, self.polling.pass_by)

    async def beat(self) -> None:
        """Renew, and then reap: the other way round, a worker would reap what is its own."""
        executions = self.executor.executions
        used, stragglers = len(executions), self.executor.stragglers
        ahead = await seconds_ahead(self.redis)
        noted = round(time.time() - ahead, 3)
        lag, ahead = round(self.take_lag(), 3), round(ahead, 3)
        busy = replace(self._record, used=used, stragglers=stragglers, lag=lag)
        record = replace(busy, ahead=ahead, noted=noted, kept_at=self.parent.kept_at if self.parent else 0.0)
        known, lost = await self.outcomes.leases.renew(to_renew(executions), self.worker.get_state(), record.to_json())
        self._reap_guard.record_heartbeat()
        self._touch_file()
        for execution_id in lost:
            self.executor.lose(execution_id)
        if not known:  # RQ forgot it while it was frozen, or Redis lost its data
            await self.executor.threads.run(self.worker.register_again)
        self.outcomes.wake()  # there may be more to claim than before
        await self._write_history()
        for queue in self.worker.queues if self._reap_guard.may_reap else ():
            await self._reap(queue.name)
        await self._others.declare()  # last, since a damaged key of its own must not keep jobs of dead workers

    async def close(self) -> None:
        """Say that the worker has ended, and write what is left of the history."""
        await self._write_history()
        await self._others.close()

    async def _write_history(self) -> None:
        """Add to Redis what has become of attempts, in numbers and on record."""
        await self.performer.history.write(self.redis)
        await self.performer.records.write(self.redis, self.performer.settings)

    async def _reap(self, queue: str) -> None:
        job_ids, exhausted = await self.outcomes.leases.reap(queue)
        self.performer.history.count("lease", queue, "reaped", len(job_ids))
        self.performer.history.count("lease", queue, "abandoned", len(exhausted))
        for job_id in job_ids:
            self._log.warning("job_reaped", job_id=job_id.decode(), queue=queue)
        for lease in exhausted:
            self._log.error("job_abandoned", job_id=lease.job_id, queue=queue)
            self.outcomes.dead_letter(self.executor.add(lease))

    def _touch_file(self) -> None:
        if not self._file:
            return
        try:
            self._file.touch()
        except OSError as error:
            self._log.error("heartbeat_failed", file=str(self._file), error=error)
