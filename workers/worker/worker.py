"""The worker: one process that performs many jobs at once and leaves RQ's keys as RQ's own workers do.

1. It claims jobs for free slots, from all its queues, in one script (`workers/worker/leases.py`).
2. It finds what they call (`workers/worker/call.py`), and calls it: `async def` on its event loop, `def` in threads,
   and what asks for it in a child process (`workers/worker/execution.py`). An event calls nothing.
3. It acknowledges all that have succeeded in one script, which makes the jobs of events
   (`workers/worker/outcomes.py`); other outcomes are written one by one, as RQ writes them
   (`workers/worker/rq_outcomes.py`).
4. Beside that it renews its leases and reaps those of workers that died (`workers/worker/heartbeat.py`), does what RQ's
   workers do for their queues (`workers/worker/maintenance.py`), and carries out RQ's commands
   (`workers/worker/rq_commands.py`).
5. At SIGTERM it claims no more, gives the jobs under way a grace period, and releases what remains
   (`workers/worker/shutdown.py`).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import uvloop
from redis import Redis
from redis.exceptions import RedisError
from rq.worker import WorkerStatus

from shared.logs import get_log, name_process
from shared.redis.connections import connect_async, connect_pipelined
from shared.runtime.parent import Parent
from shared.runtime.threads import DaemonThreads
from workers.attempt import Performer
from workers.isolation.children import Children
from workers.redis_errors import WorkerOutage, is_transient
from workers.worker.background import Background
from workers.worker.call import prepare
from workers.worker.execution import Execution, Executor
from workers.worker.heartbeat import Heartbeat
from workers.worker.leases import Claimed, Leases
from workers.worker.maintenance import MAINTENANCE_SECONDS, SCHEDULE_SECONDS, Maintenance
from workers.worker.outcomes import Outcomes
from workers.worker.polling import Polling, QueueWakeups, Wakeup
from workers.worker.registration import RegisteredWorker
from workers.worker.rq_commands import RQCommands
from workers.worker.rq_outcomes import RQOutcomes
from workers.worker.shutdown import Shutdown, ShutdownSignals, end_jobs
from workers.worker.watchdog import Watchdog

CONCURRENCY = 64
_REDIS_TIMEOUT_SECONDS = 10
_STRAGGLERS = 8


class ConcurrentWorker(RegisteredWorker):
    """RQ's worker that performs many jobs at once."""

    def __init__(
        self,
        queues: Sequence[str],
        performer: Performer,
        connection: Redis,
        *,
        concurrency: int = CONCURRENCY,
        parent: Parent | None = None,
    ) -> None:
        super().__init__(queues, connection)
        name_process(worker=self.name)
        self._parent = parent
        self._settings, self._jobs = performer.settings, performer.jobs
        self._performer = performer
        self._concurrency = concurrency
        self._names = [queue.name for queue in self.queues]
        self._outage = WorkerOutage(connection)
        self._under_way: dict[str, Execution] = {}
        self._ending: Shutdown | None = None
        self._wakeup = Wakeup()

    def run(self, *, burst: bool = False) -> Shutdown:
        """Work until SIGTERM, SIGINT or RQ's command to shut down, or, with `burst`, until the queues are empty."""
        self.register(self._outage)
        loop = uvloop.new_event_loop()
        signals = ShutdownSignals(loop, self._shut_down, self._save, self._settings.grace_seconds, self._parent)
        lifespan = self._jobs.lifespans.entered(self._settings)
        try:
            return loop.run_until_complete(signals.run_within(lifespan, lambda: self._main(burst=burst)))
        finally:
            loop.close()  # without asyncio.run's wait for every coroutine: a straggler would hold the process
            self.unregister(self._outage)
            signals.close()

    def _shut_down(self, why: Shutdown = Shutdown.WARM) -> None:
        """Claim no more, and end; the second time, at once."""
        self._ending = Shutdown.COLD if self._ending else why
        self._wakeup.set()

    def _save(self) -> None:
        """Write what the loop can no longer write, before the process is ended; in a thread."""
        self._watchdog.save()

    async def _main(self, *, burst: bool) -> Shutdown:
        threads, children = DaemonThreads(), Children(self.name)
        redis = connect_async(self._settings, seconds=_REDIS_TIMEOUT_SECONDS, retries=0)
        pipelined = connect_pipelined(self._settings, _REDIS_TIMEOUT_SECONDS)
        self._pools = redis.connection_pool, pipelined.connection_pool
        self._leases = Leases(pipelined, self.name, self._names, self._jobs, self._settings)
        self._polling = Polling(self._under_way, self._leases, self._names, self._concurrency)
        rq_outcomes = RQOutcomes(self, self._jobs)
        self._outcomes = Outcomes(self._under_way, self._leases, rq_outcomes, threads, self._wakeup.set, self._outage)
        self._watchdog = Watchdog(self._outcomes, self.connection, self._settings)
        ended, lost, wake = self._outcomes.record, self._watchdog.lost, self._wakeup.set
        self._executor = Executor(self._under_way, self.connection, threads, children, ended, lost, wake)
        self._wakeups = QueueWakeups(redis, self._wake_to_claim)
        background, maintenance = Background(self._outage), Maintenance(self, self._jobs, self._settings, threads)
        if any(job_type.isolation and job_type.queue in self._names for job_type in self._jobs.types):
            children.start()
        parts = (self._polling, self._executor, self._outcomes, self._watchdog.take_lag, self._parent)
        heartbeat = Heartbeat(self, self._performer, redis, *parts)
        await background.repeat(heartbeat.seconds, heartbeat.beat)
        await background.repeat(SCHEDULE_SECONDS, maintenance.schedule)
        await background.repeat(MAINTENANCE_SECONDS, maintenance.maintain)
        background.start(RQCommands(redis, self.pubsub_channel_name, self._executor, self._shut_down).listen())
        try:
            await self._work(burst=burst)
            grace = self._settings.grace_seconds
            await end_jobs(self._executor, self._outcomes, background, self._wakeup, grace, lambda: self._ending)
        finally:
            self._watchdog.close()
            children.close()
            await background.close()
            await background.attempt(maintenance.close)
            await background.attempt(heartbeat.close)
            await self._wakeups.close()
            threads.close()
            await pipelined.aclose()
            await redis.aclose()
        assert self._ending
        return self._ending

    async def _work(self, *, burst: bool) -> None:
        while not self._ending:
            was_idle = self._is_idle
            self._polling.must_claim |= (burst and was_idle) or self._outcomes.make_jobs
            exchange = asyncio.create_task(self._exchange())
            await asyncio.sleep(0)  # it writes its commands,
            await asyncio.sleep(0)  # and the loop sends them: Redis works on them while the jobs claimed before start
            self._start_all()
            try:
                claimed = await exchange
            except Exception as error:  # noqa: BLE001 - unforeseen damage must not end the jobs under way
                await self._wait_for_redis(error)
                continue
            if burst and self._is_idle and (claimed.suspended or not claimed.held):
                if was_idle:  # else the last job may have queued another
                    self._shut_down()
            elif self._executor.stragglers >= min(_STRAGGLERS, self._concurrency):
                get_log().error("stragglers", count=self._executor.stragglers)
                self._shut_down(Shutdown.STRAGGLERS)
            else:
                await self._wait(claimed)
        self._start_all()
        if not burst:
            count, seconds = len(self._under_way), self._settings.grace_seconds
            get_log().info("worker_stops", why=self._ending.value, under_way=count, grace_seconds=seconds)

    async def _exchange(self) -> Claimed:
        """Ack what has succeeded, and claim behind that: two scripts that are sent together."""
        acked, claimed = await asyncio.gather(self._outcomes.ack(), self._polling.claim(), return_exceptions=True)
        if isinstance(acked, BaseException):
            raise acked
        if isinstance(claimed, BaseException):
            raise claimed
        self._outage.record_success()
        return claimed

    def _wake_to_claim(self) -> None:
        self._polling.must_claim = True
        self._wakeup.set()

    def _start_all(self) -> None:
        for lease in self._polling.take():
            execution = self._executor.add(lease)
            try:
                prepare(self._performer, execution)
            except Exception as error:  # noqa: BLE001 - whatever a damaged job does, it must not stop the others
                self._outcomes.record(execution, error)
            else:
                if execution.fan_out:
                    self._outcomes.record(execution, None)
                else:
                    self._executor.start(execution)

    async def _wait(self, claimed: Claimed) -> None:
        """Wait until there is something to acknowledge or to claim."""
        if claimed.leases or self._outcomes.are_due:
            await asyncio.sleep(0)  # what has just ended is acknowledged together
            return
        if not claimed.suspended:
            self._wakeups.watch(name for name, length in claimed.lengths.items() if not length)
        idle = WorkerStatus.SUSPENDED if claimed.suspended else WorkerStatus.IDLE
        self._state = WorkerStatus.BUSY if self._under_way else idle
        if not await self._wakeup.sleep(self._polling.pause(claimed)):
            self._polling.must_claim = True

    @property
    def _is_idle(self) -> bool:
        return not (self._under_way or self._polling.claimed)

    async def _wait_for_redis(self, error: Exception) -> None:
        """Wait, longer each time; jobs under way go on, and their outcomes are kept."""
        if is_transient(error):
            self._outage.record_error(error)
            with suppress(RedisError):
                for pool in self._pools:
                    await pool.disconnect(inuse_connections=False)
        else:
            get_log().error("not_claimed", error=error)
        self._polling.must_claim = True
        await self._wakeup.sleep(self._polling.pauses.after_error())
