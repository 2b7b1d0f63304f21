"""The worker: one process that performs many jobs at once and leaves RQ's keys as RQ's own workers do.

1. It claims as many jobs as it has free slots, from all its queues, in one script (`workers/executions.py`).
2. It calls what they call: `async def` on its event loop, `def` in threads (`workers/running.py`), and what asks for it
   in a process of its own (`workers/children.py`).
3. It settles all that have succeeded in one script; what failed goes through RQ's own code (`workers/outcomes.py`).
4. Beside that it renews its leases, recovers jobs of workers that died, and does what RQ's workers do for their queues
   (`workers/life.py`).
5. At SIGTERM it claims no more, gives the jobs under way a grace period, and puts back what remains.

Queues are looked at in the order they were given; that none starves, see `workers/rotation.py`.
"""

import asyncio
import dataclasses
import socket
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import uvloop
from redis import Redis
from redis.exceptions import RedisError
from rq.serializers import JSONSerializer
from rq.utils import now, utcformat
from rq.worker import BaseWorker, WorkerStatus

from shared.connections import connect_async
from shared.jobs import Jobs
from shared.logs import get_log, name_process
from shared.threads import DaemonThreads
from workers.calls import Call, Calls, RefusedCall
from workers.doorbell import WAIT_SECONDS, Doorbells
from workers.ending import COLD_SECONDS, Ending, EndSignals
from workers.executions import Claimed, Executions
from workers.failures import RQOutcomes
from workers.guarded import AllowListedJob
from workers.lease import Lease
from workers.life import Life
from workers.outages import WorkerOutage, is_transient
from workers.outcomes import Outcomes
from workers.perform import Performer
from workers.rotation import Rotation
from workers.running import Run, Running
from workers.upkeep import clean_registries
from workers.watchdog import Watchdog

CONCURRENCY = 64
WORKER_TTL_SECONDS = 45
_REDIS_TIMEOUT_SECONDS = 10
_HELD_SECONDS = 0.05  # before the next look at jobs that something holds back; twice that before each further one
_LONGEST_HELD_SECONDS = 0.5
_MARGIN_SECONDS = 0.001
_SUSPENDED_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 2.0
_STRAGGLERS = 8


