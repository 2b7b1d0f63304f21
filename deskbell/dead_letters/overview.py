"""All dead letters by cause, with when they failed."""

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from redis import Redis

from deskbell.dead_letters.choice import Choice, group_id
from workers.dead_letters.registry import DeadLetter, DeadLetters, Group, Selection

BARS = 24
"""Into how many spans the time between the first and the last failure of a group is cut."""

Count = Callable[[int], object]
"""Is told how many more were read."""


@dataclass(frozen=True, slots=True)
class CauseGroup:
    """The dead letters of one job type, queue and cause.

    Attributes:
        failed: when each of them failed, in Unix seconds, the first first; of those of which it is known.
    """

    id: str
    group: Group
    failed: "array[float]"

    @property
    def bars(self) -> list[int]:
        """How many failed in each of `BARS` equal spans, from the first to the last."""
        first, last = (self.failed[0], self.failed[-1]) if self.failed else (0.0, 0.0)
        begins = (first + (last - first) / BARS * number for number in range(BARS))
        edges = [*(bisect_left(self.failed, begin) for begin in begins), len(self.failed)]
        return [end - begin for begin, end in pairwise(edges)]

    def chosen(self, choice: Choice) -> int:
        """How many of them a filter lets through."""
        if choice.job not in (None, self.group.job) or choice.queue not in (None, self.group.queue):
            return 0
        if (choice.cause or "") not in self.group.cause:
            return 0
        if choice.since is None:
            return self.group.count
        return len(self.failed) - bisect_left(self.failed, choice.since.timestamp())


@dataclass(frozen=True, slots=True)
class Overview:
    """All groups, the largest first.

    Attributes:
        count: how many dead letters they are.
        at: when they were counted.
    """

    groups: list[CauseGroup]
    count: int
    at: datetime

    def group(self, group: str) -> CauseGroup | None:
        """The group of an id."""
        return next((each for each in self.groups if each.id == group), None)


def read_overview(redis: Redis, count: Count, selection: Selection) -> Overview:
    """Group all dead letters there are, or some, as `deskbell dead list` does: some seconds for 100,000."""
    at, dead_letters = datetime.now(UTC), DeadLetters(redis)
    failed: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))

    def note(page: list[DeadLetter]) -> list[DeadLetter]:
        for each in page:
            if each.failed_at:
                failed[group_id(each.job, each.queue, each.cause)].append(each.failed_at.timestamp())
        count(len(page))
        return page

    groups = dead_letters.groups(map(note, dead_letters.pages(selection)))
    ids = [group_id(each.job, each.queue, each.cause) for each in groups]
    found = [CauseGroup(each, group, array("d", sorted(failed[each]))) for each, group in zip(ids, groups, strict=True)]
    return Overview(found, sum(each.count for each in groups), at)
