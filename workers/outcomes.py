"""What comes of a worker's jobs when they end.

1. What has succeeded is settled with all that succeeded meanwhile, in one script.
2. What failed is judged, and written by RQ's code in a thread: see `workers/failures.py`. So is a success that other
   jobs wait for, and a dead letter of a job that was abandoned.
3. What Redis refuses is written again a little later. Meanwhile the job holds its slot, and its lease is renewed; so
   is one that has run out meanwhile, unless the job has become somebody else's: then it is forgotten.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal

from rq.exceptions import NoSuchJobError

from shared.logs import get_log
from shared.threads import DaemonThreads
from workers.executions import Executions
from workers.failures import ABANDONED, RQOutcomes
from workers.lease import Lease, LeaseLostError
from workers.outages import WorkerOutage, is_transient
from workers.running import Run

_AGAIN_SECONDS = 2.0


class Outcomes:
    """Takes and writes the outcomes of jobs; on the event loop."""

    def __init__(
        self,
        runs: dict[str, Run],
        executions: Executions,
        failures: RQOutcomes,
        threads: DaemonThreads,
        wake: Callable[[], None],
        outage: WorkerOutage,
    ) -> None:
        """Prepare.

        Args:
            runs: the jobs under way, by execution; one whose outcome is written leaves them.
            executions: where successes are settled.
            failures: what writes the rest.
            threads: where it does.
            wake: called when there is something to settle, or a free slot.
            outage: told when Redis does not take an outcome.
        """
        self._runs = runs
        self._executions = executions
        self._failures = failures
        self._threads = threads
        self._wake = wake
        self._outage = outage
        self._done: list[Run] = []
        self._doubted: set[str] = set()
        self._log = get_log()

    @property
    def are_due(self) -> bool:
        """Whether there is something to settle."""
        return bool(self._done)

    @property
    def unsettled(self) -> list[Lease]:
        """What has succeeded and is not settled yet."""
        return [run.claim for run in self._done]

    def take(self, run: Run, error: BaseException | None) -> None:
        """Take a job's outcome: what it raised, if anything."""
        assert run.call
        if error is None:
            run.call.done()
            self._done.append(run)
            self._wake()
        else:
            self._write(run, partial(self._failures.fail, run, error))

    def dead_letter(self, run: Run) -> None:
        """Write a dead letter of an abandoned job that has no attempt left."""
        self._write(run, partial(self._failures.dead_letter, run, ABANDONED))

    async def settle(self) -> None:
        """Settle what has succeeded.

        Raises:
            RedisError: Redis did not answer; the same is settled the next time.
        """
        if not self._done:
            return
        batch = self._done[:]
        self._set_states(batch, "settling")
        try:
            lost, left = await self._executions.settle(run.claim for run in batch)
        except BaseException:
            self._set_states(batch, "ended")
            self._doubted.update(run.claim.execution_id for run in batch)
            raise
        del self._done[: len(batch)]
        lost -= self._doubted  # settled already, by the call that was not answered, or by somebody else
        self._doubted.clear()
        for run in batch:
            execution_id = run.claim.execution_id
            if execution_id in left:
                self._write(run, partial(self._failures.succeed, run))
            else:
                if execution_id in lost:
                    self._log.warning("lease_lost", job_id=run.claim.job_id, queue=run.claim.queue)
                self._forget(run)

    def _write(self, run: Run, outcome: Callable[[], None]) -> None:
        if run.state == "over":  # it was lost while it waited
            self._outage.end(run.claim.execution_id)
            return
        run.state = "settling"
        self._threads.start(outcome, partial(self._written, run, outcome))

    def _written(self, run: Run, outcome: Callable[[], None], _: Any, error: BaseException | None) -> None:
        if error and is_transient(error):
            self._outage.note(error, run.claim.execution_id)
        else:
            self._outage.end(run.claim.execution_id)
        if isinstance(error, NoSuchJobError):
            self._log.error("job_missing", job_id=run.claim.job_id, queue=run.claim.queue)
            self._done.append(run)  # settling strikes it off
        elif error:
            if not is_transient(error) and not isinstance(error, LeaseLostError):
                # Of the latter the lease has run out; the next renewal says whose the job is.
                claim = run.claim
                self._log.error("outcome_not_written", job_id=claim.job_id, queue=claim.queue, error=error)
            run.state = "ended"
            asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._write, run, outcome)
        else:
            self._forget(run)
        self._wake()

    def _set_states(self, runs: Iterable[Run], state: Literal["ended", "settling"]) -> None:
        for run in runs:
            if run.state != "over":
                run.state = state

    def _forget(self, run: Run) -> None:
        run.state = "over"
        self._runs.pop(run.claim.execution_id, None)
