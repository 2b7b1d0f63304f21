"""The entry point of jobs for a stock `rq worker`, which calls `perform` by its import path.

Our worker makes the same attempt (`workers/attempt.py`) without it.
"""

import asyncio
from contextlib import ExitStack, suppress
from functools import cache

from redis.exceptions import RedisError
from rq import get_current_job
from rq.timeouts import JobTimeoutException

from shared.declarations.functions import is_awaited
from shared.loading import load_jobs
from shared.logs import configure_logs
from shared.settings.config import load_settings
from shared.wire.events import Wire
from workers.attempt import Attempt, Performer
from workers.flow.limits import record_success
from workers.unawaited import await_result, check_ran, log_unawaited


def perform(name: str, wire: Wire) -> None:
    """The entry point: configured from the environment."""
    perform_with(performer(), name, wire)


def perform_with(performer: Performer, name: str, wire: Wire) -> None:
    """Make one attempt at RQ's current job.

    Raises:
        UnknownJobError: there is no such job type here.
        DamagedJobError: the job holds no event.
        Exception: whatever the function raised. RQ then retries the job or makes it a dead letter.
    """
    job = get_current_job()
    assert job, "perform is called by an RQ worker"
    attempt = Attempt(performer, name, wire)
    try:
        attempt.prepare()
        attempt.begin(job)
        call(performer, attempt)
    except BaseException as error:
        attempt.failed(job, error)
        with suppress(RedisError):
            job.save_meta()  # as RQ does for a retry, and not for a dead letter
        raise
    with suppress(RedisError):  # the job is done all the same; its slot expires
        record_success(performer.jobs, attempt.job_type, job)
    attempt.done()


def call(performer: Performer, attempt: Attempt) -> None:
    """Call the function of an attempt, on this thread, within the lifespans of the job types.

    These, and what is to be awaited, run on an event loop of this job's own.
    """
    with ExitStack() as stack:
        runner = stack.enter_context(performer.jobs.lifespans.runner(performer.settings))
        result = attempt.function()
        if not is_awaited(result):
            return check_ran(result)
        try:
            runner.run(asyncio.wait_for(await_result(result), attempt.job_type.timeout))
        except JobTimeoutException:
            stack.pop_all()  # RQ's alarm went off: the coroutine ignored its cancellation, and would ignore another
            raise


@cache
def performer() -> Performer:
    """The performer of this process, from its environment."""
    settings = load_settings()
    configure_logs(settings.log_format)
    log_unawaited()
    return Performer(load_jobs(settings), settings)
