"""The life of a job that fails, in RQ's own terms.

1. Fan-out gives a job `attempts - 1` of RQ's retries and an interval for each, so that RQ tries it again even when
   the worker dies in the middle.
2. Each attempt is counted in the job's `meta`, our own record: RQ's count does not start anew after a requeue.
3. An attempt that raises leaves RQ's `retries_left` and interval as the exception asks, and raises on: RQ's own
   code schedules the job, and its scheduler queues it again when the time has come.
4. After the last attempt, a `Discard` or a missing setting no retries are left: RQ moves the job, with the traceback,
   to its FailedJobRegistry. That is the dead letter.
5. A dead letter that is requeued begins at attempt 1.
6. An attempt that fails while a breaker has the job's queue paused is given back: see `workers/limits.py`;
   so is one that was begun before its turn: see `workers/turns.py`.
7. `Retry(counts=False)` and `Unavailable` use up no attempt, but the job waits for a day at most, from the first of
   such waits in a row. A job of a type that this worker does not know waits for an hour: in a deploy others know it.
"""

import math
import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rq import Retry as RQRetry
from rq.job import Job

from shared.errors import (
    ConfigError,
    DamagedJobError,
    Discard,
    NotRunError,
    OutOfTurnError,
    Retry,
    Unavailable,
    UnknownJobError,
)
from shared.job_type import JobType
from shared.policies import LONGEST_SECONDS, LONGEST_WAIT_SECONDS, Backoff
from workers.causes import cause_of, last_frames_of
from workers.outages import is_transient

_OUT_OF_TURN_SECONDS = 1
_UNKNOWN_SECONDS = 3600
_UNKNOWN_BACKOFF = Backoff(cap=60)
_GIVES_UP = (Discard, DamagedJobError, ConfigError, NotRunError)  # what no further attempt can help


class Decision(NamedTuple):
    """What becomes of a job whose attempt raised.

    Attributes:
        outcome: `retry`, `out_of_turn`, `discarded` or `dead`.
        fields: what else the log says of it: that the attempt does not count, and until when the job may wait so.
    """

    outcome: str
    fields: dict[str, Any]


def rq_retry(job_type: JobType) -> RQRetry | None:
    """RQ's own retries for a job of a type; None when it is run once."""
    if job_type.attempts == 1:
        return None
    waits = [job_type.backoff.seconds(attempt) for attempt in range(1, job_type.attempts)]
    return RQRetry(max=job_type.attempts - 1, interval=waits)


def begin_attempt(job: Job, attempts: int) -> int:
    """Count an attempt, on Redis too, before it is made.

    Returns:
        The number of the attempt, from 1 to `attempts`.

    Raises:
        OutOfTurnError: Redis does not answer, or refuses; nothing is counted.
    """
    job.meta.pop("unserialized", None)  # RQ's stand-in for what it could not read; it cannot be written
    before = job.meta.get("attempt", 0)
    attempt = before + 1 if before < attempts else 1
    retries_left = job.retries_left
    job.meta["attempt"] = attempt
    job.retries_left = attempts - attempt
    try:
        job.save()
    except Exception as error:
        job.meta["attempt"], job.retries_left = before, retries_left
        if not is_transient(error):
            raise
        raise OutOfTurnError(f"Redis did not count the attempt: {type(error).__name__}") from None
    return attempt


def give_back(job: Job, error: BaseException) -> bool:
    """Let a failure use up none of RQ's own retries when Redis, not the job, is its cause; whether that is so."""
    if not is_transient(error):
        return False
    job.retries_left = (job.retries_left or 0) + 1
    return True


def settle_failure(job: Job, backoff: Backoff, attempt: int, error: BaseException, *, counts: bool) -> Decision:
    """Prepare RQ's decision about a job whose attempt raised.

    Args:
        job: the job.
        backoff: how its type waits.
        attempt: the attempt's number; 0 when none was made.
        error: what was raised.
        counts: whether the attempt is used up, as far as breakers and turns are concerned.

    Returns:
        What becomes of it. The job's `meta`, `retries_left` and interval are set, and still to be written.
    """
    number = max(attempt, 1)
    attempts = number + (job.retries_left or 0)
    until = _waits_until(job, error)
    if isinstance(error, _GIVES_UP) or (until and until < time.time()):
        job.retries_left = 0
    elif until or not counts:
        _uncount_attempt(job, attempt)
    if not job.retries_left:
        # For workers/dead_letters.py, which must not look for them in a text that may quote anybody.
        job.meta |= {"attempt": 0, "attempts": attempts, "made": attempt}
        job.meta |= {"cause": cause_of(error), "where": last_frames_of(error)}
        job.meta.pop("waits", None)
        return Decision("discarded" if isinstance(error, Discard) else "dead", {})
    job.retry_intervals = [_seconds(job, backoff, number, error)]
    fields: dict[str, Any] = {} if counts and not until else {"counts": False}
    if until:
        fields["until"] = datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds")
    return Decision("out_of_turn" if isinstance(error, OutOfTurnError) else "retry", fields)


def _uncount_attempt(job: Job, attempt: int) -> None:
    """Give a job the attempt back that failed: it is tried again even if that was its last."""
    job.meta["attempt"] = attempt - 1 if attempt else job.meta.get("attempt", 0)
    job.retries_left = (job.retries_left or 0) + 1


def _waits_until(job: Job, error: BaseException) -> float | None:
    """Until when a job may wait without using up an attempt, in Unix seconds; None when it does not wait so."""
    if isinstance(error, OutOfTurnError):
        return None
    if not (isinstance(error, Unavailable | UnknownJobError) or (isinstance(error, Retry) and not error.counts)):
        job.meta.pop("waits", None)
        return None
    count, since = job.meta.get("waits", [0, round(time.time())])
    job.meta["waits"] = [count + 1, since]
    return float(since + (_UNKNOWN_SECONDS if isinstance(error, UnknownJobError) else LONGEST_WAIT_SECONDS))


def _seconds(job: Job, backoff: Backoff, attempt: int, error: BaseException) -> int:
    """How long a job waits for its next attempt."""
    if isinstance(error, OutOfTurnError):
        return _OUT_OF_TURN_SECONDS
    if isinstance(error, Retry):
        return min(math.ceil(error.after), LONGEST_SECONDS if error.counts else LONGEST_WAIT_SECONDS)
    if isinstance(error, UnknownJobError):
        return _UNKNOWN_BACKOFF.seconds(job.meta["waits"][0])
    return backoff.seconds(job.meta["waits"][0] if isinstance(error, Unavailable) else attempt)
