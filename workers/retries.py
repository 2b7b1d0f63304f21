"""The life of a job that fails, in RQ's own terms.

1. Fan-out gives a job `attempts - 1` of RQ's retries and an interval for each, so that RQ tries it again even when
   the worker dies in the middle.
2. Each attempt is counted in the job's `meta`, our own record: RQ's count does not start anew after a requeue.
3. An attempt that raises leaves RQ's `retries_left` and interval as the exception asks, and raises on: RQ's own
   code schedules the job, and its scheduler queues it again when the time has come.
4. After the last attempt, a `Discard`, an unknown job name or a missing setting no retries are left: RQ moves the job,
   with the traceback, to its FailedJobRegistry. That is the dead letter.
5. A dead letter that is requeued begins at attempt 1.
"""

import math
import random

from rq import Retry as RQRetry
from rq.job import Job

from shared.errors import ConfigError, DamagedJobError, Discard, Retry, UnknownJobError

_BASE_SECONDS = 2
_CAP_SECONDS = 600
_LONGEST_SECONDS = 365 * 24 * 3600  # what `Retry` may ask for; RQ cannot write a date beyond the year 9999
_GIVES_UP = (Discard, UnknownJobError, DamagedJobError, ConfigError)


def backoff(attempt: int) -> int:
    """Seconds to wait after an attempt that failed: 2, 4, 8… up to 600, the upper half of it by chance."""
    longest = min(_CAP_SECONDS, _BASE_SECONDS * 2 ** (attempt - 1))
    return math.ceil(random.uniform(longest / 2, longest))  # noqa: S311 - jitter is no secret


def rq_retry(attempts: int) -> RQRetry | None:
    """RQ's own retries for a job that may be run `attempts` times."""
    if attempts == 1:
        return None
    return RQRetry(max=attempts - 1, interval=[backoff(attempt) for attempt in range(1, attempts)])


def begin_attempt(job: Job, attempts: int) -> int:
    """Count an attempt, on Redis too, before it is made.

    Returns:
        The number of the attempt, from 1 to `attempts`.
    """
    job.meta.pop("unserialized", None)  # RQ's stand-in for what it could not read; it cannot be written
    before = job.meta.get("attempt", 0)
    attempt = before + 1 if before < attempts else 1
    job.meta["attempt"] = attempt
    job.retries_left = attempts - attempt
    job.save()
    return attempt


def settle_failure(job: Job, attempt: int, error: BaseException) -> str:
    """Prepare RQ's decision about a job whose attempt raised.

    Returns:
        The outcome, for the log: `retry`, `discarded` or `dead`.
    """
    if isinstance(error, _GIVES_UP):
        job.retries_left = 0
    if not job.retries_left:
        job.meta["attempt"] = 0
        job.save_meta()
        return "discarded" if isinstance(error, Discard) else "dead"
    after = min(math.ceil(error.after), _LONGEST_SECONDS) if isinstance(error, Retry) else backoff(attempt)
    job.retry_intervals = [after]
    return "retry"
