"""What is said of the queues together, and of one that is empty because another stands still."""

import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis

from deskbell.queues.findings import Finding, problem, said, warning
from deskbell.queues.state import QueueState, Readers, read_queue
from shared.redis.api_hosts import ApiHost
from shared.redis.queues import EVENTS
from shared.runtime.blocks import LAST_BLOCKS_KEY, LastBlock, read_blocks
from shared.runtime.loop_lag import STUCK_SECONDS
from shared.sentences import Sentence, sentence

_RECENT = timedelta(hours=1)
_LATELY = timedelta(minutes=10)
_LONGEST_BLOCK = timedelta(seconds=STUCK_SECONDS + 10)  # then its process has been ended
_STARTED_SECONDS = 15.0
"""An api that has just started, or was restarted process by process, says so within ten; until then its end is last."""
_SIGNS_OF_LIFE = ("unread", "silent_workers", "expired_leases")
_USUAL_SECONDS = 5.0
"""For longer no event waits where its worker keeps up."""


def dead_letters(states: Sequence[QueueState]) -> Iterator[Finding]:
    """How many dead letters there are, by queue."""
    if dead := {state.name: state.dead for state in states if state.dead}:
        each = [sentence("{count:,} on the queue {queue}", count=count, queue=name) for name, count in dead.items()]
        text = sentence("dead letters, which nothing tries again: {each}", each=each)
        yield warning(text, sentence("see `deskbell dead list`"), "dead_letters")


def meaningful(findings: Iterable[Finding], *, redis_refuses: bool) -> list[Finding]:
    """The findings, but for those from signs of life that are missing, while Redis refuses what workers write."""
    return [each for each in findings if not (redis_refuses and each.reason in _SIGNS_OF_LIFE)]


def no_api(hosts: Sequence[ApiHost], *, redis_refuses: bool) -> Iterator[Finding]:
    """Whether an api runs anywhere, as far as Redis knows; where none has ever run, nothing is said.

    Nor is it of those that were not told to end, while Redis refuses what they would write to say that they are there.
    """
    if not hosts or not all(each.is_gone and each.age > _STARTED_SECONDS for each in hosts):
        return
    last = max(hosts, key=lambda each: each.noted)
    where = {"at": datetime.fromtimestamp(last.noted, UTC), "host": last.host}
    if all(each.has_ended for each in hosts):
        text = sentence(
            "no api runs, so nothing answers Desk: the last, on the host {host}, was told to end at "
            "{at:%Y-%m-%d %H:%M:%S} UTC",
            **where,
        )
        yield problem(text, sentence("start `deskbell api`"))
    elif not redis_refuses:  # as this user; another, with the api's rights or password, may not be able to write
        text = sentence(
            "no api has been heard of since {at:%Y-%m-%d %H:%M:%S} UTC, on the host {host}: none runs, so that nothing "
            "answers Desk, or none can write to Redis",
            **where,
        )
        yield problem(text, sentence("start `deskbell api`, or see redis_away and redis_refuses in its log"))


def unread_queues(states: Sequence[QueueState], told: Collection[str] = ()) -> Iterator[Finding]:
    """Which queues no living worker reads, also those on which nothing waits; but for those of which it is told."""
    unread = [each.name for each in states if not (each.readers.living or each.is_left)]
    if not any(state.readers.living for state in states):
        start = sentence("start `deskbell worker {queue}`", queue=shlex.join(unread))
        yield problem(sentence("no worker runs: events are accepted, and nothing is done for them"), start, "unread")
    elif more := [name for name in unread if name not in told]:
        start = sentence("start `deskbell worker {queue}`", queue=shlex.join(more))
        yield problem(sentence("no living worker reads {queues}", queues=_list(more)), start, "unread")


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


def blocks(connection: Redis) -> Iterator[Finding]:
    """Which handlers and jobs have blocked an event loop within the last hour; a problem if one still may.

    It is a warning for ten minutes after it ended, then no more than said.
    """
    now = datetime.now(UTC)
    written: Any = connection.hgetall(LAST_BLOCKS_KEY)
    for block in read_blocks(written):
        ago = now - block.noted
        if ago <= _RECENT:
            is_blocking = not block.is_over and ago < _LONGEST_BLOCK
            yield (problem if is_blocking else warning if ago <= _LATELY else said)(_blocked(block))


def _blocked(block: LastBlock) -> Sentence:
    how_long = (
        sentence("for {seconds:g} s until {noted:%H:%M:%S} UTC", seconds=block.seconds, noted=block.noted)
        if block.is_over
        else sentence("and has not been seen to end, since {noted:%H:%M:%S} UTC", noted=block.noted)
    )
    return sentence(
        "{who} blocked an event loop {how_long}, at {at}: everything else of that process waited; write def instead of "
        "async def, or await what takes long",
        who=block.who,
        how_long=how_long,
        at=block.at,
    )


def _list(names: list[str]) -> Sentence:
    if len(names) == 1:
        return sentence("the queue {queue}", queue=names[0])
    return sentence("the queues {queues}", queues=names)
