"""Counts callbacks beyond those that a person can read: a load of hundreds a second is one line each second."""

from collections import Counter, deque
from collections.abc import Callable

from deskbell.cli.dev.blocks import Block, Later

READABLE = 10
"""Callbacks a second that are shown one by one."""

_SECOND = 1.0
_UNDER_WAY = {"outcome": "under way"}


class Surplus:
    """Counts what is not shown."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._shown: deque[float] = deque(maxlen=READABLE)
        self._since = 0.0
        self._callbacks: Counter[str] = Counter()
        self._jobs: Counter[str] = Counter()

    def takes(self, each: Block | Later) -> bool:
        """Count a block, or an attempt, if too many were shown within the last second; whether it was counted."""
        now = self._clock()
        if len(self._shown) < READABLE or self._shown[0] < now - _SECOND:
            self._shown.append(now)
            return False
        if not self._callbacks + self._jobs:
            self._since = now
        if isinstance(each, Later):
            self._jobs[str(each.attempt["outcome"])] += 1
        else:
            self._callbacks[str((each.callback or {}).get("outcome", "of before"))] += 1
            self._jobs.update(str(each.attempts.get(name, _UNDER_WAY)["outcome"]) for name in each.jobs or ())
        return True

    def summary(self) -> str:
        """What has been counted, once a second; "" if nothing, or not yet."""
        if not self._callbacks + self._jobs or self._clock() < self._since + _SECOND:
            return ""
        callbacks, jobs = self._callbacks.total(), self._jobs.total()
        said = [f"{callbacks} more callbacks: {_counts(self._callbacks)}"] if callbacks else []
        said += [f"{jobs} more jobs: {_counts(self._jobs)}"] if jobs else []
        self._callbacks.clear()
        self._jobs.clear()
        return "; ".join(said)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common())
