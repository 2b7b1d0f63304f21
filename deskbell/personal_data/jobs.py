"""The jobs of one user on Redis: found by their events, whatever queue or registry they are in, and removed.

RQ has no index by what a job holds, so all jobs are read, a page at a time. `remove.lua` removes each in one step,
unless it runs; what waits behind it goes on, as when a dead letter is discarded.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from redis import Redis
from rq.job import Job

from shared.keys import RQ
from shared.records.users import User, event_of_job
from shared.redis.queues import EVENTS
from shared.redis.scripts import script_text
from shared.wire.events import Event
from workers.dead_letters.registry import batched
from workers.dead_letters.replay import let_go_on

_PAGE = 500
_REMOVED_AT_ONCE = 20  # each may walk through its queue's list, and a script holds up everybody else on Redis
_JOB = f"{RQ}job:"
_ID = re.compile(re.escape(_JOB).encode() + rb"([A-Za-z0-9_-]+)")
_ENDED = frozenset({"finished", "failed", "stopped", "canceled"})

_SETS = {
    "queued": "jobs that wait",
    "scheduled": "jobs that wait for their next try",
    "deferred": "jobs that wait behind others",
    "started": "jobs under way",
    "failed": "dead letters",
    "finished": "finished jobs",
}


def set_of(status: str) -> str:
    """What jobs of a status are called."""
    return _SETS.get(status, "other jobs")


@dataclass(frozen=True, slots=True, eq=False)
class UserJob:
    """A job for an event of the user.

    Attributes:
        status: as RQ writes it.
    """

    id: str
    queue: str
    status: str
    event: Event = field(repr=False)


@dataclass(slots=True)
class Removal:
    """What became of jobs.

    Attributes:
        removed: how many, by what jobs of the status that they had then are called.
        under_way: the ids of those that run.
    """

    removed: Counter[str] = field(default_factory=Counter)
    under_way: set[str] = field(default_factory=set)


class UserJobs:
    """Finds the jobs of a user and removes them.

    Attributes:
        unread: how many jobs the last walk could not read: whose they are is not known.
    """

    def __init__(self, redis: Redis, user: User) -> None:
        self.unread = 0
        self._redis = redis
        self._user = user
        self._script = redis.register_script(
            script_text("workers.dead_letters", "delete") + script_text("deskbell.personal_data", "remove")
        )

    def pages(self) -> Iterator[list[UserJob]]:
        """The user's jobs, in pages: those there are from the beginning of the walk to its end, and maybe others."""
        self.unread = 0
        found = filter(_ID.fullmatch, self._redis.scan_iter(f"{_JOB}*", count=2 * _PAGE))
        yield from map(self._read, batched(found, _PAGE))

    def statuses(self, ids: Iterable[str]) -> list[str]:
        """The statuses of jobs; "" of one that is gone."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hget(Job.key_for(job_id), "status")
            return [(status or b"").decode(errors="replace") for status in pipeline.execute()]

    def remove(self, jobs: list[UserJob], record: str | None) -> Removal:
        """Remove jobs, and let go on what waits for them.

        Args:
            jobs: which.
            record: the key of an entry in the audit log, which counts them; None counts them nowhere.
        """
        found = Removal()
        ordered = sorted(jobs, key=lambda job: job.id, reverse=True)  # a later one may wait for an earlier
        for at in range(0, len(ordered), _REMOVED_AT_ONCE):
            some = ordered[at : at + _REMOVED_AT_ONCE]
            outcomes = dict(zip(some, self._run(some, record), strict=True))
            if awaited := [job for job, outcome in outcomes.items() if outcome == "awaited"]:
                for job in awaited:
                    let_go_on(self._redis, job.id, job.queue)
                outcomes |= zip(awaited, self._run(awaited, record, also_awaited=True), strict=True)
            for job, outcome in outcomes.items():
                if outcome == "under_way":
                    found.under_way.add(job.id)
                elif outcome != "gone":
                    found.removed[set_of(outcome)] += 1
        return found

    def _run(self, jobs: list[UserJob], record: str | None, *, also_awaited: bool = False) -> list[str]:
        parts = [part for job in jobs for part in (job.queue, job.id)]
        return [
            outcome.decode()
            for outcome in self._script(keys=[record] if record else [], args=[int(also_awaited), *parts])
        ]

    def _read(self, keys: list[bytes]) -> list[UserJob]:
        with self._redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hmget(key, "data", "status", "origin")
            answers = pipeline.execute(raise_on_error=False)
        found = []
        for key, answer in zip(keys, answers, strict=True):
            if isinstance(answer, Exception) or answer[0] is None:  # another type of key; or gone by now
                self.unread += isinstance(answer, Exception)
            elif job := self._job(key, *answer):
                found.append(job)
        return found

    def _job(self, key: bytes, data: bytes, status: bytes | None, origin: bytes | None) -> UserJob | None:
        try:
            event = event_of_job(data)
        except Exception:  # noqa: BLE001 - not Deskbell's, or damaged
            self.unread += 1
            return None
        state = (status or b"").decode(errors="replace")
        if not self._user.has(event) or not (event.IS_CALLBACK or state in _ENDED):
            return None
        return UserJob(
            key.decode().removeprefix(_JOB), (origin or EVENTS.encode()).decode(errors="replace"), state, event
        )
