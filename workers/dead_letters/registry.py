"""The dead letter queue: jobs that failed for good, which RQ keeps in the FailedJobRegistry of each queue.

All ids are read at once, some 10 MB for 100,000; the fields of their jobs are read in pages. The ids of events, and so
of their jobs, sort by time. Nothing is unpickled, and no job's arguments are read.
"""

import heapq
import json
import re
import zlib
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from redis import Redis
from rq.job import Job
from rq.queue import Queue
from rq.registry import FailedJobRegistry
from rq.results import Result

from shared.records.packing import digest
from shared.records.users import event_of_job
from shared.wire.json_values import moment
from workers.causes import UNKNOWN, cause_in

PAGE = 500
"""How many dead letters are read at once."""

FAN_OUT_NAME = "(fan-out)"
"""What stands for a job type's name where the dead letter is an event that was not fanned out."""

FOREIGN_NAME = "(foreign)"
"""Stands for a job type's name where Deskbell did not write the job."""

EXPIRED = "expired"
"""The cause of a dead letter whose job is not on Redis any more."""

_SCANNED_AT_ONCE = 1000
_EVENTS_AT_ONCE = 50  # of a quarter of a megabyte each at most, as accepted
_MOST_TEXT_BYTES = 16 * 1024 * 1024
_OUR_ID = re.compile(r"[0-9a-f]{32}(?:-([a-z][a-z0-9_]*(?:-[a-z][a-z0-9_]*)*))?")
_FIELDS = ("created_at", "ended_at", "meta")

Meta = dict[str, Any]
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a FailedJobRegistry."""

    id: str
    queue: str

    @property
    def job(self) -> str:
        """The job type's name, as the id tells it: a dash there is a dot."""
        found = _OUR_ID.fullmatch(self.id)
        if not found:
            return FOREIGN_NAME
        return found[1].replace("-", ".") if found[1] else FAN_OUT_NAME


@dataclass(frozen=True, slots=True)
class DeadLetter(Entry):
    """A job that failed for good: an entry of a registry, and what its job records.

    Attributes:
        cause: what was raised, and where in the integrator's code.
        failed_at: when; None where nothing tells it.
        meta: the job's `meta`; empty when it is not a JSON object.
    """

    cause: str
    failed_at: datetime | None
    meta: Meta


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant; all of them by default.

    Attributes:
        job: the job type's name.
        cause: a part of the cause.
        since: those that failed then, or later.
        queue: the queue they are of.
        node, session: of their events.
        user: of their events, by `user_digest`: the selection is written down where no user's id may stand.
    """

    job: str | None = None
    cause: str | None = None
    since: datetime | None = None
    queue: str | None = None
    node: str | None = None
    session: str | None = None
    user: str | None = None

    def __str__(self) -> str:
        """The selection as one would type it."""
        since = self.since.isoformat(timespec="seconds") if self.since else None
        given = {"job": self.job, "cause": self.cause, "since": since, "queue": self.queue}
        given |= {"node": self.node, "session": self.session, "user": self.user}
        return " ".join(f"--{name} {value!r}" for name, value in given.items() if value is not None) or "--all"

    @property
    def asks_events(self) -> bool:
        """Whether events tell which are meant: then those are read, too."""
        return any(each is not None for each in (self.node, self.session, self.user))

    def may_hold(self, entry: Entry) -> bool:
        """Whether an entry is among those meant, as far as it tells."""
        return self.queue in (None, entry.queue) and (self.job is None or self.job == entry.job)

    def holds(self, dead_letter: DeadLetter) -> bool:
        """Whether a dead letter is among those meant."""
        is_late = self.since is None or (dead_letter.failed_at is not None and dead_letter.failed_at >= self.since)
        return self.may_hold(dead_letter) and (self.cause or "") in dead_letter.cause and is_late

    def holds_event(self, data: bytes | None) -> bool:
        """Whether the event in a job's data is of those meant; what cannot be read is none."""
        try:
            event = event_of_job(data or b"")
            is_here = self.node in (None, event.node) and self.session in (None, event.session_id)
            return is_here and (self.user is None or self.user in (event.user_id, digest("user", event.user_id).hex()))
        except Exception:  # noqa: BLE001 - whatever it holds, it is not such a job's; or a number of too many digits
            return False


