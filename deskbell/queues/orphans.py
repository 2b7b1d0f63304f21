"""Orphaned jobs, which nobody runs or ends: ids in a queue that have no job, and jobs in no queue and no registry.

1. The ids at the head of each queue are compared with the jobs there are.
2. The keys of jobs are scanned, up to a number and a time; the status of each job is compared with the place it is in.
   Those in the registries of finished and of failed jobs are left out: they are most, since they are kept.
3. What seems lost may have moved meanwhile: it is looked at again a moment later, its status and its place in one
   transaction. Only what is still lost then is an orphan.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError
from rq import Queue
from rq.job import Job

from shared.keys import RQ

MOST_KEYS = 1_000_000
MOST_SECONDS = 3.0
MOST_IDS = 20_000
"""How much of Redis is looked at: keys, seconds, and ids of one queue or of its jobs under way."""

AGAIN_SECONDS = 0.5
"""After how long what seems lost is looked at again."""

_MOST_DOUBTS = 200
_PAGE = 1000
_MOST_KEPT, _KEPT_AT_ONCE = 200_000, 5000  # for more at once, Redis would keep callbacks waiting
_KEPT = ("finished", "failed")
_REGISTRIES = {"scheduled": "scheduled", "deferred": "deferred", "failed": "failed"}
_JOB = Job.redis_job_namespace_prefix.encode()


@dataclass(frozen=True, slots=True)
class Orphan:
    """A job that is lost.

    Attributes:
        queue: the one it was put on.
        status: as RQ has it; "" of an id in a queue that has no job.
        awaits: the job that it is deferred behind and that is gone; "" of any other.
    """

    id: str
    queue: str
    status: str
    awaits: str = ""


@dataclass(slots=True)
class Orphans:
    """What was found, and how much was looked at.

    Attributes:
        keys, all_keys: how many keys were looked at, and how many Redis has.
        unread: the queues whose ids are more than are compared, or whose keys are damaged.
    """

    found: list[Orphan] = field(default_factory=list)
    keys: int = 0
    all_keys: int = 0
    unread: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether everything was looked at."""
        return self.keys >= self.all_keys and not self.unread


def read_orphans(redis: Redis) -> Orphans:
    """Look for them; nothing is written."""
    places = _Places(redis)
    here = Orphans(all_keys=_dbsize(redis), unread=places.unread)
    doubts = list(places.without_job())
    deadline, cursor = time.monotonic() + MOST_SECONDS, 0
    while True:
        cursor, keys = _scan(redis, cursor)
        here.keys += _PAGE
        doubts += places.doubts(_ids(keys))
        if cursor == 0:
            here.keys = here.all_keys
            break
        if here.keys >= MOST_KEYS or len(doubts) > _MOST_DOUBTS or time.monotonic() > deadline:
            break
    if doubts:
        time.sleep(AGAIN_SECONDS)
    here.found = [each for each in doubts[:_MOST_DOUBTS] if _is_still(redis, each)]
    return here


