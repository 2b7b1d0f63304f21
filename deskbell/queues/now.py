"""What goes on at this moment: answers of the last minute, and each queue with the first reason why it stands still."""

import time
from dataclasses import dataclass

from redis import Redis
from rq.suspension import WORKERS_SUSPENDED

from deskbell.queues.findings import Finding
from deskbell.queues.looked import Looked
from deskbell.queues.reasons import reasons
from deskbell.queues.state import QueueState, read_queues
from shared.redis.api_hosts import ApiHost, read_hosts
from shared.redis.clock import ahead_of
from shared.redis.history import Kind, Tallies, Tally, quantile_ms, read_history, total
from shared.redis.pauses import PausedQueue, queues_paused_by_hand
from shared.settings.config import Settings

_PERIOD_SECONDS = 60
_FAILED = ("dead", "discarded", "retry")


@dataclass(frozen=True, slots=True)
class Answers:
    """The callbacks that were answered in the last full minute.

    Attributes:
        per_second: on average.
        p50_ms, p99_ms: the upper bounds of the buckets these lie in; None when there were none.
        outcomes: how many had each outcome.
    """

    per_second: float
    p50_ms: float | None
    p99_ms: float | None
    outcomes: dict[str, int]


@dataclass(frozen=True, slots=True)
class QueueNow:
    """A queue, and what became of the jobs of its types in the last full minute.

    Attributes:
        done_per_second, failed_per_second: attempts, on average; None when nobody says which types are on the queue.
        findings: why it does not move, the reason to act on first.
    """

    state: QueueState
    done_per_second: float | None
    failed_per_second: float | None
    findings: list[Finding]

    @property
    def why(self) -> str:
        """The first reason that needs a person, else the first; "" when there is none."""
        problems = [each for each in self.findings if each.kind == "problem"]
        return next((each.whole for each in (*problems, *self.findings)), "")

    @property
    def drained_seconds(self) -> float | None:
        """After how long the last job that waits now will have begun, if attempts go on as in that minute.

        None where nothing waits, or that is not known: nothing was begun, or the queue needs a person.
        """
        per_second = (self.done_per_second or 0.0) + (self.failed_per_second or 0.0)
        return None if self.is_stuck or not per_second else self.state.waiting / per_second or None

    @property
    def is_stuck(self) -> bool:
        """Whether it needs a person."""
        return any(each.kind == "problem" for each in self.findings)


@dataclass(frozen=True, slots=True)
class Now:
    """Everything that the page shows.

    Attributes:
        at: in Unix seconds, by Redis' clock.
        minute: when the last full one began.
        is_suspended: whether `rq suspend` holds all workers back.
        paused: the queues that a person has paused, also those on which nothing waits.
        apis: the hosts of the api, with what waits in their spools.
    """

    at: float
    minute: float
    budget_ms: int
    answers: Answers
    queues: list[QueueNow]
    is_suspended: bool
    paused: list[PausedQueue]
    apis: list[ApiHost]


def read_now(redis: Redis, settings: Settings) -> Now:
    """Read it; nothing is written.

    Raises:
        RedisError: Redis does not answer.
    """
    at = time.time() - ahead_of(redis)
    minute, tallies = read_minute(redis, at)
    states = read_queues(redis, None)
    return Now(
        at,
        minute,
        settings.budget_ms,
        _answers(tallies),
        [queue_now(each, tallies, reasons(Looked(redis, each, settings.abandoned_seconds))) for each in states],
        bool(redis.exists(WORKERS_SUSPENDED)),
        queues_paused_by_hand(redis),
        read_hosts(redis),
    )


def _answers(tallies: Tallies) -> Answers:
    all_of_them = total(_of(tallies, "callback").values())
    return Answers(
        all_of_them.count / _PERIOD_SECONDS,
        quantile_ms(all_of_them.ms, 0.5),
        quantile_ms(all_of_them.ms, 0.99),
        dict(all_of_them.outcomes.most_common()),
    )


def read_minute(redis: Redis, at: float) -> tuple[float, Tallies]:
    """The last full minute, since processes write their counts every few seconds; and what was counted in it."""
    minute = at - at % 60 - _PERIOD_SECONDS
    return minute, read_history(redis, minute, minute).get(minute, {})


def queue_now(state: QueueState, tallies: Tallies, findings: list[Finding]) -> QueueNow:
    """A queue, with what was counted in the last full minute."""
    here = [name for name, declared in state.declared.items() if declared.queue == state.name]
    attempts = total(tally for name, tally in _of(tallies, "job").items() if name in here)
    failed = sum(attempts.outcomes[outcome] for outcome in _FAILED)
    return QueueNow(
        state,
        attempts.outcomes["done"] / _PERIOD_SECONDS if here else None,
        failed / _PERIOD_SECONDS if here else None,
        findings,
    )


def _of(tallies: Tallies, kind: Kind) -> dict[str, Tally]:
    return {name: tally for (each, name), tally in tallies.items() if each == kind}
