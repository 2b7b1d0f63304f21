"""Finds records: by what the index has, in a few round trips, or by walking back through the streams, so far at most.

Times are the server's, at which a record was written; that of a callback's is when Redis took the event.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any

from pydantic_core import from_json
from redis import Redis

from shared.records.packing import ATTEMPT, CALL, REPEATED, digest_of_event

CALLS_KEY = "deskbell:calls"
"""The segments, a hash: the bytes of each by its name, the milliseconds at which it began."""

MOST_LOOKED_AT = 200_000
"""Records that one walk looks at."""

Values = dict[str, str | int]
"""Variables by name: the value, or the length of one that is masked."""

PAGE = 20
"""Entries of a stream, each with the records of one script, at most 128: a larger page would hold Redis up."""

BUCKETS = 16
"""Strings of an index, as in `record.lua`."""

ENTRY = 16
"""Bytes of an entry of the index."""

_DIGEST = 8


@dataclass(frozen=True, slots=True)
class Call:
    """A callback on record.

    Attributes:
        at: when it was kept, in Unix seconds by the server's clock.
        user: the user's id; where values are masked, a digest in hex, the same in each record of that user.
        info: `ErrorInfo`; "" of a `Refuse` where values are masked.
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
        looked_at: how many records were read.
        back_to: the time of the last of them, in Unix seconds; None when all there are were looked at.
    """

    calls: list[Call] = field(default_factory=list)
    looked_at: int = 0
    back_to: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to find.

    Attributes:
        digest: of a user or a session; None walks back through all records.
        since, until: Unix seconds by the server's clock.
        fits: whether a callback is one of them.
        limit: how many at most.
    """

    digest: bytes | None = None
    since: float = 0.0
    until: float = float("inf")
    fits: Callable[[Call], bool] = lambda _: True
    limit: int = 50


def find_calls(redis: Redis, wanted: Wanted) -> Found:
    """The newest callbacks that fit."""
    found = Found()
    records = _walk(redis, wanted.since, wanted.until)
    if wanted.digest:
        records = _indexed(redis, wanted.digest, wanted.since, wanted.until)
    for at, record in records:
        if found.looked_at == MOST_LOOKED_AT or len(found.calls) == wanted.limit:
            found.back_to = at
            break
        found.looked_at += 1
        if (call := _call(at, record)) and wanted.fits(call):
            found.calls.append(call)
    return found


def calls_of(redis: Redis, digest: bytes) -> Iterator[Call]:
    """Every callback on record of a user or a session, the newest first."""
    found = _indexed(redis, digest, 0, float("inf"))
    return (call for at, record in found if (call := _call(at, record)))


def read_story(redis: Redis, event_id: str) -> Story:
    """All that is on record of an event; `event_id` is one that an event may have."""
    story = Story()
    for at, record in _indexed(redis, digest_of_event(event_id), 0, float("inf")):
        kind, of = [*record, "", ""][:2]
        if of != event_id:
            continue
        story.call = _call(at, record) or story.call
        if kind == REPEATED:
            story.repeated.insert(0, at)
        elif kind == ATTEMPT and len(record) == len(fields(Attempt)):
            story.attempts.insert(0, Attempt(at, *record[1:]))
    return story


def all_calls(redis: Redis) -> Iterator[Call]:
    """Every callback on record, the newest first."""
    return (call for at, record in _walk(redis, 0, float("inf")) if (call := _call(at, record)))


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
            calls += [call for text in written.values() if (call := _call(_seconds(here), _read(text)))]
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


def _walk(redis: Redis, since: float, until: float) -> Iterator[tuple[float, list[Any]]]:
    """The records of a period, the newest first."""
    first = f"{round(since * 1000)}"
    end = "+" if until == float("inf") else f"{round(until * 1000)}"
    for segment in segments(redis):
        if end != "+" and segment > int(end):
            continue
        last = end
        while page := _page(redis, segment, last, first):
            for place, written in page:
                yield from ((_seconds(place), _read(text)) for text in reversed(list(written.values())))
            last = f"({page[-1][0].decode()}"
        if segment < int(first):
            return


def _page(redis: Redis, segment: int, last: str, first: str) -> Sequence[tuple[bytes, dict[bytes, bytes]]]:
    found: Any = redis.xrevrange(stream_key(segment), last, first, count=PAGE)
    return found or ()


def _indexed(redis: Redis, digest: bytes, since: float, until: float) -> Iterator[tuple[float, list[Any]]]:
    """The records of a digest, the newest first."""
    there = segments(redis)
    bucket = digest[0] % BUCKETS
    with redis.pipeline(transaction=False) as pipeline:
        for segment in there:
            pipeline.get(f"{stream_key(segment)}:{bucket}")
        buckets = pipeline.execute()
    places = (
        (segment, *place)
        for segment, entries in zip(there, buckets, strict=True)
        for place in _places(entries or b"", digest)
        if since * 1000 <= place[0] <= until * 1000
    )
    while page := list(islice(places, PAGE)):
        with redis.pipeline(transaction=False) as pipeline:
            for segment, ms, number, _ in page:
                pipeline.xrange(stream_key(segment), f"{ms}-{number}", f"{ms}-{number}")
            for (_, ms, _, field_number), found in zip(page, pipeline.execute(), strict=True):
                for _, written in found:  # none, if the segment has gone in between
                    yield ms / 1000, _read(written.get(b"%d" % field_number, b""))


def _places(entries: bytes, digest: bytes) -> Iterator[tuple[int, int, int]]:
    """The places of a digest in a bucket, the newest first: milliseconds and number in the stream, and the field."""
    end = len(entries)
    while (at := entries.rfind(digest, 0, end)) >= 0:
        if at % ENTRY:  # within an entry, or across two
            end = at + _DIGEST - 1
            continue
        yield int.from_bytes(entries[at + 8 : at + 14]), entries[at + 14], entries[at + 15]
        end = at


def _call(at: float, record: list[Any]) -> Call | None:
    """The callback that a record is of; None when it is of something else."""
    return Call(at, *record[1:]) if record[:1] == [CALL] and len(record) == len(fields(Call)) else None


def _read(text: bytes) -> list[Any]:
    """A record; [] where somebody else has written something else."""
    try:
        record = from_json(text)
    except ValueError:
        return []
    return record if isinstance(record, list) else []


def _seconds(place: bytes) -> float:
    return int(place.partition(b"-")[0]) / 1000
