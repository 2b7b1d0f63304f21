"""Sliding-window rate limit, semaphore and circuit breaker (with a half-open probe): Python's side of `limits.lua`.

`limits.lua` is put in front of every script that claims or acks. A claim starts a job only if its type's limit admits
it, and takes nothing from a queue whose breaker is open. The script that acks a success records it. A failure is
recorded here, before RQ decides about the job, since an attempt that fails while the breaker is open does not count.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq.job import Job
from rq.registry import StartedJobRegistry

from shared.declarations.policies import Concurrency, Rate
from shared.errors import Discard, LeftError, OutOfTurnError, Retry, Unavailable
from shared.jobs.job_type import JobType
from shared.jobs.jobs import Jobs
from shared.keys import prefixed
from shared.logs import get_log
from shared.redis.scripts import script_text
from workers.causes import cause_of
from workers.lease import Lease, LeaseLostError

_SLOT_MARGIN_SECONDS = 60  # by which a slot outlasts its job's time-out
_LATE_SHARE = 0.5  # of a rate's period, between a claim and its job's beginning
_ANSWERS = (Discard, Retry)

# A worker that was frozen and has lost its lease must not free the slot, or count for the job, of the new owner.
_FENCE = "if ARGV[3] ~= '' and not redis.call('ZSCORE', ARGV[3], ARGV[4]) then return 'lost' end\n"
# A worker that did not get the answer calls the script again: the same failure must not count twice.
_FAILED = """
local noted = ARGV[5] ~= '' and LIMITS[ARGV[1]].failures and 'deskbell:noted:' .. ARGV[5]
local before = noted and redis.call('GET', noted)
if before then
  return cjson.decode(before)
end
local answer = {record_failure(ARGV[1], ARGV[2], server_ms(), tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8]))}
free_slot_and_lock(ARGV[1], ARGV[2])
if noted then
  redis.call('SET', noted, cjson.encode(answer), 'EX', 3600)
end
return answer
"""
_SUCCEEDED = "record_success(ARGV[1], ARGV[2]) free_slot_and_lock(ARGV[1], ARGV[2]) return resumed"
_ANSWERED = "record_answer(ARGV[1], ARGV[2]) free_slot_and_lock(ARGV[1], ARGV[2]) return resumed"
_RESTARTED = "return admits_rate(LIMITS[ARGV[1]], ARGV[1], ARGV[2], server_ms()) and 1 or 0"
_UNBEGUN = "uncount_start(ARGV[1], ARGV[2]) free_slot_and_lock(ARGV[1], ARGV[2]) return 0"
_RELEASED = "free_slot_and_lock(ARGV[1], ARGV[2]) redis.call('DEL', 'deskbell:noted:' .. ARGV[5]) return 1"


def limits_text(jobs: Jobs) -> str:
    """`limits.lua` with the limits of these job types: what stands in front of a script that claims or acks."""
    limited = filter(_is_limited, jobs.types)
    entries = ", ".join(f'["{job_type.type_slug}"] = {{{_fields(job_type)}}}' for job_type in limited)
    return f"local LIMITS = {{{entries}}}\n" + script_text("workers.flow", "limits")


def record_failure(jobs: Jobs, job_type: JobType, job: Job, error: BaseException) -> bool:
    """Record that an attempt raised, and free its slot.

    Returns:
        Whether the attempt counts.

    Raises:
        LeaseLostError: the execution is not ours any more; nothing was recorded.
    """
    if not _is_limited(job_type):
        return not isinstance(error, OutOfTurnError | LeftError)
    if isinstance(error, OutOfTurnError | LeftError):
        _run(jobs, _UNBEGUN, job_type, job)
        return False
    if isinstance(error, _ANSWERS):
        log_resumed(_run(jobs, _ANSWERED, job_type, job))
        return True
    cause = cause_of(error).encode(errors="backslashreplace")
    away = error if isinstance(error, Unavailable) else None
    failures = job_type.breaker.failures if job_type.breaker and away else 1
    pause_ms = away.pause * 1000 if away and away.pause else ""
    counts, until_ms = _run(jobs, _FAILED, job_type, job, failures, cause, pause_ms)
    if until_ms:
        until = datetime.fromtimestamp(until_ms / 1000, UTC).isoformat(timespec="seconds")
        get_log().warning("queue_paused", queue=job_type.queue, job=job_type.name, cause=cause.decode(), until=until)
    return bool(counts)


def is_late(job_type: JobType, asked_at: float) -> bool:
    """Whether a rate counted a start so long ago (`time.monotonic()`) that it may no longer count at the job's call."""
    limit = job_type.limit
    return isinstance(limit, Rate) and time.monotonic() - asked_at > limit.period_ms / 1000 * _LATE_SHARE


