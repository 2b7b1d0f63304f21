"""Worker processes: RQ's own worker, kept to our two entry points.

A worker serves one queue. Then RQ takes a job with LMOVE, and a worker that is killed at any moment leaves it in a
list or a registry, from where maintenance puts it back; with two queues RQ pops it into the worker's memory.
"""

from collections.abc import Callable, Mapping
from typing import Any

from redis import Redis
from rq import SimpleWorker
from rq.exceptions import DeserializationError
from rq.job import Job
from rq.serializers import JSONSerializer

from shared.errors import ForeignFunctionError
from shared.logs import error_fields, get_log
from shared.queues import FAN_OUT, PERFORM
from workers.fan_out import FanOut
from workers.perform import Performer

_MAINTENANCE_SECONDS = 30
_WORKER_TTL_SECONDS = 45  # RQ waits for a job for 15 s less, and looks after abandoned ones only between waits

EntryPoints = Mapping[str, Callable[..., Any]]


class QueueWorker(SimpleWorker):
    """RQ's worker without forks, whose logs say nothing of a job's arguments."""

    def __init__(self, queue: str, performer: Performer, connection: Redis) -> None:
        """Make a worker.

        Args:
            queue: the queue it serves.
            performer: runs the jobs.
            connection: to Redis.
        """
        entry_points: EntryPoints = {FAN_OUT: FanOut(performer.jobs).fan_out, PERFORM: performer.perform}
        super().__init__(
            [queue],
            connection=connection,
            job_class=guarded_job_class(entry_points),
            serializer=JSONSerializer,
            maintenance_interval=_MAINTENANCE_SECONDS,
            worker_ttl=_WORKER_TTL_SECONDS,
            log_job_description=False,
        )

    def run(self, *, burst: bool) -> None:
        """Work until SIGTERM or SIGINT, or, with `burst`, until the queue is empty. Retries are scheduled from here."""
        self.work(burst=burst, with_scheduler=True, logging_level="WARNING")

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Log and bury what RQ could not even begin; what an entry point raised it has logged itself.

        RQ's own line would hold the exception's text and the job's arguments.
        """
        error = exc_info[1]
        if isinstance(error, ForeignFunctionError | DeserializationError):
            job.retries_left = 0
            get_log().error("job_refused", job_id=job.id, queue=job.origin, **error_fields(error))


def guarded_job_class(entry_points: EntryPoints) -> type[Job]:
    """An RQ job that calls nothing but the entry points, whatever its hash in Redis names.

    RQ imports and calls the function, the three callbacks and the webhooks a hash names; whoever can write to
    Redis could have this process call anything.

    Args:
        entry_points: what may be called, by the name that jobs give it.
    """

    class GuardedJob(Job):
        @property
        def func(self) -> Callable[..., Any]:
            name = self.func_name
            if self.instance is not None or name is None or name not in entry_points:
                raise ForeignFunctionError(f"a worker of Deskbell runs {' and '.join(entry_points)}, nothing else")
            return entry_points[name]

        @property
        def success_callback(self) -> None:
            return None

        @property
        def failure_callback(self) -> None:
            return None

        @property
        def stopped_callback(self) -> None:
            return None

        def send_webhooks(self, *_: Any, **__: Any) -> None:
            return None

    return GuardedJob
