"""Why a queue does not move: each reason is looked for in turn, and the first that applies is the one to act on.

The order is that of what holds up most: all workers, this queue, its workers, single jobs. Where each is decided:
docs/how-to/stuck-queues.md has the list.
"""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace

from redis import Redis
from rq.suspension import WORKERS_SUSPENDED

from deskbell.queues.findings import Finding, problem
from deskbell.queues.looked import Looked, Reason
from deskbell.queues.of_jobs import already_running, far_behind, held_by_dead_letters, held_by_others, limits, not_due
from deskbell.queues.of_workers import expired_leases, silent_workers, taken_slots, undeclared, unread
from shared.redis.breakers import Pause, paused_queues
from shared.redis.pauses import PausedQueue, queues_paused_by_hand
from shared.sentences import sentence


def reasons(looked: Looked) -> list[Finding]:
    """Every reason that applies, the one to act on first; none of a queue that is empty, or that nothing holds back."""
    if looked.queue.is_empty:
        return []
    return of_all(looked) + of_the_queue(looked)


def of_all(looked: Looked) -> list[Finding]:
    """What would hold back the jobs of a queue that has none: all workers, a pause, or that nobody reads it."""
    return _apply(_OF_ALL, looked)


def of_the_queue(looked: Looked) -> list[Finding]:
    """The reasons beside those that concern all queues, or its workers and breakers as a whole."""
    return [] if looked.queue.is_empty else _apply(_OF_THE_QUEUE, looked)


def names() -> set[str]:
    """The words for all of them, as findings have them."""
    return {each.__name__ for each in (*_OF_ALL, *_OF_THE_QUEUE)}


def suspended(looked: Looked) -> Iterator[Finding]:
    """Whether `rq suspend` holds all workers back."""
    yield from suspension(looked.connection)


def suspension(connection: Redis) -> Iterator[Finding]:
    """The same, of no queue in particular."""
    if connection.exists(WORKERS_SUSPENDED):
        yield suspension_of()


def suspension_of() -> Finding:
    """What is said of it."""
    return problem(
        sentence("all workers are suspended by `rq suspend`: no job is begun"),
        sentence("write `rq resume`"),
        "suspended",
    )


def paused_by_hand(looked: Looked) -> Iterator[Finding]:
    """Whether a person has paused the queue."""
    here = queues_paused_by_hand(looked.connection)
    yield from (held(pause) for pause in here if pause.queue == looked.queue.name)


def held(pause: PausedQueue) -> Finding:
    """What is said of a pause by a person."""
    return problem(
        sentence(
            "the queue {queue} is paused{by}{since}: no job of it is begun",
            queue=pause.queue,
            by=sentence(" by {name}", name=pause.by) if pause.by else "",
            since=sentence(" since {when:%Y-%m-%d %H:%M:%S} UTC", when=pause.since) if pause.since else "",
        ),
        sentence("write `deskbell queues resume {queue}`", queue=shlex.quote(pause.queue)),
        "paused_by_hand",
    )


def key_damaged(looked: Looked) -> Iterator[Finding]:
    """Whether the queue could not be read."""
    name = looked.queue.name
    if looked.queue.is_damaged:
        yield problem(
            sentence("a key of the queue {queue} has a foreign type: what reads it stands still", queue=name),
            sentence("write `deskbell doctor {queue}`, which names the key", queue=shlex.quote(name)),
        )


def pauses(looked: Looked) -> Iterator[Finding]:
    """Whether a breaker has paused the queue."""
    yield from (paused(pause) for pause in paused_queues(looked.connection) if pause.queue == looked.queue.name)


def paused(pause: Pause) -> Finding:
    """What is said of a pause."""
    return problem(
        sentence(
            "the queue {queue} is paused since {since:%H:%M:%S} UTC, because jobs of {job} keep failing ({cause}); one "
            "is tried at {until:%H:%M:%S}",
            queue=pause.queue,
            since=pause.since,
            job=pause.job_type,
            cause=pause.cause,
            until=pause.until,
        ),
        sentence("mend what the cause names: the queue goes on when that one succeeds"),
    )


def _apply(them: Iterable[Reason], looked: Looked) -> list[Finding]:
    return [replace(finding, reason=each.__name__) for each in them for finding in each(looked)]


_OF_ALL: tuple[Reason, ...] = (suspended, paused_by_hand, key_damaged, unread, pauses)
_OF_THE_QUEUE: tuple[Reason, ...] = (
    silent_workers,
    taken_slots,
    expired_leases,
    undeclared,
    far_behind,
    limits,
    already_running,
    held_by_dead_letters,
    not_due,
    held_by_others,
)
