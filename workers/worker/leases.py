"""The leases of one worker on Redis, in RQ's own keys: claimed, renewed, acknowledged, released, reaped.

1. `claim` moves ids from queues into RQ's StartedJobRegistry, with a lease: the life of the execution's key.
2. `renew` keeps the leases while the worker lives: its heartbeat.
3. `ack` writes what has succeeded, and the jobs of events. Other outcomes are written as RQ writes them: see
   `workers/worker/rq_outcomes.py`.
4. `release` undoes claims when the worker ends.
5. `reap` ends leases that have expired, of any worker, and puts their jobs back.

Each is one script: one round trip for any number of jobs, and no moment at which a job is nowhere. A lease that was
reaped is no longer its worker's: what a worker that was frozen writes later is refused (fencing).
"""

import json
import time
import uuid
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from redis.asyncio import Redis as AsyncRedis
from rq.executions import WORKER_EXECUTIONS_KEY_TEMPLATE
from rq.utils import now, utcformat
from rq.worker import BaseWorker

from shared.jobs.jobs import Jobs
from shared.redis.connections import connect
from shared.redis.pipelining import run_replicated
from shared.redis.queues import queue_key
from shared.redis.scripts import script_text
from shared.settings.config import Settings
from workers.fan_out import FanOut, JobTemplates, fan_out_text
from workers.flow.limits import limits_text, log_resumed
from workers.lease import Lease

WORKER_KNOWN_SECONDS = 105
"""How long Redis knows a worker without a heartbeat."""

_MOST_WAIT_MS = 5_000  # for replicas, less than the time-out of the connection; of short leases a quarter
_SHARE = 0.6  # of the time within which an abandoned job is to run again
MOST_EVENTS = 32
"""Events that one claim takes: with the default concurrency as many as jobs, which would starve behind more."""

MOST_AT_ONCE = 128
"""Jobs that one script claims or acks: it holds up everybody else on Redis."""

_REAPED_AT_ONCE = 100
_REAPING_SHARE = 0.06  # of a lease, for each queue
_DEFAULT_TIMEOUT_SECONDS = 180  # RQ's, for a job that names none
_LONGEST_NUMBER = 10  # digits
_PREFIX_LENGTH = 24
_UNANSWERED = 100
_WHEN_FULL = frozenset({"renew", "ack", "release", "reap"})
"""Scripts that run although Redis is full: if they were refused, jobs that have succeeded would run twice."""


@dataclass(slots=True, frozen=True)
class Claimed:
    """The result of one claim.

    Attributes:
        leases: of the jobs that were claimed.
        suspended: whether `rq suspend` holds all workers back.
        held: how many jobs are to be claimed later: a limit holds them back, or ids that had no job were before them.
        lengths: what is left on each queue.
        missing: ids that have no job; they were taken off.
        opens_in: the seconds until a rate or a pause lets go of jobs; None when neither holds any back.
    """

    leases: list[Lease]
    suspended: bool
    held: int
    lengths: dict[str, int]
    missing: list[bytes]
    opens_in: float | None


@dataclass(slots=True, frozen=True)
class Acked:
    """The result of one ack, by the ids of executions.

    Attributes:
        lost: those that were no longer ours.
        left: those that must be written as RQ does.
        fanned_out_before: those of events whose jobs were there already.
    """

    lost: set[str]
    left: set[str]
    fanned_out_before: set[str]


