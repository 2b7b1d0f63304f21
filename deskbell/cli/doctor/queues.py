"""The queues: how many jobs are where, who reads them, and why they do not move."""

import time
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from deskbell.cli.doctor.findings import Checked
from deskbell.cli.exit import stop
from deskbell.queues import together
from deskbell.queues.findings import Finding, said, unknown, warning
from deskbell.queues.looked import Looked
from deskbell.queues.now import queue_now, read_minute
from deskbell.queues.reasons import held, of_all, of_the_queue, paused, reasons, suspension
from deskbell.queues.state import QueueState, Readers, queue_names, read_queue, read_queues, read_readers
from shared.redis.breakers import paused_queues
from shared.redis.clock import ahead_of
from shared.redis.pauses import queues_paused_by_hand
from shared.redis.queues import EVENTS

_LOOK_SECONDS = 2.0
_PAUSE_SECONDS = 0.1


def suspended(checked: Checked) -> Iterator[Finding]:
    """Whether `rq suspend` holds all workers back."""
    yield from suspension(checked.connection)


def pauses(checked: Checked) -> Iterator[Finding]:
    """Which queues a person or a breaker has paused."""
    yield from map(held, queues_paused_by_hand(checked.connection))
    yield from map(paused, paused_queues(checked.connection))


def blocks(checked: Checked) -> Iterator[Finding]:
    """Which handlers and jobs have blocked an event loop within the last hour."""
    yield from together.blocks(checked.connection)


def queue_table(checked: Checked) -> Iterator[Finding]:
    """How many jobs are where, on each queue."""
    for state in states(checked):
        yield said(f"queue {state}")


def dead_letters(checked: Checked) -> Iterator[Finding]:
    """Which queues have dead letters."""
    yield from together.dead_letters(states(checked))


def unread_queues(checked: Checked) -> Iterator[Finding]:
    """Which queues no living worker reads."""
    yield from _meaningful(checked, together.unread_queues(states(checked)))


def standing_still(checked: Checked) -> Iterator[Finding]:
    """What holds jobs of single queues back."""
    for state in states(checked):
        looked = Looked(checked.connection, state, checked.settings.abandoned_seconds)
        yield from _meaningful(checked, of_the_queue(looked))


def why_it_stands_still(name: str, checked: Checked) -> Iterator[Finding]:
    """How the queue stands, and why it does not move."""
    readers = read_readers(checked.connection)
    known = queue_names(checked.connection, readers, checked.jobs)
    if name not in known:
        nearest = get_close_matches(name, known, n=1)
        also = f"; did you mean {nearest[0]}?" if nearest else f"; there are {', '.join(known)}"
        stop(f"no job type, job or worker has the queue {name!r}{also}")
    state = read_queue(checked.connection, name, readers.get(name, Readers()), checked.jobs)
    yield said(f"queue {state}")
    yield from together.events_wait(checked.connection, name)
    looked = Looked(checked.connection, state, checked.settings.abandoned_seconds)
    found = _meaningful(checked, of_all(looked) if state.is_empty else reasons(looked))
    moves = [_movement(checked, state)] if state.waiting and not found else []
    yield from (*found, *moves)
    _, tallies = read_minute(checked.connection, time.time() - ahead_of(checked.connection))
    seconds = queue_now(state, tallies, found).drained_seconds
    if seconds is not None and not any(each.kind == "unknown" for each in moves):
        yield said(f"the last job that waits now begins in about {seconds:,.0f} s, at the rate of the last full minute")


def _meaningful(checked: Checked, findings: Iterable[Finding]) -> list[Finding]:
    return together.meaningful(findings, redis_refuses=not checked.takes_events)


def _movement(checked: Checked, state: QueueState) -> Finding:
    """Whether a queue that nothing holds back moves: a job has left its head, or a worker has one under way."""
    deadline = time.monotonic() + _LOOK_SECONDS
    while time.monotonic() < deadline:
        now = read_queue(checked.connection, state.name, state.readers, checked.jobs)
        if now.first != state.first or now.running != state.running:
            return said("nothing holds it back, and it moves")
        time.sleep(_PAUSE_SECONDS)
    workers = ", ".join(record.address for record in state.readers.records) or "its workers"
    return unknown(
        f"nothing that Redis knows holds it back, and yet nothing moved within {_LOOK_SECONDS:g} s",
        f"see the log of {workers} for not_claimed and redis_away",
        "unexplained",
    )


def unneeded_workers(checked: Checked) -> Iterator[Finding]:
    """Which workers read a queue that no job type uses."""
    if checked.jobs is None:
        return
    for state in states(checked):
        used = {EVENTS, *checked.jobs.queues, *(each.queue for each in state.declared.values())}
        if state.readers.living and state.name not in used and state.is_empty:
            yield warning(f"workers read the queue {state.name}, which no job type uses and which is empty")


def states(checked: Checked) -> list[QueueState]:
    """The queues, read once."""
    if checked.queues is None:
        checked.queues = read_queues(checked.connection, checked.jobs)
    return checked.queues
