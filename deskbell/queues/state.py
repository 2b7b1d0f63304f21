"""One queue as it stands on Redis: what waits, runs, is to be tried again and is held, and who reads it."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from redis.exceptions import OutOfMemoryError, ResponseError
from rq import Queue, Worker
from rq.scheduler import RQScheduler

from shared.jobs.jobs import Jobs
from shared.keys import RQ
from shared.redis.clock import ahead_of
from shared.redis.queues import EVENTS, queue
from shared.redis.workers import DeclaredJobType, WorkerRecord, read_workers
from shared.wire.json_values import read_json
from workers.dead_letters.registry import read_date
from workers.declared import declared

WINDOW = 500
"""Ids at the head of a queue that a claim looks at; `claim.lua` has the same number."""

_JOB, _EXECUTION = f"{RQ}job:".encode(), f"{RQ}execution:".encode()
_SPARE_MS = 60_000  # RQ lets a worker's key expire a minute after the time within which it must give a sign of life
_MOST = 1000
_SHOWN = 20


class KnownWorker(Worker):
    """A worker that is looked at. RQ's own changes the client, for which each answer may then take 415 s."""

    connection_timeout = 0  # no client waits for less


@dataclass(frozen=True, slots=True)
class JobState:
    """A job of the queue, of which more is known than its id.

    Attributes:
        job_type: its name, as its id tells it; "" of an event's own job.
        status: as RQ writes it; "" when there is no such job.
        since: when it was queued; None where it does not say.
    """

    id: str
    job_type: str
    status: str
    since: datetime | None
    meta: dict[str, Any]
    depends_on: str


@dataclass(frozen=True, slots=True)
class Running:
    """A job under way.

    Attributes:
        worker: RQ's name of it.
        began: in Unix seconds.
        is_held: whether its lease lasts; of one that does not, the worker has died or is cut off.
    """

    id: str
    job_type: str
    worker: str
    began: float
    is_held: bool


@dataclass(slots=True)
class Readers:
    """Who reads a queue.

    Attributes:
        living: RQ's names of the workers with a sign of life.
        silent: how many are known without one.
        records: what those of Deskbell say of themselves.
    """

    living: list[str] = field(default_factory=list)
    silent: int = 0
    records: list[WorkerRecord] = field(default_factory=list)


@dataclass(slots=True)
class QueueState:
    """A queue at one moment; of each kind of job the number of all, and the first.

    Attributes:
        first: the ids of those that wait.
        gone: those of them that have no job.
        oldest: when the first was queued; None when none waits, or it does not say.
        is_damaged: whether a key of it has a foreign type: then nothing is known of its jobs.
        is_left: whether no job type here or in a worker uses it, and it has dead letters alone.
    """

    name: str
    readers: Readers
    waiting: int
    first: list[str]
    gone: set[str]
    oldest: datetime | None
    running: list[Running]
    scheduled: int
    due: list[tuple[JobState, float]]  # with the Unix seconds at which it is to be queued
    deferred: int
    held: list[JobState]
    dead: int
    scheduler_lock_ms: int
    declared: dict[str, DeclaredJobType]
    is_damaged: bool = False
    is_left: bool = False

    @property
    def job_types(self) -> Counter[str]:
        """How many of the first jobs that wait are of each type."""
        return Counter(map(type_in, self.first))

    @property
    def oldest_seconds(self) -> float | None:
        """How long the job at the head waits; None when none does, or it does not say."""
        return max(0.0, (datetime.now(UTC) - self.oldest).total_seconds()) if self.oldest else None

    @property
    def is_empty(self) -> bool:
        """Whether it has nothing to do."""
        return not (self.waiting or self.running or self.scheduled or self.deferred or self.is_damaged)

    def __str__(self) -> str:
        """How many jobs are where, in one line."""
        counts = {
            "wait": self.waiting,
            "run": len(self.running),
            "are to be tried again later": self.scheduled,
            "are held behind others": self.deferred,
            "are dead letters": self.dead,
        }
        counted = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing waits"
        if self.is_damaged:
            counted = "not known, since a key of it has a foreign type"
        oldest = self.oldest_seconds
        waited = f" (the first for {oldest:.0f} s)" if oldest and oldest >= 1 else ""
        return f"{self.name}: {counted}{waited}; workers: {len(self.readers.living)}"


def read_queues(connection: Redis, jobs: Jobs | None) -> list[QueueState]:
    """The queues of job types here or in a worker, those that hold jobs or that a worker reads; `events` first.

    Those that are left come last.
    """
    readers = read_readers(connection)
    used = [EVENTS, *(jobs.queues if jobs else [])]
    known = [each.name for each in Queue.all(connection)]
    held = [name for name in known if _holds_any(connection, name)]
    types = [each for reader in readers.values() for record in reader.records for each in record.job_types.values()]
    names = dict.fromkeys([*used, *sorted({*held, *readers, *(each.queue for each in types)})])
    states = [_read_or_damaged(connection, name, readers.get(name, Readers()), jobs) for name in names]
    for name in sorted(set(known) - names.keys()):
        if connection.exists(queue(name, connection).failed_job_registry.key):
            states.append(_read_or_damaged(connection, name, Readers(), jobs))
            states[-1].is_left = True
    return states


def _read_or_damaged(connection: Redis, name: str, readers: Readers, jobs: Jobs | None) -> QueueState:
    try:
        return read_queue(connection, name, readers, jobs)
    except ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        return QueueState(name, readers, 0, [], set(), None, [], 0, [], 0, [], 0, 0, {}, is_damaged=True)


def queue_names(connection: Redis, readers: Iterable[str], jobs: Jobs | None) -> list[str]:
    """The queues that there are, or were; what is on them is not read."""
    return sorted({EVENTS, *(jobs.queues if jobs else []), *(each.name for each in Queue.all(connection)), *readers})