class Leases:
    """The leases of one worker, from an event loop.

    Attributes:
        seconds: how long a lease lasts without being renewed.
        attempts: how many each job type has, by its name as ids have it.
        attempts_text: the same as JSON, with 0 for types that are left to other workers: what a claim is told.
    """

    def __init__(
        self, redis: AsyncRedis, worker_name: str, queues: Sequence[str], jobs: Jobs, settings: Settings
    ) -> None:
        self.seconds = round(settings.abandoned_seconds * _SHARE)
        self._redis = redis
        self._jobs, self._settings = jobs, settings
        self._worker = worker_name
        self._queues = queues
        self.attempts = {job_type.type_slug: job_type.attempts for job_type in jobs.types}
        self.attempts_text = json.dumps(self.attempts)
        self._unanswered: deque[str] = deque(maxlen=_UNANSWERED)
        self._is_unsure = False
        self._renewed_at = b""
        self._templates = JobTemplates(jobs, connect(settings))
        limits = limits_text(jobs)
        self._claim, self._ack, self._renew, self._release, self._reap = (
            redis.register_script(_script(name, limits)) for name in ("claim", "ack", "renew", "release", "reap")
        )

    def through(self, redis: AsyncRedis) -> "Leases":
        """The same leases, through a connection of another event loop."""
        return Leases(redis, self._worker, self._queues, self._jobs, self._settings)

    async def claim(self, queues: Sequence[str], free: int, events: int = MOST_EVENTS) -> Claimed:
        """Claim as many jobs as there are free slots, and so many events, which need none.

        Nothing is begun before as many replicas have the claim as an answer waits for. A master that was cut off has
        none: it may have been replaced, and what it took meanwhile is kept elsewhere as well.
        """
        if self._is_unsure:  # what the claim took whose answer was lost is ours, and we do not know it
            await self.release_unanswered()
        prefix, asked_at = _prefix(), time.monotonic()
        self._unanswered.append(prefix)
        self._is_unsure = True
        arguments: list[Any] = [_date(), self._worker, free, events, self.seconds, prefix, self.attempts_text, *queues]
        wait = self._settings.min_replicas, min(self.seconds * 250, _MOST_WAIT_MS)
        answer = await run_replicated(self._redis, self._claim, [*map(queue_key, queues)], arguments, *wait)
        claimed = _claimed(answer, queues, asked_at)
        self._unanswered.remove(prefix)
        self._is_unsure = False
        if time.monotonic() - asked_at < self.seconds / 2:
            return claimed
        await self.release(claimed.leases)  # this process was frozen: they may be another's already
        return replace(claimed, leases=[], held=claimed.held + len(claimed.leases))

    async def ack(self, jobs: Sequence[tuple[Lease, FanOut | None]]) -> Acked:
        """Write that jobs have succeeded.

        Args:
            jobs: the lease of each, and what its event becomes; None of a job that is no event's.
        """
        table, parts = self._templates.arguments([fan_out for _, fan_out in jobs])
        arguments: list[Any] = [_date(), self._worker, table]
        for (lease, _), part in zip(jobs, parts, strict=True):
            arguments += (lease.job_id, lease.execution_id, lease.queue, lease.claimed_at, *part)
        lost, left, resumed, fanned_out_before = await self._ack(args=arguments)
        log_resumed(resumed)
        return Acked(_texts(lost), _texts(left), _texts(fanned_out_before))

    async def renew(self, leases: Iterable[Lease], state: str, record: bytes = b"") -> tuple[bool, set[str]]:
        """Renew leases, and with them what Redis knows of the worker: its state, as `rq info` shows it, and its record.

        Returns:
            Whether Redis still knew the worker, and the ids of executions that are no longer ours.
        """
        jobs = [part for lease in leases for part in (lease.job_id, lease.execution_id, lease.queue)]
        known_seconds = WORKER_KNOWN_SECONDS
        arguments: list[Any] = [_date(), self._worker, self.seconds, known_seconds, state, record, *jobs]
        known, lost, self._renewed_at = await self._renew(args=arguments)
        return bool(known), _texts(lost)

    async def release(self, leases: Iterable[Lease], *, have_begun: bool = False) -> int:
        """Put jobs back at the head of their queues, their attempts uncounted; how many were still ours."""
        latest_first = sorted(leases, key=lambda lease: (lease.claimed_at, lease.execution_id), reverse=True)
        jobs = [
            part
            for lease in latest_first
            for part in (lease.job_id, lease.execution_id, lease.queue, int(lease.attempt > 0))
        ]
        return int(await self._release(args=[self._worker, int(have_begun), *jobs])) if jobs else 0

    async def release_unanswered(self) -> None:
        """Release what claims took whose answers were lost: Redis says that it is this worker's.

        The queue is not known; a lease is in the registry of one. What was reaped to become a dead letter has another
        prefix: that is not to run again.
        """
        members: Any = await self._redis.smembers(WORKER_EXECUTIONS_KEY_TEMPLATE.format(self._worker))
        pairs = [member.decode().split(":") for member in members]
        leases = [
            Lease(job_id, execution_id, queue, b"", 0, int(job_id[33:] in self.attempts), 0)
            for job_id, execution_id in pairs
            if execution_id[:_PREFIX_LENGTH] in self._unanswered
            for queue in self._queues
        ]
        await self.release(leases)

    async def reap(self, queue: str) -> tuple[list[bytes], list[Lease]]:
        """Put back the jobs of a queue whose leases have expired.

        All of them, a hundred at a time, since a process that died may have held many; but it stops when there are a
        hundred to become dead letters, each of which is a thread's work, and in time for the worker to renew its own.

        Returns:
            The ids of jobs that were put back, and new leases of those that have no attempt left.
        """
        job_ids: list[bytes] = []
        exhausted: list[Lease] = []
        claimed_at = time.time()
        until = time.monotonic() + self.seconds * _REAPING_SHARE
        while len(exhausted) < _REAPED_AT_ONCE and time.monotonic() < until:
            arguments: list[Any] = [_date(), self._worker, queue, self.seconds, _prefix(), _REAPED_AT_ONCE]
            ids, rows, count = await self._reap(args=[*arguments, self._renewed_at])
            job_ids += ids
            exhausted += [
                Lease(id_.decode(), name.decode(), queue, b"", 0, 0, claimed_at) for id_, name in _rows(rows, 2)
            ]
            if count < _REAPED_AT_ONCE:
                break
        return job_ids, exhausted

    async def show(self, field: str, value: str) -> None:
        """Write what RQ shows of the worker."""
        await self._redis.hset(BaseWorker.redis_worker_namespace_prefix + self._worker, field, value)