class _Places:
    """Where the jobs of each queue are."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._queued: dict[str, set[bytes]] = {}
        self._running: dict[str, set[bytes]] = {}
        self._kept: set[bytes] = set()
        self.unread: list[str] = []
        for each in Queue.all(redis):
            try:
                queued: Any = redis.lrange(each.key, 0, MOST_IDS)
                running: Any = redis.zrange(f"{RQ}wip:{each.name}", 0, MOST_IDS)
                for registry in _KEPT:
                    self._kept.update(_members(redis, f"{RQ}{registry}:{each.name}"))
            except ResponseError:  # somebody has written over the key: `doctor` names it
                self.unread.append(each.name)
                continue
            if max(len(queued), len(running)) > MOST_IDS:
                self.unread.append(each.name)
            self._queued[each.name] = set(queued)
            self._running[each.name] = {member.partition(b":")[0] for member in running}

    def without_job(self) -> Iterator[Orphan]:
        """The ids in queues that have no job."""
        for name, ids in self._queued.items():
            for page in _pages(sorted(ids)):
                with self._redis.pipeline(transaction=False) as pipeline:
                    for job_id in page:
                        pipeline.exists(_JOB + job_id)
                    for job_id, exists in zip(page, pipeline.execute(), strict=True):
                        if not exists:
                            yield Orphan(_text(job_id), name, "")

    def doubts(self, ids: Sequence[bytes]) -> Iterator[Orphan]:
        """The jobs that seem to be where their status does not say."""
        ids = [job_id for job_id in ids if job_id not in self._kept]
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hmget(_JOB + job_id, "status", "origin", "dependency_id")
            jobs = [tuple(_text(part) for part in fields) for fields in pipeline.execute()]
            for job_id, (status, queue, awaits) in zip(ids, jobs, strict=True):
                pipeline.zscore(f"{RQ}{_REGISTRIES.get(status, 'failed')}:{queue}", job_id)
                pipeline.exists(_JOB + awaits.encode())
            answers = iter(pipeline.execute(raise_on_error=False))  # an error is a key that is none of RQ's
        for job_id, (status, queue, awaits) in zip(ids, jobs, strict=True):
            score, other = next(answers), next(answers)
            is_there = self._is_there(job_id, status, queue, score)
            if not is_there:
                yield Orphan(_text(job_id), queue, status)
            elif status == "deferred" and awaits and not other:
                yield Orphan(_text(job_id), queue, status, awaits)

    def _is_there(self, job_id: bytes, status: str, queue: str, score: float | None) -> bool:
        if status in _REGISTRIES:
            return score is not None
        if queue in self.unread:
            return True
        if status == "queued":
            return job_id in self._queued.get(queue, ())
        return status != "started" or job_id in self._running.get(queue, ())


def _is_still(redis: Redis, doubt: Orphan) -> bool:
    """Whether a job is as lost as it was: all in one transaction, since jobs move while they are looked at."""
    key, queue = _JOB + doubt.id.encode(), f"{RQ}queue:{doubt.queue}"
    with redis.pipeline(transaction=True) as pipeline:
        pipeline.hget(key, "status")
        pipeline.lpos(queue, doubt.id)
        pipeline.lpos(f"{queue}:intermediate", doubt.id)
        pipeline.zrange(f"{RQ}wip:{doubt.queue}", 0, MOST_IDS)
        for registry in _REGISTRIES.values():
            pipeline.zscore(f"{RQ}{registry}:{doubt.queue}", doubt.id)
        pipeline.exists(_JOB + doubt.awaits.encode())
        status, at, taken, running, *scores, awaited = pipeline.execute()
    if _text(status) != doubt.status:
        return False
    if not doubt.status:
        return at is not None
    if doubt.awaits:
        return not awaited
    is_under_way = any(member.partition(b":")[0] == doubt.id.encode() for member in running)
    return at is None and taken is None and not is_under_way and not any(score is not None for score in scores)


def _scan(redis: Redis, cursor: int) -> tuple[int, list[bytes]]:
    found: Any = redis.scan(cursor, match=_JOB + b"*", count=_PAGE)
    return found[0], found[1]


def _members(redis: Redis, registry: str) -> Iterator[bytes]:
    """The last members of a registry; one that moves meanwhile may be left out, and is then looked at as a job."""
    for start in range(0, _MOST_KEPT, _KEPT_AT_ONCE):
        found: Any = redis.zrange(registry, start, start + _KEPT_AT_ONCE - 1, desc=True)
        yield from found
        if len(found) < _KEPT_AT_ONCE:
            break


def _ids(keys: Iterable[bytes]) -> list[bytes]:
    """The ids of jobs in their keys; beside those are the keys of what waits for them."""
    return [job_id for key in keys if b":" not in (job_id := key.removeprefix(_JOB))]


def _pages(ids: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (ids[start : start + _PAGE] for start in range(0, len(ids), _PAGE))


def _dbsize(redis: Redis) -> int:
    size: Any = redis.dbsize()
    return int(size)


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