class ConcurrentWorker(BaseWorker):
    """RQ's worker that performs many jobs at once."""

    def __init__(
        self,
        queues: Sequence[str],
        performer: Performer,
        connection: Redis,
        *,
        concurrency: int = CONCURRENCY,
        parent: socket.socket | None = None,
    ) -> None:
        """Make a worker.

        Args:
            queues: the queues it serves, the most urgent first.
            performer: knows the job types.
            connection: to Redis, for RQ's own code.
            concurrency: how many jobs it performs at once.
            parent: a socket to the supervisor: see `EndSignals`.
        """
        self._parent = parent
        name = uuid.uuid4().hex
        self._calls = Calls(performer, name)
        super().__init__(
            list(queues),
            name=name,
            connection=connection,
            job_class=AllowListedJob,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_SECONDS,
            log_job_description=False,
        )
        name_process(worker=self.name)
        self.settings = performer.settings
        self._performer = performer
        self._concurrency = concurrency
        self._most_stragglers = min(_STRAGGLERS, concurrency)
        self.ledger = performer.ledger(self.name)
        self._names = [queue.name for queue in self.queues]
        self._log = get_log()
        self.outage = WorkerOutage(connection)
        self._runs: dict[str, Run] = {}
        self._ending: Ending | None = None
        self._rotation = Rotation(self._names)
        self._is_unsure = False
        self._pause = 0.0
        self._held_seconds = _HELD_SECONDS

    def run(self, *, burst: bool = False) -> Ending:
        """Work until SIGTERM, SIGINT or RQ's command to shut down, or, with `burst`, until the queues are empty.

        Returns:
            Why it ended.
        """
        self._register()
        loop = uvloop.new_event_loop()
        begin_end = partial(self.begin_end, Ending.DONE)
        signals = EndSignals(loop, begin_end, self._save, self.settings.grace_seconds, self._parent)
        try:
            return loop.run_until_complete(self._main(burst=burst))
        finally:
            loop.close()  # without asyncio.run's wait for every coroutine: a straggler would hold the process
            self._die()
            signals.close()

    def _register(self) -> None:
        """RQ's beginning of a worker, again and again while Redis is away."""
        while True:
            try:
                self.bootstrap(logging_level="WARNING")
            except RedisError as error:
                if not is_transient(error):
                    raise
                self.outage.note(error)
                time.sleep(_LONGEST_PAUSE_SECONDS)
                with suppress(RedisError):
                    self.connection.delete(self.key)  # RQ refuses a worker that it has registered, answered or not
            else:
                return

    def _die(self) -> None:
        try:
            self.set_state(WorkerStatus.IDLE)
            self.register_death()  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:  # then RQ strikes it off when it has given no sign of life for long
            self.outage.note(error)

    def clean_registries(self) -> None:
        """RQ's, except for jobs under way."""
        clean_registries(self)

    def subscribe(self) -> None:
        """Nothing: commands are heard on the event loop, not in RQ's thread."""

    def stop_job(self, job_id: str, reason: BaseException) -> bool:
        """End a job before its function does; False when it does not run here."""
        runs = [run for run in self._runs.values() if run.claim.job_id == job_id]
        for run in runs:
            self._running.cut_off(run, reason)
        return bool(runs)

    def stop_all(self, reason: BaseException) -> None:
        """End every job before its function does."""
        for run in list(self._runs.values()):
            self._running.cut_off(run, reason)

    def stop_execution(self, execution_id: str, reason: BaseException) -> None:
        """End one execution before its function does."""
        if run := self._runs.get(execution_id):
            self._running.cut_off(run, reason)

    @property
    def known_seconds(self) -> int:
        """How long Redis knows this worker without a sign of life."""
        return self.worker_ttl + 60

    @property
    def jobs(self) -> Jobs:
        """The job types."""
        return self._performer.jobs

    def begin_end(self, ending: Ending) -> None:
        """Lease no more, and end; the second time, at once."""
        self._ending = Ending.COLD if self._ending else ending
        self._wake.set()

    @property
    def to_renew(self) -> list[Lease]:
        """The claims whose leases are to be renewed: RQ's code is writing the outcome of the others."""
        return [run.claim for run in self._runs.values() if run.state != "settling"]

    def drop(self, execution_id: str) -> None:
        """Forget an execution that is not ours any more."""
        run = self._runs.get(execution_id)
        # The outcome of one that settles may just have been written, which ends the execution, too.
        if run and run.state != "settling":
            del self._runs[execution_id]
            self._log.warning("lease_lost", job_id=run.claim.job_id, queue=run.claim.queue)
            self._running.drop(run)
            self._wake.set()

    def dead_letter(self, claim: Lease) -> None:
        """Write a dead letter of an abandoned job that has no attempt left."""
        self._outcomes.dead_letter(self._run(claim))

    async def _main(self, *, burst: bool) -> Ending:
        self._wake = asyncio.Event()
        self._threads = DaemonThreads()
        redis = self._redis = connect_async(self.settings, seconds=_REDIS_TIMEOUT_SECONDS, retries=0)
        self._leases = Executions(redis, self.ledger)
        failures = RQOutcomes(self, self.jobs)
        self._outcomes = Outcomes(self._runs, self._leases, failures, self._threads, self._wake.set, self.outage)
        loop = asyncio.get_running_loop()
        self._watchdog = Watchdog(
            loop, self._runs, lambda: self._outcomes.unsettled, self.ledger, self.connection, self.known_seconds
        )
        self._running = Running(self._threads, self._outcomes.take, self._watchdog.lag.lost, self._wake.set)
        self._doorbells = Doorbells(redis, self._wake.set)
        life = Life(self, self._leases, redis, self._threads)
        if any(job_type.isolation and job_type.queue in self._names for job_type in self.jobs.types):
            self._calls.children.start()
        await life.begin()
        try:
            await self._work(burst=burst)
            if self._ending and not burst:
                seconds = self.settings.grace_seconds
                self._log.info("worker_stops", why=self._ending.value, under_way=len(self._runs), grace_seconds=seconds)
            await self._finish()
        finally:
            self._watchdog.close()
            self._calls.children.close()
            await life.close()
            await self._doorbells.close()
            self._threads.close()
            await redis.aclose()
        assert self._ending
        return self._ending

    def _save(self) -> None:
        """Before the process is ended without its loop; in a thread."""
        self._watchdog.save(but=self._watchdog.holder)

    async def _work(self, *, burst: bool) -> None:
        while not self._ending:
            try:
                await self._outcomes.settle()
                was_idle = not self._runs  # a job that ends during the claim may queue another
                claimed = await self._claim()
            except Exception as error:  # noqa: BLE001 - damage that nobody foresaw must not end the jobs under way
                await self._wait_for_redis(error)
                continue
            self._pause = 0.0
            self.outage.end()
            self._start_all(claimed)
            if burst and was_idle and self._is_empty(claimed):
                self.begin_end(Ending.DONE)
            elif self._running.stragglers >= self._most_stragglers:
                self._log.error("stragglers", count=self._running.stragglers)
                self.begin_end(Ending.STRAGGLERS)
            else:
                await self._wait(claimed)

    async def _claim(self) -> Claimed:
        if self._is_unsure:  # a claim's answer was lost: what it claimed is ours and we do not know it
            await self._leases.put_back_unanswered(self._names)
        self._is_unsure = True
        claimed = await self._leases.claim(self._rotation.next(), self._concurrency - len(self._runs))
        self._is_unsure = False
        if self.ledger.is_late:
            await self._leases.put_back(claimed.claims)  # those that are still ours
            return dataclasses.replace(claimed, claims=[], held=claimed.held + len(claimed.claims))
        return claimed

    def _start_all(self, claimed: Claimed) -> None:
        for job_id in claimed.missing:
            self._log.error("job_missing", job_id=job_id.decode(errors="replace")[:100])
        if claimed.claims:
            self._state = WorkerStatus.BUSY  # as the claim has written
        if claimed.claims or claimed.missing:
            self._held_seconds = _HELD_SECONDS
        for claim in claimed.claims:
            self._start(claim)

    def _start(self, claim: Lease) -> None:
        run = self._run(claim)
        call: Call = RefusedCall(claim)
        try:
            call = run.call = self._calls.of(claim)
            call.prepare()
        except Exception as error:  # noqa: BLE001 - whatever a damaged job does, it must not stop the others
            run.call, run.state = call, "ended"
            self._outcomes.take(run, error)
        else:
            self._running.start(run, call)

    def _run(self, claim: Lease) -> Run:
        run = Run(claim, AllowListedJob.of(claim, self.connection))
        self._runs[claim.execution_id] = run
        return run

    async def _wait(self, claimed: Claimed) -> None:
        """Wait until there is something to settle or to claim."""
        free = self._concurrency - len(self._runs)
        if claimed.claims or self._outcomes.are_due:
            await asyncio.sleep(0)  # what was started, and what ended meanwhile, is settled together
            if free or self._outcomes.are_due:
                return
        if free and not claimed.suspended:
            self._doorbells.hang(name for name, length in claimed.lengths.items() if not length)
        seconds: float = WAIT_SECONDS
        if claimed.suspended:
            seconds = _SUSPENDED_SECONDS
        elif free and any(claimed.lengths.values()):
            seconds = self._held_wait(claimed)
        await self._set_idle(claimed)
        await self._sleep(seconds)

    def _held_wait(self, claimed: Claimed) -> float:
        """How long to leave alone what is held back: until a rate or a pause lets go, or a slot may be free."""
        seconds, self._held_seconds = self._held_seconds, min(self._held_seconds * 2, _LONGEST_HELD_SECONDS)
        return seconds if claimed.opens_in is None else min(seconds, claimed.opens_in + _MARGIN_SECONDS)

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    async def _set_idle(self, claimed: Claimed) -> None:
        state = WorkerStatus.BUSY if self._runs else WorkerStatus.IDLE
        if claimed.suspended and not self._runs:
            state = WorkerStatus.SUSPENDED
        if state != self._state:
            with suppress(RedisError, OSError):  # the next claim says that Redis is away, and the state is shown later
                await self._leases.show("state", state)
                self._state = state

    def _is_empty(self, claimed: Claimed) -> bool:
        """Whether a burst has nothing left to do: what is held back by a limit is waited for."""
        return not (self._runs or claimed.claims or claimed.held) or (claimed.suspended and not self._runs)

    async def _wait_for_redis(self, error: Exception) -> None:
        """Wait, longer each time; jobs under way go on, and their outcomes are kept."""
        if is_transient(error):
            self.outage.note(error)
            with suppress(RedisError):
                await self._redis.connection_pool.disconnect(inuse_connections=False)
        else:
            self._log.error("not_claimed", error=error)
        self._pause = min(max(self._pause * 2, 0.05), _LONGEST_PAUSE_SECONDS)
        await self._sleep(self._pause)

    async def _finish(self) -> None:
        """Let the jobs under way end, for as long as the grace period; put the others back."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.grace_seconds
        if self._runs:
            with suppress(RedisError, OSError):
                await self._leases.show("shutdown_requested_date", utcformat(now()))
        while self._is_busy() and self._ending is not Ending.COLD and loop.time() < deadline:
            try:
                await self._outcomes.settle()
            except Exception as error:  # noqa: BLE001 - likewise
                await self._wait_for_redis(error)
            if self._is_busy() and not self._outcomes.are_due:
                await self._sleep(max(0.0, deadline - loop.time()))
        await self._put_back()

    def _is_busy(self) -> bool:
        return bool(self._runs) or self._running.are_left

    async def _put_back(self) -> None:
        """Put back what does not end; what has ended is settled."""
        left = [run for run in self._runs.values() if run.state == "running"]
        for run in left:
            self._running.drop(run)
        try:
            async with asyncio.timeout(COLD_SECONDS):
                await self._outcomes.settle()
                count = await self._leases.put_back((run.claim for run in left), have_begun=True)
                await self._leases.put_back_unanswered(self._names)
        except Exception as error:  # noqa: BLE001 - whatever it is: the leases run out, and the jobs are recovered
            self._log.error("not_put_back", count=len(left), error=error)
        else:
            if left:
                self._log.info("put_back", count=count, job_ids=[run.claim.job_id for run in left])
