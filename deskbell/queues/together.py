"""What is said of the queues together, and of one that is empty because another stands still."""

import shlex
from collections.abc import Collection, Iterator, Sequence

from redis import Redis

from deskbell.queues.findings import Finding, problem, warning
from deskbell.queues.state import QueueState, Readers, read_queue
from shared.redis.queues import EVENTS
from shared.sentences import Sentence, sentence

_USUAL_SECONDS = 5.0
"""For longer no event waits where its worker keeps up."""


def dead_letters(states: Sequence[QueueState]) -> Iterator[Finding]:
    """How many dead letters there are, by queue."""
    if dead := {state.name: state.dead for state in states if state.dead}:
        each = [sentence("{count:,} on the queue {queue}", count=count, queue=name) for name, count in dead.items()]
        text = sentence("dead letters, which nothing tries again: {each}", each=each)
        yield warning(text, sentence("see `deskbell dead list`"), "dead_letters")


def unread_queues(states: Sequence[QueueState], told: Collection[str] = ()) -> Iterator[Finding]:
    """Which queues no living worker reads, also those on which nothing waits; but for those of which it is told."""
    unread = [each.name for each in states if not (each.readers.living or each.is_left or each.name in told)]
    if not unread:
        return
    start = sentence("start `deskbell worker {queue}`", queue=shlex.join(unread))
    if not any(state.readers.living for state in states):
        yield problem(sentence("no worker runs: events are accepted, and nothing is done for them"), start)
    else:
        yield problem(sentence("no living worker reads {queues}", queues=_list(unread)), start)


def events_wait(connection: Redis, name: str) -> Iterator[Finding]:
    """Whether events wait that the jobs of this queue would be made from: then that it is empty means nothing."""
    if name == EVENTS:
        return
    events = read_queue(connection, EVENTS, Readers(), None)
    if (oldest := events.oldest_seconds or 0.0) > _USUAL_SECONDS:
        yield warning(
            sentence(
                "events wait on the queue {queue}, {count:,} of them, the first for {seconds:.0f} s: jobs of this "
                "queue may be made from them",
                queue=EVENTS,
                count=events.waiting,
                seconds=oldest,
            ),
            sentence("see `deskbell doctor {queue}`", queue=EVENTS),
            "events_wait",
        )


def _list(names: list[str]) -> Sentence:
    if len(names) == 1:
        return sentence("the queue {queue}", queue=names[0])
    return sentence("the queues {queues}", queues=names)
