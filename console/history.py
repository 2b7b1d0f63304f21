"""The last eight hours, minute by minute, as `shared/redis/history.py` has them; kept here, since they hardly change.

The last minutes are read each time, and of the others some in turn, since an outage may have delayed what they count.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from redis import Redis

from shared.redis.history import FINE_SECONDS, Tally, read_history, total

STEP_SECONDS = 300
"""Seconds that one point of a chart stands for."""

_MINUTE = 60
_LAST = 3 * _MINUTE
_CHUNK = 10 * _MINUTE
_AGAIN = 5 * _MINUTE
_PAUSE_SECONDS = 0.01  # in which a request that waits for the lock gets it
_READING_SECONDS = 0.05  # of one request; what is not read then, the next one reads


@dataclass(frozen=True, slots=True)
class _Minute:
    callbacks: Tally
    jobs: dict[str, Tally]


@dataclass(frozen=True, slots=True)
class Step:
    """Five minutes.

    Attributes:
        began: in Unix seconds.
        callbacks: of all nodes.
        jobs: by job type.
        all_jobs: of all job types.
        minutes: how many of its minutes have begun; the last step's are not over.
    """

    began: float
    callbacks: Tally
    jobs: dict[str, Tally]
    all_jobs: Tally
    minutes: float

    @property
    def is_over(self) -> bool:
        """Whether its minutes have ended."""
        return self.minutes == STEP_SECONDS / _MINUTE

    def of(self, job_types: Iterable[str]) -> Tally:
        """What became of the jobs of some types."""
        return total(self.jobs[name] for name in job_types if name in self.jobs)


@dataclass
class History:
    """Reads the minutes, for all requests together."""

    redis: Redis
    _minutes: dict[float, _Minute] = field(default_factory=dict)
    _steps: dict[float, Step] = field(default_factory=dict)
    _again: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def steps(self) -> tuple[list[Step], float]:
        """The steps, the oldest first, and since when everything has been read, in Unix seconds.

        Raises:
            RedisError: Redis does not answer.
        """
        with self._lock:
            now = time.time()
            self._read(now)
            complete = self._complete(now)
            first = min(complete + -complete % STEP_SECONDS, now - now % STEP_SECONDS)  # a part of one would look low
            begins = [first + STEP_SECONDS * number for number in range(int((now - first) // STEP_SECONDS) + 1)]
            self._steps = {began: self._steps.get(began) or self._step(began, now) for began in begins}
            return list(self._steps.values()), max(first, complete)

    def prepare(self) -> None:
        """Read all of it, in pieces between which requests are answered.

        Raises:
            RedisError: Redis does not answer.
        """
        now, has_more = time.time(), True
        while has_more:
            with self._lock:
                has_more = self._read_more(now)
            time.sleep(_PAUSE_SECONDS)
        self.steps()

    def _read(self, now: float) -> None:
        this, oldest = now - now % _MINUTE, now - FINE_SECONDS + _MINUTE
        for minute in [each for each in self._minutes if each < oldest]:
            del self._minutes[minute]
        self._read_minutes(this - _LAST, now)
        deadline = time.monotonic() + _READING_SECONDS
        while time.monotonic() < deadline and self._read_more(now):
            pass
        if not oldest < self._again < now:
            self._again = now
        self._again -= _AGAIN
        self._read_minutes(max(oldest, self._again), self._again + _AGAIN)

    def _read_more(self, now: float) -> bool:
        """Read a piece of what has not been read; False when there is none."""
        complete, oldest = self._complete(now), now - FINE_SECONDS + _MINUTE
        if complete <= oldest + _MINUTE:
            return False
        self._read_minutes(max(oldest, complete - _CHUNK), complete)
        return True

    def _read_minutes(self, since: float, until: float) -> None:
        for minute, tallies in read_history(self.redis, since, until).items():
            callbacks = total(tally for (kind, _), tally in tallies.items() if kind == "callback")
            jobs = {name: tally for (kind, name), tally in tallies.items() if kind == "job"}
            self._minutes[minute] = _Minute(callbacks, jobs)
            self._steps.pop(minute - minute % STEP_SECONDS, None)

    def _step(self, began: float, now: float) -> Step:
        begins = (began + _MINUTE * number for number in range(STEP_SECONDS // _MINUTE))
        here = [self._minutes[minute] for minute in begins if minute in self._minutes]
        names = {name for each in here for name in each.jobs}
        jobs = {name: total(each.jobs[name] for each in here if name in each.jobs) for name in names}
        begun = min(STEP_SECONDS, max(_MINUTE, now - began)) / _MINUTE
        return Step(began, total(each.callbacks for each in here), jobs, total(jobs.values()), begun)

    def _complete(self, now: float) -> float:
        """Since when every minute has been read."""
        minute = now - now % _MINUTE
        while minute - _MINUTE in self._minutes:
            minute -= _MINUTE
        return minute