def recount_start(jobs: Jobs, job_type: JobType, job: Job) -> None:
    """Have a rate count a job's start from now on, if the job was claimed some time ago and begins only now.

    Raises:
        OutOfTurnError: as many jobs as the rate allows have started since the claim; or Redis does not say.
        LeaseLostError: the execution is not ours any more.
    """
    try:
        may_start = _run(jobs, _RESTARTED, job_type, job)
    except (RedisError, OSError) as error:
        raise OutOfTurnError(f"Redis did not say whether it may start: {type(error).__name__}") from None
    if not may_start:
        raise OutOfTurnError("it began too late, and others have started since")


def record_success(jobs: Jobs, job_type: JobType, job: Job) -> None:
    """Record that an attempt succeeded where no script acks it, and free its slot.

    Raises:
        LeaseLostError: the execution is not ours any more; nothing was recorded.
    """
    if _is_limited(job_type):
        log_resumed(_run(jobs, _SUCCEEDED, job_type, job))


def free_slot(jobs: Jobs, lease: Lease, connection: Redis) -> None:
    """Free the slot that a job was claimed with: that of the type which its id names, whatever its data name.

    Raises:
        LeaseLostError: the execution is not ours any more; its slot may be another's.
    """
    if any(job_type.type_slug == lease.type_slug and _is_limited(job_type) for job_type in jobs.types):
        _ask(jobs, _RELEASED, lease.type_slug, lease.job_id, lease, connection)


def log_resumed(resumed: Sequence[bytes]) -> None:
    """Log which queues go on after a pause: job types as ids have them, each followed by its queue."""
    for name, queue in zip(resumed[::2], resumed[1::2], strict=True):
        get_log().info("queue_resumed", queue=queue.decode(), job=name.decode().replace("-", "."))


def _run(jobs: Jobs, what: str, job_type: JobType, job: Job, *more: Any) -> Any:
    return _ask(jobs, what, job_type.type_slug, job.id, getattr(job, "lease", None), job.connection, *more)


def _ask(jobs: Jobs, what: str, name: str, job_id: str, lease: Lease | None, connection: Redis, *more: Any) -> Any:
    script = connection.register_script(limits_text(jobs) + prefixed(_FENCE + what))
    registry = StartedJobRegistry(lease.queue, connection).key if lease else ""
    execution = [registry, lease.member, lease.execution_id] if lease else ["", "", ""]
    answer: Any = script(args=[name, job_id, *execution, *more])
    if answer == b"lost":
        raise LeaseLostError
    return answer


def _is_limited(job_type: JobType) -> bool:
    return bool(job_type.limit or job_type.breaker or job_type.ordered_by)


def _fields(job_type: JobType) -> str:
    fields: dict[str, int] = {"lease_ms": (job_type.timeout + _SLOT_MARGIN_SECONDS) * 1000}
    if isinstance(job_type.limit, Rate):
        fields |= {"starts": job_type.limit.starts, "period_ms": job_type.limit.period_ms}
    if isinstance(job_type.limit, Concurrency):
        fields["concurrency"] = job_type.limit.jobs
    if job_type.breaker:
        fields |= {"failures": job_type.breaker.failures, "pause_ms": job_type.breaker.pause * 1000}
    numbers = [f"{name} = {value}" for name, value in fields.items()]
    ordered = "true" if job_type.ordered_by else "false"
    return ", ".join([f'queue = "{job_type.queue}"', f"ordered = {ordered}", *numbers])
