"""The policies of a job type: backoff with jitter, rate limit, semaphore, circuit breaker.

Each is a plain value, checked where it is written; the workers carry it out.
"""

import math
import re
from dataclasses import dataclass
from random import SystemRandom
from typing import Any

from shared.errors import DeclarationError

LONGEST_SECONDS = 365 * 24 * 3600
"""The longest time to wait, or to keep a result: RQ cannot write a date beyond the year 9999."""

LONGEST_WAIT_SECONDS = 24 * 3600
"""How long a job may wait without using up an attempt, from the first such wait in a row; then it is a dead letter."""

BY_SESSION = "session"
"""What `ordered_by=` names instead of a field, since the field that holds the session differs between events."""

_MOST_STARTS = 10_000  # Redis remembers the time of each
_RATE_FORM = re.compile(r"([1-9][0-9]{0,4})/(s|min|h)")
_PERIOD_MS = {"s": 1000, "min": 60_000, "h": 3_600_000}

_chance = SystemRandom()  # with `random`, which an integrator may seed, all jobs would be retried at the same moment


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a job waits after an attempt that failed: `base` seconds, then each time `factor` times as long.

    Attributes:
        base: seconds to wait after the first attempt, more than 0.
        factor: what each wait is multiplied with for the next, 1 or more.
        cap: seconds that no wait exceeds, `base` or more.
        jitter: the part of a wait that is left to chance, 0 to 1: with 0.5 it is between the half and the whole.
    """

    base: float = 2
    factor: float = 2
    cap: float = 600
    jitter: float = 0.5

    def __post_init__(self) -> None:
        for name, least, most in (
            ("base", 0, LONGEST_SECONDS),
            ("factor", 1, math.inf),
            ("cap", 0, LONGEST_SECONDS),
            ("jitter", 0, 1),
        ):
            if not _is_number(getattr(self, name), least, most):
                raise _wrong(self, name, f"a number from {least} to {most}", "Backoff(base=2, factor=2, cap=600)")
        if not 0 < self.base <= self.cap:
            raise _wrong(self, "base", "more than 0 and at most cap", "Backoff(base=2, cap=600)")

    def seconds(self, attempt: int) -> int:
        """Whole seconds to wait after an attempt that failed.

        Args:
            attempt: its number, from 1.
        """
        # By logarithms: the power of a large attempt number would be no float.
        doublings = min((attempt - 1) * math.log(self.factor), math.log(self.cap / self.base))
        longest = min(self.cap, self.base * math.exp(doublings))
        return math.ceil(round(_chance.uniform(longest * (1 - self.jitter), longest), 6))


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many jobs of a type may run at once, in all workers together.

    Attributes:
        jobs: the number, 1 or more.
    """

    jobs: int

    def __post_init__(self) -> None:
        if not is_whole(self.jobs, 1):
            raise _wrong(self, "jobs", "a whole number of 1 or more", "limit=Concurrency(4)")


@dataclass(frozen=True, slots=True)
class Rate:
    """How many jobs of a type may reach what they call within any period, in all workers together: `limit="10/s"`.

    Attributes:
        starts: the number, 1 to 10,000.
        period_ms: the length of the period.
    """

    starts: int
    period_ms: int

    @classmethod
    def parse(cls, text: object) -> "Rate | None":
        """The rate that a text such as `10/s`, `600/min` or `1000/h` means; None for anything else."""
        form = _RATE_FORM.fullmatch(text) if isinstance(text, str) else None
        if not form or int(form[1]) > _MOST_STARTS:
            return None
        return cls(int(form[1]), _PERIOD_MS[form[2]])


@dataclass(frozen=True, slots=True)
class Breaker:
    """A circuit breaker: pauses a job type's queue while what its jobs call is down, so that they keep their attempts.

    After `failures` jobs in a row have failed, nothing is taken from the queue for `pause` seconds. Then one job of
    the type is tried (half open): if it succeeds the queue goes on, otherwise the pause begins again. An attempt that
    fails while the queue is paused does not count. `Retry` and `Discard` are answers, not failures; `Unavailable`
    pauses the queue at once.

    Attributes:
        failures: how many in a row, 1 or more.
        pause: whole seconds, 1 or more.
    """

    failures: int = 10
    pause: int = 60

    def __post_init__(self) -> None:
        for name, most in (("failures", math.inf), ("pause", LONGEST_SECONDS)):
            if not is_whole(getattr(self, name), 1) or getattr(self, name) > most:
                raise _wrong(self, name, "a whole number of 1 or more", "breaker=Breaker(failures=10, pause=60)")


def parse_limit(where: str, limit: object) -> Rate | Concurrency | None:
    """`limit=` as a value."""
    if limit is None or isinstance(limit, Concurrency):
        return limit
    if rate := Rate.parse(limit):
        return rate
    raise DeclarationError(
        f"{where}: limit= must be a number of starts, 1 to {_MOST_STARTS}, in a s, min or h, or a Concurrency, "
        f'got {limit!r}; write limit="10/s" or limit=Concurrency(4)'
    )


def limit_of_setting(value: object) -> Rate | Concurrency | None:
    """The limit that a setting means: a rate such as "10/s", a whole number at once, or null for none."""
    if isinstance(value, int) and is_whole(value, 1):
        return Concurrency(value)
    rate = Rate.parse(value)
    if rate or value is None:
        return rate
    raise ValueError('expected for each job type starts in a s, min or h, "10/s", a number at once, 4, or null')


def breaker_of_setting(value: object) -> Breaker | None:
    """The breaker that a setting means: an object of its numbers, or null for none."""
    if value is None:
        return None
    try:
        return Breaker(**value)  # type: ignore[arg-type]  # anything else is a TypeError
    except (TypeError, DeclarationError):
        raise ValueError(
            'expected for each job type whole numbers of 1 or more, {"failures": 10, "pause": 60}, or null'
        ) from None


def is_whole(value: object, least: int) -> bool:
    """Whether a value is a whole number of `least` or more; True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _wrong(value: Any, name: str, expected: str, example: str) -> DeclarationError:
    got = getattr(value, name)
    return DeclarationError(f"{type(value).__name__}: {name}= must be {expected}, got {got!r}; write {example}")


def _is_number(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