def _claimed(answer: list[Any], queues: Sequence[str], asked_at: float) -> Claimed:
    """The answer of `claim.lua`."""
    suspended, held, lengths, claimed, missing, opens_in, now_ms = answer
    claimed_at = now_ms / 1000
    leases = [
        Lease(id_.decode(), name.decode(), queues[at - 1], data, _seconds(timeout), attempt, claimed_at, asked_at)
        for id_, name, at, data, timeout, attempt in _rows(claimed, 6)
    ]
    left = dict(zip(queues, lengths, strict=True))
    return Claimed(leases, bool(suspended), held, left, missing, opens_in / 1000 if opens_in >= 0 else None)


def _seconds(timeout: bytes | None) -> int:
    """A job's time-out, as its hash has it: anybody may have written that."""
    text = timeout or b""
    return (int(text) if text.isdigit() and len(text) < _LONGEST_NUMBER else 0) or _DEFAULT_TIMEOUT_SECONDS


def _script(name: str, limits: str) -> str:
    """A script of this package, with what it needs in front of it."""
    flags = "#!lua flags=allow-oom\n" if name in _WHEN_FULL else ""  # Redis looks for it at the very beginning
    fan_out, part = (fan_out_text(), "success") if name == "ack" else ("", "attempts")
    text = limits + script_text("workers", "writes") + fan_out
    return flags + text + script_text("workers.worker", "lease", part, name)


def _date() -> str:
    return utcformat(now())


def _prefix() -> str:
    return uuid.uuid4().hex[:_PREFIX_LENGTH]


def _rows(flat: list[Any], width: int) -> Iterable[Sequence[Any]]:
    return zip(*[iter(flat)] * width, strict=True)


def _texts(values: Iterable[bytes]) -> set[str]:
    return {value.decode() for value in values}
