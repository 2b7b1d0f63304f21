"""Forgets a user: removes what Redis keeps of them, and has the integrator's jobs do the same elsewhere.

1. The moment is the server's time at which the command began. An event is forgotten whole if its id, which has the
   time of its receipt, is not later; else it is left whole.
2. The user is put on the list of those who were forgotten: what lies in a spool by now is dropped when it is drained.
3. `Sweep` removes all there is of the user, but for jobs under way. These are waited for, and what they left is removed
   by the next sweep. A sweep that finds nothing of the events is the last; it begins after the longest time for which a
   callback may have been on its way to Redis at the moment.
4. A `UserForgotten` event is put on its queue. Its jobs delete what is not on Redis.

Whatever ends the command, it is simply run again.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from redis import Redis

from deskbell.calls.following import FollowedJob, follow
from deskbell.personal_data.jobs import UserJobs, set_of
from deskbell.personal_data.kept import answers, cache_values, contact_keys, drop_cache_values, late_values
from shared.late.values import VALUES_KEY
from shared.records.erasure import calls_of_user, erase
from shared.records.erasure import count as count_records
from shared.records.users import User, list_as_forgotten, milliseconds_of
from shared.redis.queues import EVENTS, events_job, queue
from shared.settings.config import Settings
from shared.wire.events import new_event_id
from shared.wire.forgotten import USER_FORGOTTEN, UserForgotten
from workers.audit import AuditLog

_PAUSE_SECONDS = 0.2
_DELETED_AT_ONCE = 500


@dataclass(slots=True)
class Forgotten:
    """What was done, or would be.

    Attributes:
        until: the moment.
        removed: how many of each data set.
        under_way: the ids of jobs that had not ended when they were last looked at.
        unread: how many jobs hold nothing that can be read: whose they are is not known.
        apps: those of the events that were found.
        jobs: those that delete elsewhere, as they stand.
        has_told: whether these have all ended.
    """

    until: datetime
    removed: Counter[str] = field(default_factory=Counter)
    under_way: set[str] = field(default_factory=set)
    unread: int = 0
    apps: set[str] = field(default_factory=set)
    jobs: list[FollowedJob] = field(default_factory=list)
    has_told: bool = True


class Sweep:
    """One walk through all that Redis keeps of a user.

    Args:
        until_ms: the moment, in Unix milliseconds.
        record: the entry in the audit log; None only counts.
    """

    def __init__(self, redis: Redis, settings: Settings, user: User, until_ms: int, record: str | None) -> None:
        self._redis = redis
        self._settings = settings
        self._user = user
        self._until_ms = until_ms
        self._record = record
        self._jobs = UserJobs(redis, user)
        self._event_ids: set[str] = set()

    def run(self, so_far: Forgotten) -> int:
        """Remove what there is; how much of the events that was. Those found stay known to the next walk of this sweep.

        Values of caches and records of contacts do not count: later events of the user may bring new ones all the time.
        """
        removed: Counter[str] = Counter()
        so_far.under_way = set()
        for call in calls_of_user(self._redis, self._user, self._until_ms):
            self._event_ids.add(call.id)
            so_far.apps.add(call.app)
        jobs = self._remove_jobs(so_far)
        removed += jobs
        removed["records"] = (erase if self._record else count_records)(self._redis, self._event_ids)
        kept = [each.key for each in answers(self._redis, self._event_ids, self._settings)]
        removed["answers"] = self._delete(kept)
        removed["late values"] = self._delete(
            VALUES_KEY + each for each, _ in late_values(self._redis, self._event_ids)
        )
        of_events = removed.total()
        removed["records of contacts"] = self._delete(contact_keys(self._settings, self._user))
        values = list(cache_values(self._redis, self._user))
        removed["values of caches"] = len(values)
        if self._record:
            drop_cache_values(self._redis, values)
            self._redis.hincrby(self._record, "done", removed.total() - jobs.total())
        so_far.removed += removed
        return of_events

    def wait(self, job_ids: Iterable[str], until: float) -> bool:
        """Wait for jobs to end, until a time of the monotonic clock; whether there is time left."""
        ids = list(job_ids)
        while ids and time.monotonic() <= until:
            time.sleep(_PAUSE_SECONDS)
            if "started" not in self._jobs.statuses(ids):
                return True
        return not ids

    def _remove_jobs(self, so_far: Forgotten) -> Counter[str]:
        removed: Counter[str] = Counter()
        for page in self._jobs.pages():
            jobs = [job for job in page if milliseconds_of(job.event.id) <= self._until_ms]
            self._event_ids.update(job.event.id for job in jobs)
            so_far.apps.update(job.event.app_id for job in jobs)
            if self._record:
                found = self._jobs.remove(jobs, self._record)
                removed += found.removed
                so_far.under_way |= found.under_way
            else:
                removed.update(set_of(job.status) for job in jobs)
        so_far.unread = self._jobs.unread
        return removed

    def _delete(self, keys: Iterable[str]) -> int:
        found = list(keys)
        if not self._record:
            return self._redis.exists(*found) if found else 0
        return sum(
            self._redis.unlink(*found[at : at + _DELETED_AT_ONCE]) for at in range(0, len(found), _DELETED_AT_ONCE)
        )


def count(redis: Redis, settings: Settings, user: User) -> Forgotten:
    """What `forget` would remove now."""
    until_ms = round(time.time() * 1000)
    found = Forgotten(_moment(until_ms))
    Sweep(redis, settings, user, until_ms, None).run(found)
    return found


def forget(
    redis: Redis, settings: Settings, user: User, *, by: str, seconds: float, progress: Callable[[str], object]
) -> Forgotten:
    """Remove what Redis keeps of a user, and have it deleted elsewhere.

    Args:
        redis: where.
        settings: how long answers are remembered, and the CRMs.
        user: who is forgotten.
        by: who asks for it, for the audit log.
        seconds: how long jobs under way are waited for, and then those that delete elsewhere.
        progress: is told what is being done.
    """
    with _recorded(redis, user, by) as record:
        until_ms = list_as_forgotten(redis, user)
        done = Forgotten(_moment(until_ms))
        settled, deadline = time.monotonic() + settings.budget_ms / 1000, time.monotonic() + seconds
        sweep = Sweep(redis, settings, user, until_ms, record)
        while True:
            progress("removes")
            is_last = time.monotonic() > settled
            if not sweep.run(done) and not done.under_way and is_last:
                break
            progress("waits for jobs under way" if done.under_way else "removes")
            if not sweep.wait(done.under_way, deadline):
                break
            if not is_last and not done.under_way:
                time.sleep(max(0.0, settled - time.monotonic()))
        progress("has it deleted elsewhere")
        done.has_told = _tell(redis, sorted(_apps(settings, user, done)), user, until_ms, done, seconds)
    return done


def _apps(settings: Settings, user: User, done: Forgotten) -> set[str]:
    return {user.app} if user.app else {*settings.apps, *done.apps} or {""}


def _tell(redis: Redis, apps: Sequence[str], user: User, until_ms: int, done: Forgotten, seconds: float) -> bool:
    """Put an event for each app on its queue, and follow its jobs; whether all of them have ended.

    What names the user is removed from Redis again, when it is done.
    """
    has_ended = True
    ids = [_put(redis, app, user, until_ms) for app in apps]
    deadline = time.monotonic() + seconds
    for event_id in ids:
        states: list[list[FollowedJob]] = [[]]
        try:
            states.extend(follow(redis, event_id, seconds=max(0.0, deadline - time.monotonic())))
        except TimeoutError:
            has_ended = False
        done.jobs += states[-1]
    jobs_of_user = UserJobs(redis, user)
    for page in jobs_of_user.pages():
        jobs_of_user.remove([job for job in page if job.event.id in ids and job.status == "finished"], None)
    return has_ended


def _put(redis: Redis, app: str, user: User, until_ms: int) -> str:
    """Put a `UserForgotten` event on its queue; its id."""
    now = round(time.time(), 3)
    event = UserForgotten(
        id=new_event_id(now),
        app_id=app,
        command=USER_FORGOTTEN,
        received_at=datetime.fromtimestamp(now, UTC),
        raw={"CallbackCommand": USER_FORGOTTEN, "ClientUserId": user.id, "EventTime": until_ms},
    )
    events = queue(EVENTS, redis)
    events.enqueue_job(events_job(events, USER_FORGOTTEN, event.to_wire(), event.id))
    return event.id


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


@contextmanager
def _recorded(redis: Redis, user: User, by: str) -> Iterator[str]:
    """An entry in the audit log, with the digest of the user."""
    log = AuditLog(redis)
    record = log.begin("forget", f"--user {user}", by)
    try:
        yield record
    except KeyboardInterrupt:
        log.end(record, "interrupted")
        raise
    log.end(record, "done")
