"""Segments as they lie on Redis, by `record.lua`: the records of their streams, and the places in their indexes.

They are read a page at a time, the newest first. Times are the server's, at which a record was written.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, Self

from redis import Redis

from shared.keys import DESKBELL

CALLS_KEY = f"{DESKBELL}calls"
"""The segments, a hash: the bytes of each by its name, the milliseconds at which it began."""

PAGE = 20
"""Entries of a stream, each with the records of one script, at most 128: a larger page would hold Redis up."""

_LARGEST_PAGE, _MOST_OF_A_PAGE = 100, 2500  # entries, of which each has few records; records

BUCKETS = 16
"""Strings of an index, as in `record.lua`."""

ENTRY = 16
"""Bytes of an entry of the index."""

_DIGEST = 8


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


def segments(redis: Redis) -> list[int]:
    """The segments there are, the newest first."""
    names: Any = redis.hkeys(CALLS_KEY)
    return sorted((int(each) for each in names if each.isdigit()), reverse=True)


def stream_key(segment: int) -> str:
    """The key of a segment's records; `:` and a number behind it are those of its index."""
    return f"{CALLS_KEY}:{segment}"


def walk(
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
                records = reversed(list(records_of(here, written)))
                yield from (each for each in records if not start or each[0] <= start)
            last = f"({page[-1][0].decode()}"
            count = max(PAGE, min(_LARGEST_PAGE, _MOST_OF_A_PAGE * len(page) // max(size, 1)))
        if segment < first:
            return


def _page(redis: Redis, segment: int, last: str, first: str, count: int) -> Sequence[tuple[bytes, dict[bytes, bytes]]]:
    found: Any = redis.xrevrange(stream_key(segment), last, first, count=count)
    return found or ()


def records_of(entry: bytes, written: dict[bytes, bytes]) -> Iterator[tuple[Place, bytes]]:
    """The records of an entry, and where each is."""
    ms, number = map(int, entry.split(b"-"))
    return ((Place(ms, number, int(name)), text) for name, text in written.items() if name.isdigit())


def indexed(
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
