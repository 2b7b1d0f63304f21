"""Dead letters put back, or deleted, a page at a time.

1. `workers/dead_letters.py` gives pages of letters, in the order of their events.
2. Each batch is one script: a letter leaves the FailedJobRegistry and enters its queue in the same moment, or neither.
   So a letter that two persons replay at once is enqueued once, and a replay that was killed is simply run again.
3. The script counts what it did in the record of the run (`workers/runs.py`).
4. A rate is kept by the time between the batches.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files

from redis import Redis
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import utcformat

from shared.policies import Rate
from shared.queues import EVENT_RETRIES, queue
from workers.dead_letters import FAN_OUT_NAME, FOREIGN_NAME, PAGE, DeadLetter, batched
from workers.runs import Runs

_BATCHES_PER_SECOND = 10

Pages = Iterable[list[DeadLetter]]


class Pace:
    """Keeps a rate: says how many may be done at once, and waits."""

    def __init__(
        self,
        rate: Rate | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Begin.

        Args:
            rate: the rate; None is as fast as it goes.
            clock: tells seconds.
            sleep: waits for seconds.
        """
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
    """Puts dead letters back, or deletes them."""

    def __init__(self, redis: Redis, by: str) -> None:
        """Prepare.

        Args:
            redis: the connection.
            by: who asks for it; recorded.
        """
        self._redis = redis
        self._by = by
        self._runs = Runs(redis)
        self._script = redis.register_script(files("workers").joinpath("letters.lua").read_text())

    def replay(self, pages: Pages, selection: str, pace: Pace, progress: Callable[[int], object]) -> Counter[str]:
        """Put letters back on their queues, their attempts anew.

        Args:
            pages: the letters, in the order in which they are enqueued.
            selection: which letters are meant; recorded.
            pace: how fast.
            progress: told how many more have been looked at.

        Returns:
            What became of how many: `replayed`; `gone` if somebody else was faster, `expired` if there is no job any
            more, `alive` if it is under way, `limited` if only RQ's own code may put it back.
        """
        outcomes: Counter[str] = Counter()
        with self._recorded("replay", selection) as record:
            for letters in _in_batches(pages, pace.batch):
                pace.wait(len(letters))
                outcomes.update(self._run(record, "replay", utcformat(datetime.now(UTC)), map(_anew, letters)))
                progress(len(letters))
        return outcomes

    def discard(self, pages: Pages, selection: str, progress: Callable[[int], object]) -> Counter[str]:
        """Delete letters for good; what waits for them goes on.

        Args:
            pages: the letters.
            selection: which letters are meant; recorded.
            progress: told how many more have been looked at.

        Returns:
            What became of how many: `discarded`, `gone` or `alive`, as for `replay`.
        """
        outcomes: Counter[str] = Counter()
        with self._recorded("discard", selection) as record:
            for letters in pages:
                awaited = []
                for letter, outcome in zip(letters, self._delete(record, letters), strict=True):
                    if outcome == "awaited":
                        awaited.append(letter)
                    else:
                        outcomes[outcome] += 1
                for letter in awaited:
                    self._let_go_on(letter)
                outcomes.update(self._delete(record, awaited, also_awaited=True))
                progress(len(letters))
        return outcomes

    def _delete(self, record: str, letters: list[DeadLetter], *, also_awaited: bool = False) -> list[str]:
        rows = ((letter.entry.queue, letter.entry.id, "", "") for letter in letters)
        return self._run(record, "discard", str(int(also_awaited)), rows)

    def _run(self, record: str, action: str, option: str, rows: Iterable[tuple[str, ...]]) -> list[str]:
        answer = self._script(keys=[record], args=[action, option, *(part for row in rows for part in row)])
        return [outcome.decode() for outcome in answer]

    def _let_go_on(self, letter: DeadLetter) -> None:
        """Have RQ queue the jobs that wait for a letter, as if it had not been there."""
        try:
            job = Job.fetch(letter.entry.id, connection=self._redis, serializer=JSONSerializer)
        except NoSuchJobError:
            return
        queue(letter.entry.queue, self._redis).enqueue_dependents(job, exclude_job_id=job.id)

    @contextmanager
    def _recorded(self, action: str, selection: str) -> Iterator[str]:
        record = self._runs.begin(action, selection, self._by)
        try:
            yield record
        except KeyboardInterrupt:
            self._runs.end(record, "interrupted")
            raise
        self._runs.end(record, "done")


def _anew(letter: DeadLetter) -> tuple[str, str, str, str]:
    """What the script is told of a letter: RQ's retries and our count of attempts as fan-out made them."""
    queue_name, job_id, job = letter.entry.queue, letter.entry.id, letter.entry.job
    if job == FOREIGN_NAME:
        return queue_name, job_id, "", ""
    if job == FAN_OUT_NAME:
        return queue_name, job_id, "", str(EVENT_RETRIES)
    record = letter.meta or {}
    meta = {"attempt": 0} | {name: value for name, value in record.items() if name not in _SPENT}
    return queue_name, job_id, json.dumps(meta), str(_attempts(record) - 1)


_SPENT = ("attempt", "attempts", "made", "cause", "where")


def _attempts(record: dict[str, object]) -> int:
    """How many attempts the job had: recorded as it died, or what it was at when its worker died in the last."""
    given = (record.get("attempts"), record.get("attempt"))
    return next((attempts for attempts in given if type(attempts) is int and attempts > 0), 1)


def _in_batches(pages: Pages, size: int) -> Iterator[list[DeadLetter]]:
    for page in pages:
        yield from batched(page, size)
