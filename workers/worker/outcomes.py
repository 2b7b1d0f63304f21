"""What comes of a worker's jobs when they end.

1. What has succeeded is settled with all that succeeded meanwhile, in one script.
2. What failed is judged, and written by RQ's code in a thread: see `workers/worker/rq_outcomes.py`. So is a success
   that other jobs wait for, and a dead letter of a job that was abandoned.
3. What Redis refuses is written again a little later. Meanwhile the job holds its slot, and its lease is renewed; so
   is one that has run out meanwhile, unless the job has become somebody else's: then it is forgotten.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal

from rq.exceptions import NoSuchJobError

from shared.logs import get_log
from shared.runtime.threads import DaemonThreads
from workers.lease import Lease, LeaseLostError
from workers.redis_errors import WorkerOutage, is_transient
from workers.worker.execution import Execution
from workers.worker.leases import Leases
from workers.worker.rq_outcomes import ABANDONED, RQOutcomes

_AGAIN_SECONDS = 2.0


class Outcomes:
    """Takes and writes the outcomes of jobs; on the event loop."""

    def __init__(
        self,
        executions: dict[str, Execution],
        leases: Leases,
        failures: RQOutcomes,
        threads: DaemonThreads,
        wake: Callable[[], None],
        outage: WorkerOutage,
    ) -> None:
        """Prepare.

        Args:
            executions: the jobs under way, by execution; one whose outcome is written leaves them.
            leases: where successes are settled.
            failures: what writes the rest.
            threads: where it does.
            wake: called when there is something to settle, or a free slot.
            outage: told when Redis does not take an outcome.
        """
        self._executions = executions
        self._leases = leases
        self._failures = failures
        self._threads = threads
        self._wake = wake
        self._outage = outage
        self._done: list[Execution] = []
        self._doubted: set[str] = set()
        self._log = get_log()

    @property
    def are_due(self) -> bool:
        """Whether there is something to settle."""
        return bool(self._done)

    @property
    def unacked(self) -> list[Lease]:
        """The leases of what has succeeded and is not acknowledged yet."""
        return [execution.lease for execution in self._done]

    def take(self, execution: Execution, error: BaseException | None) -> None:
        """Take a job's outcome: what it raised, if anything."""
        if error is None:
            if execution.attempt:
                execution.attempt.done()
            self._done.append(execution)
            self._wake()
        else:
            self._write(execution, partial(self._failures.fail, execution, error))

    def dead_letter(self, execution: Execution) -> None:
        """Write a dead letter of an abandoned job that has no attempt left."""
        self._write(execution, partial(self._failures.dead_letter, execution, ABANDONED))

    async def ack(self) -> None:
        """Acknowledge what has succeeded.

        Raises:
            RedisError: Redis did not answer; the same is written the next time.
        """
        if not self._done:
            return
        batch = self._done[:]
        self._set_states(batch, "settling")
        try:
            lost, left = await self._leases.ack(execution.lease for execution in batch)
        except BaseException:
            self._set_states(batch, "ended")
            self._doubted.update(execution.lease.execution_id for execution in batch)
            raise
        del self._done[: len(batch)]
        lost -= self._doubted  # settled already, by the call that was not answered, or by somebody else
        self._doubted.clear()
        for execution in batch:
            execution_id = execution.lease.execution_id
            if execution_id in left:
                self._write(execution, partial(self._failures.succeed, execution))
            else:
                if execution_id in lost:
                    self._log.warning("lease_lost", job_id=execution.lease.job_id, queue=execution.lease.queue)
                self._forget(execution)

    def _write(self, execution: Execution, outcome: Callable[[], None]) -> None:
        if execution.state == "over":  # it was lost while it waited
            self._outage.end(execution.lease.execution_id)
            return
        execution.state = "settling"
        self._threads.start(outcome, partial(self._written, execution, outcome))

    def _written(self, execution: Execution, outcome: Callable[[], None], _: Any, error: BaseException | None) -> None:
        if error and is_transient(error):
            self._outage.note(error, execution.lease.execution_id)
        else:
            self._outage.end(execution.lease.execution_id)
        if isinstance(error, NoSuchJobError):
            self._log.error("job_missing", job_id=execution.lease.job_id, queue=execution.lease.queue)
            self._done.append(execution)  # settling strikes it off
        elif error:
            if not is_transient(error) and not isinstance(error, LeaseLostError):
                # Of the latter the lease has run out; the next renewal says whose the job is.
                lease = execution.lease
                self._log.error("outcome_not_written", job_id=lease.job_id, queue=lease.queue, error=error)
            execution.state = "ended"
            asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._write, execution, outcome)
        else:
            self._forget(execution)
        self._wake()

    def _set_states(self, executions: Iterable[Execution], state: Literal["ended", "settling"]) -> None:
        for execution in executions:
            if execution.state != "over":
                execution.state = state

    def _forget(self, execution: Execution) -> None:
        execution.state = "over"
        self._executions.pop(execution.lease.execution_id, None)
