"""What goes on at this moment: answers of the last minute, and each queue with the first reason why it stands still."""

import time
from dataclasses import dataclass

from redis import Redis

from deskbell.queues.reasons import Looked, reasons
from deskbell.queues.state import QueueState, read_queues
from shared.redis.history import Kind, Tallies, Tally, quantile_ms, read_history, total
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
        why: the first reason why it does not move; "" when there is none.
        is_stuck: whether that needs a person.
    """

    state: QueueState
    done_per_second: float | None
    failed_per_second: float | None
    why: str
    is_stuck: bool


@dataclass(frozen=True, slots=True)
class Now:
    """Everything that the page shows."""

    at: float
    budget_ms: int
    answers: Answers
    queues: list[QueueNow]


def read_now(redis: Redis, settings: Settings) -> Now:
    """Read it; nothing is written.

    Raises:
        RedisError: Redis does not answer.
    """
    at = time.time()
    minute = at - at % 60 - _PERIOD_SECONDS  # the last full one: processes write their counts every few seconds
    tallies = read_history(redis, minute, minute).get(minute, {})
    states = read_queues(redis, None)
    return Now(at, settings.budget_ms, _answers(tallies), [_queue(redis, each, tallies, settings) for each in states])


def _answers(tallies: Tallies) -> Answers:
    all_of_them = total(_of(tallies, "callback").values())
    return Answers(
        all_of_them.count / _PERIOD_SECONDS,
        quantile_ms(all_of_them.ms, 0.5),
        quantile_ms(all_of_them.ms, 0.99),
        dict(all_of_them.outcomes.most_common()),
    )


def _queue(redis: Redis, state: QueueState, tallies: Tallies, settings: Settings) -> QueueNow:
    found = reasons(Looked(redis, state, settings.abandoned_seconds))
    first = next((finding for finding in found if finding.kind == "problem"), found[0] if found else None)
    here = [name for name, declared in state.declared.items() if declared.queue == state.name]
    attempts = total(tally for name, tally in _of(tallies, "job").items() if name in here)
    failed = sum(attempts.outcomes[outcome] for outcome in _FAILED)
    return QueueNow(
        state,
        attempts.outcomes["done"] / _PERIOD_SECONDS if here else None,
        failed / _PERIOD_SECONDS if here else None,
        str(first) if first else "",
        bool(first and first.kind == "problem"),
    )


def _of(tallies: Tallies, kind: Kind) -> dict[str, Tally]:
    return {name: tally for (each, name), tally in tallies.items() if each == kind}
