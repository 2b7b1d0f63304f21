"""What an action would do: a dry run."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from redis import Redis

from deskbell.dead_letters.choice import Choice
from deskbell.dead_letters.overview import Count
from shared.jobs.job_type import JobType
from workers.dead_letters.registry import DeadLetter, DeadLetters
from workers.dead_letters.replay import Replays
from workers.replay_as import ReplaysAs

Action = Literal["replay", "discard"]
ACTIONS: tuple[Action, ...] = ("replay", "discard")

DONE = {"replay": "replayed", "discard": "discarded"}
"""What became of a dead letter that an action did something to."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action would do.

    Attributes:
        choice: what was counted, and no later failure: what the action must be given for these to be meant.
        outcomes: how many would be replayed or discarded, and how many not, by why not.
        group: job type, queue and cause of the last of them; "" when there is none.
        awaiting: how many jobs wait behind them.
        as_: the other job type that they would be replayed as; "" for their own.
        at: when it was counted.
    """

    choice: Choice
    outcomes: Counter[str]
    group: tuple[str, str, str]
    awaiting: int
    at: datetime
    as_: str = ""

    @property
    def words(self) -> str:
        """The choice for the audit log, with a group by its names."""
        job, queue, cause = self.group
        return words_of(self.choice.words(f"--job {job!r} --cause {cause!r}, this cause alone, on {queue}"), self.as_)


def words_of(chosen: str, as_: str) -> str:
    """A choice for the audit log, with the other job type, as one would type it."""
    return f"{chosen} --as {as_}" if as_ else chosen


def make_plan(redis: Redis, action: Action, choice: Choice, count: Count, as_: JobType | None = None) -> Plan:
    """Find what an action would do, and do nothing; `as_` is another job type, to replay them as."""
    at, dead_letters = datetime.now(UTC), DeadLetters(redis)
    group, ids, latest = ("", "", ""), list[str](), choice.until

    def note(page: list[DeadLetter]) -> list[DeadLetter]:
        nonlocal group, latest
        ids.extend(each.id for each in page)
        group = page[-1].job, page[-1].queue, page[-1].cause
        if times := [each.failed_at for each in page if each.failed_at]:
            latest = max(*times, latest or times[0])
        return page

    pages = (note(page) for page in choice.pages(dead_letters) if page)
    replays = Replays(redis, "")
    outcomes = ReplaysAs(redis, replays, as_).look(pages, count) if as_ else replays.look(action, pages, count)
    choice = replace(choice, until=latest or at)
    return Plan(choice, outcomes, group, dead_letters.awaiting(ids), at, as_.name if as_ else "")