def read_readers(connection: Redis) -> dict[str, Readers]:
    """Who reads each queue, by its name."""
    workers, ahead = KnownWorker.all(connection), round(ahead_of(connection))
    records = read_workers(connection, [worker.name for worker in workers])
    for name, record in records.items():  # an age is a difference to this host's clock, which may be wrong
        records[name] = replace(record, noted=record.noted + ahead)
    found: dict[str, Readers] = {}
    for worker in workers:
        is_living = connection.pttl(worker.key) >= _SPARE_MS
        for name in worker.queue_names():
            here = found.setdefault(name, Readers())
            if is_living:
                here.living.append(worker.name)
                here.records += [records[worker.name]] if worker.name in records else []
            else:
                here.silent += 1
    return found


def read_queue(connection: Redis, name: str, readers: Readers, jobs: Jobs | None) -> QueueState:
    """A queue at this moment; nothing is written. What living workers declare overrides the job types of this host."""
    here = queue(name, connection)
    try:
        read = _read(connection, here, at_one_moment=True)
    except OutOfMemoryError:  # a full Redis takes no transaction, not even one that only reads
        read = _read(connection, here, at_one_moment=False)
    first, waiting, members, due, later, held, behind, dead, lock_ms = read
    known = {each.name: declared(each) for each in jobs.types} if jobs else {}
    for record in readers.records:
        known |= record.job_types
    times = [score for _, score in due]
    oldest = read_jobs(connection, first[:1])
    return QueueState(
        name=name,
        readers=readers,
        waiting=waiting,
        first=list(map(_text, first)),
        gone=set(map(_text, _without_job(connection, first))),
        oldest=oldest[0].since if oldest else None,
        running=_running(connection, here.started_job_registry.key, members),
        scheduled=later,
        due=list(zip(read_jobs(connection, [job_id for job_id, _ in due]), times, strict=True)),
        deferred=behind,
        held=read_jobs(connection, held),
        dead=dead,
        scheduler_lock_ms=lock_ms,
        declared=known,
    )


def _read(connection: Redis, here: Queue, *, at_one_moment: bool) -> list[Any]:
    scheduled, deferred = here.scheduled_job_registry.key, here.deferred_job_registry.key
    with connection.pipeline(transaction=at_one_moment) as pipeline:
        pipeline.lrange(here.key, 0, WINDOW - 1)
        pipeline.llen(here.key)
        pipeline.zrange(here.started_job_registry.key, 0, _MOST - 1)
        pipeline.zrange(scheduled, 0, _SHOWN - 1, withscores=True)
        pipeline.zcard(scheduled)
        pipeline.zrange(deferred, 0, _SHOWN - 1)
        pipeline.zcard(deferred)
        pipeline.zcard(here.failed_job_registry.key)
        pipeline.pttl(RQScheduler.get_locking_key(here.name))
        return pipeline.execute()


def read_jobs(connection: Redis, ids: Sequence[bytes]) -> list[JobState]:
    """Jobs, as their hashes say."""
    with connection.pipeline(transaction=False) as pipeline:
        for job_id in ids:
            pipeline.hmget(_JOB + job_id, "status", "enqueued_at", "meta", "dependency_id")
        return [_job(_text(job_id), *each) for job_id, each in zip(ids, pipeline.execute(), strict=True)]


def _without_job(connection: Redis, ids: Sequence[bytes]) -> list[bytes]:
    """Which ids have no job; usually none, which one command tells."""
    keys = [_JOB + job_id for job_id in ids]
    if not keys or connection.exists(*keys) == len(keys):
        return []
    with connection.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.exists(key)
        return [job_id for job_id, exists in zip(ids, pipeline.execute(), strict=True) if not exists]


def type_in(job_id: str) -> str:
    """The name of the job type that an id holds, behind the event's: a dash there is a dot."""
    return job_id[33:].replace("-", ".")


def _holds_any(connection: Redis, name: str) -> bool:
    here = queue(name, connection)
    others = (here.started_job_registry, here.scheduled_job_registry, here.deferred_job_registry)
    return bool(connection.exists(here.key, *(each.key for each in others)))  # whatever their types are


def _job(
    job_id: str, status: bytes | None, since: bytes | None, meta: bytes | None, depends_on: bytes | None
) -> JobState:
    return JobState(
        id=job_id,
        job_type=type_in(job_id),
        status=_text(status or b""),
        since=read_date(since),
        meta=_object(meta),
        depends_on=_text(depends_on or b""),
    )


def _running(connection: Redis, registry: str, members: Sequence[bytes]) -> list[Running]:
    """Those under way, and those whose lease has expired; not those that have ended since the registry was read."""
    with connection.pipeline(transaction=False) as pipeline:
        for member in members:
            pipeline.hmget(_EXECUTION + member, "worker_name", "created_at")
        answers = dict(zip(members, pipeline.execute(), strict=True))
    without = [member for member, (worker, _) in answers.items() if worker is None]
    with connection.pipeline(transaction=False) as pipeline:
        for member in without:
            pipeline.zscore(registry, member)
        ended = {member for member, score in zip(without, pipeline.execute(), strict=True) if score is None}
    found = []
    for member, (worker, began) in answers.items():
        if member not in ended:
            job_id, held_by = _text(member).partition(":")[0], _text(worker or b"")
            found.append(Running(job_id, type_in(job_id), held_by, _seconds(began), worker is not None))
    return found


def _text(read: bytes) -> str:
    return read.decode(errors="replace")


def _object(text: bytes | None) -> dict[str, Any]:
    try:
        read = read_json(text or b"{}")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _seconds(text: bytes | None) -> float:
    try:
        return float(text or time.time())
    except ValueError:
        return time.time()
