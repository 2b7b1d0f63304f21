"""The entry point of jobs: one job type's function, run for one event.

RQ calls `perform` by its import path, ours or a stock `rq worker`; the job itself names only a job type.
"""

import asyncio
import logging
import time
from contextvars import copy_context
from functools import cache
from typing import Any

from rq import get_current_job
from rq.job import Job
from rq.timeouts import JobTimeoutException

from shared.commands import event_from_wire
from shared.config import Settings, load_settings
from shared.errors import UnknownJobError
from shared.events import Event, Wire
from shared.jobs import Jobs, JobType
from shared.loading import load_jobs
from shared.logs import configure_logs, error_fields, get_log
from workers.retries import begin_attempt, settle_failure

_LEVELS = {"done": logging.INFO, "retry": logging.WARNING, "discarded": logging.ERROR, "dead": logging.ERROR}


class Performer:
    """Runs job functions: `async def` on one event loop that lives as long as the process, `def` as it stands."""

    def __init__(self, jobs: Jobs, settings: Settings) -> None:
        self.jobs = jobs
        self.settings = settings
        self._runner = asyncio.Runner()
        self._log = get_log()

    def perform(self, name: str, wire: Wire) -> None:
        """Make one attempt at a job.

        Args:
            name: the job type's name.
            wire: the event, as fan-out wrote it.

        Raises:
            UnknownJobError: there is no such job type here; the job is a dead letter at once.
            Exception: whatever the function raised, for RQ to try again or to bury.
        """
        started = time.perf_counter()
        fields: dict[str, Any] = {"job": name}
        job = get_current_job()
        assert job, "perform is called by an RQ worker"
        try:
            self._attempt(job, name, wire, fields)
        except BaseException as error:
            fields["outcome"] = settle_failure(job, fields.get("attempt", 1), error)
            fields |= error_fields(error)
            raise
        else:
            fields["outcome"] = "done"
        finally:
            ms = round((time.perf_counter() - started) * 1000, 3)
            self._log.log(_LEVELS[fields["outcome"]], "attempt", **fields, ms=ms)

    def _attempt(self, job: Job, name: str, wire: Wire, fields: dict[str, Any]) -> None:
        fields |= {"event_id": wire["id"], "command": wire["command"], "node": wire["node"]}
        job_type = self.jobs.get(name)
        if job_type is None:
            raise UnknownJobError(f"no job type is named {name}; this worker knows {', '.join(self.jobs.names)}")
        fields["attempt"] = begin_attempt(job, job_type.attempts)
        self._call(job_type, event_from_wire(wire))

    def _call(self, job_type: JobType, event: Event) -> None:
        arguments = job_type.arguments(event, self.settings)
        if not job_type.is_async:
            job_type.function(**arguments)
            return
        try:
            # The context of this job, not of the process's first: RQ keeps the current job in it.
            self._runner.run(_within(job_type.timeout, job_type.function(**arguments)), context=copy_context())
        except JobTimeoutException:
            # RQ's alarm went off: the coroutine did not heed its cancellation. Its loop ends with what hangs in it.
            self._runner.get_loop().close()
            self._runner = asyncio.Runner()
            raise


async def _within(seconds: float, coroutine: Any) -> None:
    async with asyncio.timeout(seconds):
        await coroutine


def perform(name: str, wire: Wire) -> None:
    """`Performer.perform` for a worker that is not ours, made from the environment."""
    performer().perform(name, wire)


@cache
def performer() -> Performer:
    """The performer of this process, from its environment."""
    settings = load_settings()
    configure_logs(settings.log_format)
    return Performer(load_jobs(settings), settings)
