"""A lease: one worker's right to run one job, for a limited time.

The worker that holds it renews it while the job runs. When it is not renewed in time, any worker may reap it and put
the job back on its queue; its former holder can then write nothing about the job any more.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from redis import Redis
from rq.executions import Execution

from shared.redis.queues import EVENTS


class LeaseLostError(Exception):
    """Raised when a lease is not this worker's any more."""


@dataclass(slots=True, frozen=True)
class Lease:
    """The lease of a job that a worker has claimed. RQ calls the same an execution.

    Attributes:
        execution_id: RQ's id of the execution.
        queue: the queue it was claimed from.
        data: the function and its arguments, as the hash has them.
        timeout: the seconds that the hash allows the job.
        attempt: its number, or 0 when the claim did not count one.
        claimed_at: when it was claimed, in seconds of the server's clock.
        asked_at: no later than that, in seconds of this process's monotonic clock.
    """

    job_id: str
    execution_id: str
    queue: str
    data: bytes
    timeout: int
    attempt: int
    claimed_at: float
    asked_at: float = 0.0

    @property
    def member(self) -> str:
        """The execution, as RQ's StartedJobRegistry has it."""
        return f"{self.job_id}:{self.execution_id}"

    @property
    def type_slug(self) -> str:
        """The job's type as its id has it, which is what it was claimed by; "" for an event's own job."""
        return "" if self.queue == EVENTS else self.job_id[33:]

    def execution(self, connection: Redis, worker_name: str) -> Execution:
        """The execution, for RQ's own code."""
        execution = Execution(self.execution_id, self.job_id, connection, worker_name)
        execution.created_at = datetime.fromtimestamp(self.claimed_at, UTC)
        return execution
