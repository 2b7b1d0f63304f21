"""Outcomes of jobs: a batched ack of what has succeeded; other outcomes are written one by one.

1. All jobs that have succeeded since the last ack are acknowledged in one script, which makes the jobs of events. It
   holds up everybody else on Redis: when there is much to be made, the rest waits for the next ack.
2. A failure is written as RQ writes it, in a thread: see `workers/worker/rq_outcomes.py`. So is a success that other
   jobs wait for, and the dead letter of an abandoned job.
3. What Redis refuses is written again a little later. Meanwhile the job holds its slot, and its lease is renewed, also
   one that has expired, unless it was reaped: then the job is forgotten.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rq.exceptions import NoSuchJobError

from shared.logs import get_log
from shared.runtime.threads import DaemonThreads
from workers.fan_out import FanOut
from workers.lease import Lease, LeaseLostError
from workers.redis_errors import WorkerOutage, is_transient
from workers.worker.execution import Execution
from workers.worker.leases import MOST_AT_ONCE, Leases
from workers.worker.rq_outcomes import ABANDONED, RQOutcomes

AGAIN_SECONDS = 2.0
_MOST_BYTES = 1_000_000  # of the jobs of events, in one ack


@dataclass(eq=False)
class Outcomes:
    """Collects and writes the outcomes of jobs; on the event loop."""

    executions: dict[str, Execution]  # one whose outcome is written leaves them
    leases: Leases
    rq_outcomes: RQOutcomes
    threads: DaemonThreads
    wake: Callable[[], None]  # called when there is something to acknowledge, or a free slot
    outage: WorkerOutage

    def __post_init__(self) -> None:
        self._done: list[Execution] = []
        self._in_doubt: set[str] = set()

    @property
    def are_due(self) -> bool:
        """Whether there is something to acknowledge."""
        return bool(self._done)

    @property
    def make_jobs(self) -> bool:
        """Whether events become jobs when that is acknowledged."""
        return any(execution.fan_out for execution in self._done)

    @property
    def unacked(self) -> list[tuple[Lease, FanOut | None]]:
        """What has succeeded and is not acknowledged yet, as `Leases.ack` takes it."""
        return _leases_of(self._done)

    def record(self, execution: Execution, error: BaseException | None) -> None:
        """Record a job's outcome: what it raised, if anything."""
        execution.state = "ended"
        if error is None:
            if execution.attempt:
                execution.attempt.done()
            self._done.append(execution)
            self.wake()
        else:
            self._write(execution, partial(self.rq_outcomes.fail, execution, error))

    def dead_letter(self, execution: Execution) -> None:
        """Write a dead letter of an abandoned job that has no attempt left."""
        self._write(execution, partial(self.rq_outcomes.dead_letter, execution, ABANDONED))

    async def ack(self) -> None:
        """Acknowledge what has succeeded, or as much of it as one script should write.

        Raises:
            RedisError: Redis did not answer; the same is written the next time.
        """
        batch = self._next_batch()
        if not batch:
            return
        for execution in batch:
            execution.state = "acking"
        try:
            acked = await self.leases.ack(_leases_of(batch))
        except BaseException:
            for execution in batch:
                execution.state = "ended"
                self._in_doubt.add(execution.lease.execution_id)
            raise
        del self._done[: len(batch)]
        lost = acked.lost - self._in_doubt  # acknowledged already, by the call that was not answered; or reaped
        self._in_doubt.clear()
        for execution in batch:
            execution_id = execution.lease.execution_id
            if execution_id in lost:
                get_log().warning("lease_lost", job_id=execution.lease.job_id, queue=execution.lease.queue)
            elif execution.fan_out:
                execution.fan_out.log("done_before" if execution_id in acked.fanned_out_before else "done")
            if execution_id in acked.left:
                self._write(execution, partial(self.rq_outcomes.succeed, execution))
            else:
                self._forget(execution)

    def _next_batch(self) -> list[Execution]:
        batch, size = [], 0
        for execution in self._done[:MOST_AT_ONCE]:
            batch.append(execution)
            size += execution.fan_out.size if execution.fan_out else 0
            if size > _MOST_BYTES:
                break
        return batch

    def _write(self, execution: Execution, outcome: Callable[[], None]) -> None:
        if execution.state == "over":  # it was lost while it waited
            self.outage.record_success(execution.lease.execution_id)
            return
        execution.state = "writing"
        self.threads.start(outcome, partial(self._written, execution, outcome))

    def _written(self, execution: Execution, outcome: Callable[[], None], _: Any, error: BaseException | None) -> None:
        if error and is_transient(error):
            self.outage.record_error(error, execution.lease.execution_id)
        else:
            self.outage.record_success(execution.lease.execution_id)
        if isinstance(error, NoSuchJobError):
            get_log().error("job_missing", job_id=execution.lease.job_id, queue=execution.lease.queue)
            self._forget(execution)  # a replaced master may have said so: whoever reaps the lease knows
        elif error:
            if not is_transient(error) and not isinstance(error, LeaseLostError):
                # A lost lease has expired, or was ended by what was just written; the next renewal says which.
                lease = execution.lease
                get_log().error("outcome_not_written", job_id=lease.job_id, queue=lease.queue, error=error)
            execution.state = "ended"
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._write, execution, outcome)
        else:
            self._forget(execution)
        self.wake()

    def _forget(self, execution: Execution) -> None:
        execution.state = "over"
        self.executions.pop(execution.lease.execution_id, None)


def _leases_of(executions: Sequence[Execution]) -> list[tuple[Lease, FanOut | None]]:
    return [(execution.lease, execution.fan_out) for execution in executions]