@dataclass(slots=True)
class Group:
    """Dead letters of one job type, queue and cause.

    Attributes:
        first, last: when the first and the last of them failed.
        latest: the id of the last event's.
        awaited_by: how many jobs wait behind them.
        ids: of all of them, in the order of their events.
    """

    job: str
    queue: str
    cause: str
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None
    latest: str = ""
    awaited_by: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, dead_letter: DeadLetter) -> None:
        """Count a dead letter."""
        self.count += 1
        self.ids.append(dead_letter.id)
        self.latest = dead_letter.id
        if dead_letter.failed_at:
            self.first = min(self.first or dead_letter.failed_at, dead_letter.failed_at)
            self.last = max(self.last or dead_letter.failed_at, dead_letter.failed_at)


class DeadLetters:
    """Finds dead letters."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def pages(self, selection: Selection) -> Iterator[list[DeadLetter]]:
        """The dead letters that are meant, in the order of their events, in pages that are not all full."""
        meant = (entry for entry in self._entries() if selection.may_hold(entry))
        for entries in batched(meant, PAGE):
            if page := self.chosen(self._read(entries), selection):
                yield page

    def chosen(self, dead_letters: Iterable[DeadLetter], selection: Selection) -> list[DeadLetter]:
        """Those of some dead letters that are meant."""
        held = [dead_letter for dead_letter in dead_letters if selection.holds(dead_letter)]
        if not selection.asks_events:
            return held
        return [each for page in batched(held, _EVENTS_AT_ONCE) for each in self._of_events(page, selection)]

    def _of_events(self, dead_letters: list[DeadLetter], selection: Selection) -> Iterator[DeadLetter]:
        with self._redis.pipeline(transaction=False) as pipeline:
            for each in dead_letters:
                pipeline.hget(Job.key_for(each.id), "data")
            for each, data in zip(dead_letters, pipeline.execute(), strict=True):
                if selection.holds_event(data):
                    yield each

    def count(self) -> int:
        """How many entries there are, of whatever age."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for queue in self._queues():
                pipeline.zcard(registry_key(queue))
            return sum(pipeline.execute())

    def find(self, ids: Iterable[str]) -> list[DeadLetter]:
        """The dead letters of these ids, in the order of their events; other ids are left out."""
        queues = self._queues()
        found: list[DeadLetter] = []
        for page in batched(sorted(set(ids)), PAGE):
            pairs = [Entry(job_id, queue) for job_id in page for queue in queues]
            with self._redis.pipeline(transaction=False) as pipeline:
                for entry in pairs:
                    pipeline.zscore(registry_key(entry.queue), entry.id)
                scores = pipeline.execute()
            found += self._read([entry for entry, score in zip(pairs, scores, strict=True) if score is not None])
        return found

    def as_seen(self, seen: Mapping[Entry, datetime | None]) -> Iterator[list[DeadLetter]]:
        """Those that were seen before, in pages, but for those that were put back and have failed again since."""
        for entries in batched(seen, PAGE):
            now = zip(self._read(entries), entries, strict=True)
            yield [dead_letter for dead_letter, entry in now if dead_letter.failed_at == seen[entry]]

    def awaiting(self, ids: Iterable[str]) -> int:
        """How many jobs wait for any of these, directly or behind one another."""
        found: set[str] = set()
        level = ids
        while level:
            behind = {job_id for page in batched(level, PAGE) for job_id in self._dependents(page)}
            level = behind - found
            found |= behind
        return len(found)

    def _dependents(self, ids: Iterable[str]) -> Iterator[str]:
        keys = [Job.dependents_key_for(job_id) for job_id in ids]
        if not self._redis.exists(*keys):  # one question instead of so many, since few jobs wait for others
            return
        with self._redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.smembers(key)
            for answer in pipeline.execute():
                yield from (job_id.decode(errors="replace") for job_id in answer)

    def groups(self, pages: Iterable[Iterable[DeadLetter]]) -> list[Group]:
        """Dead letters grouped by job type, queue and cause, the largest group first."""
        groups: dict[tuple[str, str, str], Group] = {}
        for page in pages:
            for dead_letter in page:
                key = dead_letter.job, dead_letter.queue, dead_letter.cause
                groups.setdefault(key, Group(*key)).add(dead_letter)
        for group in groups.values():
            group.awaited_by = self.awaiting(group.ids)
        return sorted(groups.values(), key=lambda each: (-each.count, each.job, each.queue, each.cause))

    def _queues(self) -> list[str]:
        keys: Any = self._redis.smembers(Queue.redis_queues_keys)
        return sorted(key.decode(errors="replace").removeprefix(Queue.redis_queue_namespace_prefix) for key in keys)

    def _entries(self) -> Iterator[Entry]:
        return heapq.merge(*map(self._entries_of, self._queues()), key=lambda entry: entry.id)

    def _entries_of(self, queue: str) -> Iterator[Entry]:
        scanned = self._redis.zscan_iter(registry_key(queue), count=_SCANNED_AT_ONCE)
        members = {member for member, _ in scanned}  # a scan may come by twice
        for member in sorted(members):
            yield Entry(member.decode(errors="replace"), queue)

    def _read(self, entries: Sequence[Entry]) -> list[DeadLetter]:
        with self._redis.pipeline(transaction=False) as pipeline:
            for entry in entries:
                pipeline.hmget(Job.key_for(entry.id), _FIELDS)
            hashes = pipeline.execute()
        dead_letters = [_recorded(entry, fields) for entry, fields in zip(entries, hashes, strict=True)]
        return self._with_results(dead_letters)

    def _with_results(self, dead_letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Read the cause of those that do not record it from RQ's results."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for dead_letter in dead_letters:
                if not dead_letter.cause:
                    pipeline.xrevrange(Result.get_key(dead_letter.id), count=1)
            results = iter(pipeline.execute())
        return [found if found.cause else _from_result(found, next(results)) for found in dead_letters]


def batched(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Items, so many at a time."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def registry_key(queue: str) -> str:
    """RQ's key of a queue's dead letters."""
    return FailedJobRegistry.key_template.format(queue)


def failure_text(result: Any) -> str:
    """The text that RQ keeps of a failure."""
    try:
        unpacking = zlib.decompressobj()
        return unpacking.decompress(b64decode(result[b"exc_string"]), _MOST_TEXT_BYTES).decode(errors="replace")
    except (KeyError, ValueError, zlib.error):
        return ""


def read_date(text: bytes | None) -> datetime | None:
    """A date as RQ writes it; None when the text is not a date."""
    with suppress(ValueError, OverflowError):
        return datetime.fromisoformat((text or b"").decode()).astimezone(UTC)
    return None


def _recorded(entry: Entry, fields: Any) -> DeadLetter:
    """A dead letter as the job's own record has it; without a cause when there is none."""
    created, ended, meta = fields
    if created is None and ended is None and meta is None:
        return DeadLetter(entry.id, entry.queue, EXPIRED, None, {})
    record = _read_meta(meta)
    cause = failure_record(record).get("cause")
    return DeadLetter(entry.id, entry.queue, cause if isinstance(cause, str) else "", read_date(ended), record)


def failure_record(meta: Meta) -> Meta:
    """What was recorded when the job failed for good; nothing when it has been put back, and tried, since."""
    return meta if meta.get("attempt") == 0 else {}


def _read_meta(meta: bytes | None) -> Meta:
    try:
        read = json.loads(meta or b"{}")
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _from_result(dead_letter: DeadLetter, results: Any) -> DeadLetter:
    """A dead letter as its last result has it; the job's own end may be that of an earlier attempt."""
    if not results:
        return replace(dead_letter, cause=UNKNOWN)
    result_id, result = results[0]
    failed_at = moment(int(result_id.split(b"-")[0]))
    return replace(dead_letter, cause=cause_in(failure_text(result)), failed_at=failed_at)
