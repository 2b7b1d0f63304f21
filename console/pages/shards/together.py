"""What all shards tell: each sentence once, with the shards that it is of, and a row for each."""

from dataclasses import dataclass

from console.pages.now.wrong import Look, Wrong, look, place
from console.state import State
from deskbell.calls.jobs import jobs_now
from deskbell.queues.findings import Finding
from deskbell.queues.now import Now
from deskbell.queues.shards import Part, Sums, sums
from shared.records.query import read_story
from shared.redis.outages import unreachable


@dataclass(frozen=True, slots=True)
class Row:
    """A shard.

    Attributes:
        now: what was read last; None when nothing was.
        sums: of its queues.
        is_away: whether it did not answer just now.
        problem: why, in the words of a command; "" when it takes long.
        worst: the kind of the finding to act on first; "" when there is none.
    """

    shard: int
    now: Now | None
    sums: Sums
    is_away: bool
    problem: str
    worst: str


def rows(state: State) -> tuple[list[Row], dict[Finding, list[int]]]:
    """A row for each shard; and what is wrong, what needs a person first, with the shards that it is wrong on."""
    parts: list[Part[Look]] = state.together.latest(lambda shard: look(state.shards[shard]))
    found: dict[Finding, tuple[Wrong, list[int]]] = {}
    for shard, part in enumerate(parts):
        for each in part.result.wrong if part.result else ():
            found.setdefault(each.finding, (each, []))[1].append(shard)
    ordered = sorted(found.values(), key=lambda each: place(each[0]))
    return [_row(*each) for each in enumerate(parts)], {each.finding: shards for each, shards in ordered}


def _row(shard: int, part: Part[Look]) -> Row:
    wrong = part.result.wrong if part.result else ()
    now = part.result.now if part.result else None
    problem, worst = unreachable(part.error) if part.error else "", wrong[0].finding.kind if wrong else ""
    return Row(shard, now, sums(now.queues if now else ()), part.is_away, problem, worst)


def where_is(state: State, event_id: str) -> tuple[list[int], list[int]]:
    """The shards that know an event, and those that did not answer."""
    parts = state.together.once(lambda shard: _is_known(state.shards[shard], event_id))
    known = [shard for shard, part in enumerate(parts) if part.result]
    return known, [shard for shard, part in enumerate(parts) if part.result is None]


def _is_known(state: State, event_id: str) -> bool:
    story = read_story(state.redis, event_id)
    return bool(story.call or story.repeated or story.attempts or jobs_now(state.redis, event_id, ()))
