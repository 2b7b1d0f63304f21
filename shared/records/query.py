"""Finds records: by what the index has, in a few round trips, or by walking back through the streams, so far at most.

Times are the server's, at which a record was written; that of a callback's is when Redis took the event.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any, NamedTuple, Self

from pydantic_core import from_json
from redis import Redis

from shared.records.packing import ATTEMPT, CALL, REPEATED, digest_of_event

CALLS_KEY = "deskbell:calls"
"""The segments, a hash: the bytes of each by its name, the milliseconds at which it began."""

MOST_LOOKED_AT = 200_000
"""Records that one walk looks at."""

Values = dict[str, str | int]
"""Variables by name: the value, a `PersonalText` where it is personal, or the length of one that is masked."""

PAGE = 20
"""Entries of a stream, each with the records of one script, at most 128: a larger page would hold Redis up."""

_LARGEST_PAGE, _MOST_OF_A_PAGE = 100, 2500  # entries, of which each has few records; records

BUCKETS = 16
"""Strings of an index, as in `record.lua`."""

ENTRY = 16
"""Bytes of an entry of the index."""

_DIGEST = 8


class PersonalText(str):
    """What is personal, and on record because `DESKBELL_RECORD_VALUES` was set."""

    __slots__ = ()


class Place(NamedTuple):
    """Where a record is: its entry's milliseconds and number in the stream, and its field there."""

    ms: int
    number: int
    field: int

    def __str__(self) -> str:
        """As `parse` reads it."""
        return "-".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The place that a text means.

        Raises:
            ValueError: it means none.
        """
        if not re.fullmatch(r"[0-9]{1,15}-[0-9]{1,15}-[0-9]{1,3}", text):
            raise ValueError("expected three numbers")
        return cls(*map(int, text.split("-")))


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
    records = _walk(redis, wanted.since, wanted.until, wanted.start)
    if wanted.digest:
        records = _indexed(redis, wanted.digest, wanted.since, wanted.until, wanted.start)
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
    return (call for place, text in _indexed(redis, digest) if (call := _call(place, text)))


def read_story(redis: Redis, event_id: str) -> Story:
    """All that is on record of an event; `event_id` is one that an event may have."""
    story = Story()
    for place, text in _indexed(redis, digest_of_event(event_id)):
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
    return (call for place, text in _walk(redis) if (call := _call(place, text)))


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
            calls += [call for where, text in _records(here, written) if (call := _call(where, text))]
        if len(page) == PAGE:
            break
    return calls, place


def segments(redis: Redis) -> list[int]:
    """The segments there are, the newest first."""
    names: Any = redis.hkeys(CALLS_KEY)
    return sorted((int(each) for each in names if each.isdigit()), reverse=True)


def stream_key(segment: int) -> str:
    """The key of a segment's records; `:` and a number behind it are those of its index."""
    return f"{CALLS_KEY}:{segment}"


def _walk(
    redis: Redis, since: float = 0, until: float = float("inf"), start: Place | None = None
) -> Iterator[tuple[Place, bytes]]:
    """The records of a period, the newest first."""
    first, latest = round(since * 1000), until * 1000
    end = "+" if until == float("inf") else f"{round(latest)}"
    if start and start.ms <= latest:
        end, latest = f"{start.ms}-{start.number}", start.ms
    for segment in segments(redis):
        if segment > latest:
            continue
        last, count = end, PAGE
        while page := _page(redis, segment, last, f"{first}", count):
            size = 0
            for here, written in page:
                size += len(written)
                records = reversed(list(_records(here, written)))
                yield from (each for each in records if not start or each[0] <= start)
            last = f"({page[-1][0].decode()}"
            count = max(PAGE, min(_LARGEST_PAGE, _MOST_OF_A_PAGE * len(page) // max(size, 1)))
        if segment < first:
            return


def _page(redis: Redis, segment: int, last: str, first: str, count: int) -> Sequence[tuple[bytes, dict[bytes, bytes]]]:
    found: Any = redis.xrevrange(stream_key(segment), last, first, count=count)
    return found or ()


def _records(entry: bytes, written: dict[bytes, bytes]) -> Iterator[tuple[Place, bytes]]:
    """The records of an entry, and where each is."""
    ms, number = map(int, entry.split(b"-"))
    return ((Place(ms, number, int(name)), text) for name, text in written.items() if name.isdigit())


def _indexed(
    redis: Redis, digest: bytes, since: float = 0, until: float = float("inf"), start: Place | None = None
) -> Iterator[tuple[Place, bytes]]:
    """The records of a digest, the newest first."""
    there = segments(redis)
    bucket = digest[0] % BUCKETS
    with redis.pipeline(transaction=False) as pipeline:
        for segment in there:
            pipeline.get(f"{stream_key(segment)}:{bucket}")
        buckets = pipeline.execute()
    places = (
        (segment, place)
        for segment, entries in zip(there, buckets, strict=True)
        for place in _places(entries or b"", digest)
        if since * 1000 <= place.ms <= until * 1000 and (not start or place <= start)
    )
    while page := list(islice(places, PAGE)):
        with redis.pipeline(transaction=False) as pipeline:
            for segment, (ms, number, _) in page:
                pipeline.xrange(stream_key(segment), f"{ms}-{number}", f"{ms}-{number}")
            for (_, place), found in zip(page, pipeline.execute(), strict=True):
                for _, written in found:  # none, if the segment has gone in between
                    yield place, written.get(b"%d" % place.field, b"")


def _places(entries: bytes, digest: bytes) -> Iterator[Place]:
    """The places of a digest in a bucket, the newest first."""
    end = len(entries)
    while (at := entries.rfind(digest, 0, end)) >= 0:
        if at % ENTRY:  # within an entry, or across two
            end = at + _DIGEST - 1
            continue
        yield Place(int.from_bytes(entries[at + 8 : at + 14]), entries[at + 14], entries[at + 15])
        end = at


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
