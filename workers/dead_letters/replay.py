"""Replay or discard of dead letters: each leaves the FailedJobRegistry once, however many people ask at once.

1. `workers/dead_letters/registry.py` yields pages of dead letters, in the order of their events.
2. Each batch is one script: a dead letter leaves the FailedJobRegistry and enters its queue in the same moment, or
   neither. So one that two people replay at once is enqueued once, and a replay that was killed is simply run again.
3. The script adds what it did to the entry in the audit log (`workers/audit.py`).
4. A throttle waits between the batches.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from redis import Redis
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import utcformat

from shared.declarations.policies import Rate
from shared.redis.queues import EVENT_RETRIES, RUNS_KEY, queue
from shared.redis.scripts import script_text
from workers.audit import AuditLog
from workers.dead_letters.registry import FAN_OUT_NAME, FOREIGN_NAME, PAGE, DeadLetter, Meta, batched

_BATCHES_PER_SECOND = 10

Pages = Iterable[list[DeadLetter]]
Progress = Callable[[int], object]


class Throttle:
    """Rate limit of a replay: the size of its batches, and the wait before each; None is no limit."""

    def __init__(
        self,
        rate: Rate | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._seconds_each = rate.period_ms / 1000 / rate.starts if rate else 0.0
        self.batch = min(PAGE, max(1, int(1 / self._seconds_each / _BATCHES_PER_SECOND))) if rate else PAGE
        self._clock = clock
        self._sleep = sleep
        self._due = clock()

    def wait(self, count: int) -> None:
        """Wait until `count` more may be done."""
        self._sleep(max(0.0, self._due - self._clock()))
        self._due = max(self._due, self._clock()) + count * self._seconds_each


class Replays:
    """Puts dead letters back, or deletes them.

    Args:
        redis: where they are.
        by: who asks for it, and is recorded.
        record: the key of an entry that was begun in the audit log; "" to begin one.
    """

    def __init__(self, redis: Redis, by: str, record: str = "") -> None:
        self._redis = redis
        self._by = by
        self._record = record
        self._audit = AuditLog(redis)
        self._script = redis.register_script(script_text("workers.dead_letters", "delete", "replay"))

    def replay(self, pages: Pages, selection: str, throttle: Throttle, progress: Progress) -> Counter[str]:
        """Put dead letters back on their queues, their attempts anew.

        Returns:
            What became of how many: `replayed`; `gone` if somebody else was faster, `expired` if there is no job any
            more, `alive` if it is under way, `limited` if only RQ's own code may put it back.
        """
        outcomes: Counter[str] = Counter()
        with self.recorded("replay", selection) as record:
            for dead_letters in in_batches(pages, throttle.batch):
                throttle.wait(len(dead_letters))
                outcomes.update(self._run(record, "replay", utcformat(datetime.now(UTC)), map(_as_new, dead_letters)))
                progress(len(dead_letters))
        return outcomes

    def discard(self, pages: Pages, selection: str, progress: Progress) -> Counter[str]:
        """Delete dead letters for good, and let the jobs that wait for them start.

        Returns:
            What became of how many: `discarded`, `gone` or `alive`, as for `replay`.
        """
        outcomes: Counter[str] = Counter()
        with self.recorded("discard", selection) as record:
            for dead_letters in pages:
                awaited = []
                for dead_letter, outcome in zip(dead_letters, self._delete(record, dead_letters), strict=True):
                    if outcome == "awaited":
                        awaited.append(dead_letter)
                    else:
                        outcomes[outcome] += 1
                for dead_letter in awaited:
                    let_go_on(self._redis, dead_letter.id, dead_letter.queue)
                outcomes.update(self._delete(record, awaited, also_awaited=True))
                progress(len(dead_letters))
        return outcomes

    def look(self, action: str, pages: Pages, progress: Progress) -> Counter[str]:
        """What `replay` or `discard` would return, without doing anything."""
        outcomes: Counter[str] = Counter()
        for dead_letters in pages:
            rows = [(each.queue, each.id, "", "") for each in dead_letters]
            outcomes.update(self._run(RUNS_KEY, action, "1", rows, is_dry=True))
            progress(len(dead_letters))
        return outcomes

    def _delete(self, record: str, dead_letters: list[DeadLetter], *, also_awaited: bool = False) -> list[str]:
        rows = ((dead_letter.queue, dead_letter.id, "", "") for dead_letter in dead_letters)
        return self._run(record, "discard", str(int(also_awaited)), rows)

    def _run(
        self, record: str, action: str, option: str, rows: Iterable[tuple[str, ...]], *, is_dry: bool = False
    ) -> list[str]:
        parts = (part for row in rows for part in row)
        answer = self._script(keys=[record], args=[action, option, str(int(is_dry)), *parts])
        return [outcome.decode() for outcome in answer]

    @contextmanager
    def recorded(self, action: str, selection: str) -> Iterator[str]:
        """Record that somebody begins, and how it ended; the key of the entry."""
        record = self._record or self._audit.begin(action, selection, self._by)
        try:
            yield record
        except KeyboardInterrupt:
            self._audit.end(record, "interrupted")
            raise
        self._audit.end(record, "done")


def let_go_on(redis: Redis, job_id: str, queue_name: str) -> None:
    """Have RQ queue the jobs that depend on one."""
    try:
        job = Job.fetch(job_id, connection=redis, serializer=JSONSerializer)
    except NoSuchJobError:
        return
    queue(queue_name, redis).enqueue_dependents(job, exclude_job_id=job.id)


def _as_new(dead_letter: DeadLetter) -> tuple[str, str, str, str]:
    """The script's arguments for a dead letter: RQ's retries and our count of attempts as fan-out wrote them."""
    queue_name, job_id, job = dead_letter.queue, dead_letter.id, dead_letter.job
    if job == FOREIGN_NAME:
        return queue_name, job_id, "", ""
    if job == FAN_OUT_NAME:
        return queue_name, job_id, "", str(EVENT_RETRIES)
    kept = {name: value for name, value in dead_letter.meta.items() if name not in _OF_THE_FAILURE}
    return queue_name, job_id, json.dumps({"attempt": 0} | kept), str(_attempts(dead_letter.meta) - 1)


_OF_THE_FAILURE = ("attempt", "attempts", "made", "cause", "where")


def _attempts(meta: Meta) -> int:
    """How many attempts the job had: as recorded, or the number of the one in which its worker died."""
    return meta.get("attempts") or meta.get("attempt") or 1


def in_batches(pages: Pages, size: int) -> Iterator[list[DeadLetter]]:
    """The dead letters of pages, so many at a time."""
    for page in pages:
        yield from batched(page, size)
