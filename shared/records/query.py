"""Finds records: by what the index has, in a few round trips, or by walking back through the streams, so far at most.

Times are the server's, at which a record was written; that of a callback's is when Redis took the event.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from pydantic_core import from_json
from redis import Redis

from shared.records.packing import ATTEMPT, CALL, REPEATED, digest_of_event
from shared.records.segments import PAGE, Place, indexed, records_of, segments, stream_key, walk

MOST_LOOKED_AT = 200_000
"""Records that one walk looks at."""

Values = dict[str, str | int]
"""Variables by name: the value, a `PersonalText` where it is personal, or the length of one that is masked."""


class PersonalText(str):
    """What is personal, and on record because `DESKBELL_RECORD_VALUES` was set."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A callback on record.

    Attributes:
        at: when it was kept, in Unix seconds by the server's clock.
        user: the user's id, a `PersonalText`; where values are masked, a digest in hex, the same in each record of
            that user.
        info: `ErrorInfo`; of a `Refuse` a `PersonalText`, "" where values are masked.
        handler_ms: milliseconds spent in the handler.
        asked, answered: the variables that came, and those that went out.
    """

    at: float
    id: str
    app: str
    command: str
    node: str
    user: str
    session: str
    outcome: str
    code: int
    info: str
    handler_ms: float
    asked: Values
    answered: Values

    @property
    def received(self) -> float:
        """When it came, in Unix seconds by the api's clock."""
        return int(self.id[:12], 16) / 1000


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at a job on record.

    Attributes:
        at: when it was written, some seconds after it had ended.
        ended_ms: when that was, in Unix milliseconds by the worker's clock.
        number: from 1; 0 when it was not counted.
        cause: what it failed by.
    """

    at: float
    event_id: str
    ended_ms: int
    job: str
    number: int
    outcome: str
    ms: float
    cause: str


@dataclass(slots=True)
class Story:
    """All that is on record of one event.

    Attributes:
        call: None when its record is gone, or was not written.
        repeated: when its delivery came again.
    """

    call: Call | None = None
    repeated: list[float] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)


@dataclass(slots=True)
class Found:
    """What a search has found.

    Attributes:
        calls: the newest first.
        looked_at: how many records were looked at.
        rest: the first one that was not; None when all there are were looked at.
    """

    calls: list[Call] = field(default_factory=list)
    looked_at: int = 0
    rest: Place | None = None

    @property
    def back_to(self) -> float | None:
        """How far back the search went, in Unix seconds; None when all there are were looked at."""
        return self.rest.ms / 1000 if self.rest else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to find.

    Attributes:
        digest: of a user or a session; None walks back through all records.
        since, until: Unix seconds by the server's clock.
        fits: whether a callback is one of them.
        limit: how many at most.
        texts: what the JSON of each that fits holds: looked for first, since it takes a twentieth of reading it.
        most: records that are looked at.
        start: the `rest` of an earlier search, to go on from there.
    """

    digest: bytes | None = None
    since: float = 0.0
    until: float = float("inf")
    fits: Callable[[Call], bool] = lambda _: True
    limit: int = 50
    texts: Sequence[bytes] = ()
    most: int = MOST_LOOKED_AT
    start: Place | None = None


_CALL_FIELDS, _ATTEMPT_FIELDS = len(fields(Call)), len(fields(Attempt))


def find_calls(redis: Redis, wanted: Wanted) -> Found:
    """The newest callbacks that fit."""
    found = Found()
    records = walk(redis, wanted.since, wanted.until, wanted.start)
    if wanted.digest:
        records = indexed(redis, wanted.digest, wanted.since, wanted.until, wanted.start)
    for place, text in records:
        if found.looked_at == wanted.most or len(found.calls) == wanted.limit:
            found.rest = place
            break
        found.looked_at += 1
        if all(each in text for each in wanted.texts) and (call := _call(place, text)) and wanted.fits(call):
            found.calls.append(call)
    return found


def calls_of(redis: Redis, digest: bytes) -> Iterator[Call]:
    """Every callback on record of a user or a session, the newest first."""
    return (call for place, text in indexed(redis, digest) if (call := _call(place, text)))


def read_story(redis: Redis, event_id: str) -> Story:
    """All that is on record of an event; `event_id` is one that an event may have."""
    story = Story()
    for place, text in indexed(redis, digest_of_event(event_id)):
        record = _read(text)
        kind, of = [*record, "", ""][:2]
        if of != event_id:
            continue
        story.call = _call(place, text) or story.call
        if kind == REPEATED:
            story.repeated.insert(0, place.ms / 1000)
        elif kind == ATTEMPT and len(record) == _ATTEMPT_FIELDS:
            story.attempts.insert(0, Attempt(place.ms / 1000, *record[1:]))
    return story


def all_calls(redis: Redis) -> Iterator[Call]:
    """Every callback on record, the newest first."""
    return (call for place, text in walk(redis) if (call := _call(place, text)))


def newest(redis: Redis) -> str:
    """The segment that is open and the place of its last record, for `after`; "" when there is nothing on record."""
    for segment in segments(redis):
        last: Any = redis.xrevrange(stream_key(segment), count=1)
        if last:
            return f"{segment}/{last[0][0].decode()}"
    return ""


def after(redis: Redis, place: str) -> tuple[list[Call], str]:
    """The callbacks that were recorded behind a place, the oldest first, a page at most; and the place behind them."""
    begun, _, last = place.partition("/")
    calls: list[Call] = []
    for segment in reversed(segments(redis)):
        if begun and segment < int(begun):
            continue
        start = f"({last}" if begun and segment == int(begun) else "-"
        page: Any = redis.xrange(stream_key(segment), start, count=PAGE)
        for here, written in page:
            place = f"{segment}/{here.decode()}"
            calls += [call for where, text in records_of(here, written) if (call := _call(where, text))]
        if len(page) == PAGE:
            break
    return calls, place


def _call(place: Place, text: bytes) -> Call | None:
    """The callback that a record is of; None when it is of something else."""
    record = _read(text)
    if record[:1] != [CALL] or len(record) != _CALL_FIELDS:
        return None
    *facts, asked, answered = record[1:]
    values = ({name: _personal(value) for name, value in each.items()} for each in (asked, answered))
    return Call(place.ms / 1000, *map(_personal, facts), *values)


def _personal(value: Any) -> Any:
    """A value of a record; `packing` puts what is personal into a list."""
    return PersonalText(value[0]) if isinstance(value, list) and value else value


def _read(text: bytes) -> list[Any]:
    """A record; [] where somebody else has written something else."""
    try:
        record = from_json(text)
    except ValueError:
        return []
    return record if isinstance(record, list) else []
