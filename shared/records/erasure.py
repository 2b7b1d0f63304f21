"""Takes the records of some events out of the segments, and their places out of the index.

1. The index is walked: first for the places of the events' records, then for all that points to these.
2. A segment that has any of them is copied without them, and the copy takes its place (`erasure.lua`). What is recorded
   meanwhile is copied before that, so nobody who writes or reads waits for more than a page.
3. Then what pointed to them is overwritten. Until then they are found, so what was cut off is simply run again.
"""

import struct
import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis

from shared.records.packing import LONGEST_ID, digest, digest_of_event
from shared.records.query import Call, calls_of
from shared.records.segments import BUCKETS, CALLS_KEY, ENTRY, PAGE, segments, stream_key
from shared.records.users import User, milliseconds_of
from shared.redis.scripts import script_text

_LOCK = f"{CALLS_KEY}:erasing"
_LOCK_SECONDS = 60
_LOCK_LOST = -2
_PAUSE_SECONDS = 0.05
_OVERWRITTEN_AT_ONCE = 500
_ENTRY = struct.Struct(">8s6sBB")  # as `record.lua` packs it

_OVERWRITE = """
for at = 2, #ARGV do
  if redis.call('STRLEN', KEYS[1]) > tonumber(ARGV[at]) then
    redis.call('SETRANGE', KEYS[1], ARGV[at], ARGV[1])
  end
end
"""

_Place = tuple[bytes, int, int]
"""Of a record in a stream: the milliseconds, the number and the field."""


def calls_of_user(redis: Redis, user: User, until_ms: int | None = None) -> Iterator[Call]:
    """The callbacks of a user on record, the newest first; those that had come by a moment, if one is given."""
    of_user = digest("user", user.id)
    names = (of_user.hex(), user.id[:LONGEST_ID])
    for call in calls_of(redis, of_user):
        is_meant = call.user in names and user.app in (None, call.app)
        if is_meant and (until_ms is None or milliseconds_of(call.id) <= until_ms):
            yield call


def count(redis: Redis, event_ids: Collection[str]) -> int:
    """How many records there are of these events: of callbacks, of repeated deliveries, and of attempts."""
    return sum(len(_places(redis, segment, event_ids)) for segment in segments(redis))


def erase(redis: Redis, event_ids: Collection[str]) -> int:
    """Blank every record of these events; how many there were."""
    return sum(_erase_from(redis, segment, event_ids) for segment in segments(redis))


def _places(redis: Redis, segment: int, event_ids: Collection[str]) -> set[_Place]:
    digests = {digest_of_event(each) for each in event_ids}
    if not digests:
        return set()
    return {place for key in _keys(segment) for _, place, of in _entries(redis, key) if of in digests}


def _keys(segment: int) -> list[str]:
    return [f"{stream_key(segment)}:{bucket}" for bucket in range(BUCKETS)]


def _erase_from(redis: Redis, segment: int, event_ids: Collection[str]) -> int:
    places = _places(redis, segment, event_ids)
    if not places:
        return 0
    with _locked(redis) as holder:
        if not _rewrite(redis, segment, places, holder):
            return len(places)  # they are there, and still found: whoever looks once more takes them out
    for key in _keys(segment):
        offsets = [offset for offset, place, _ in _entries(redis, key) if place in places]
        for at in range(0, len(offsets), _OVERWRITTEN_AT_ONCE):
            some = offsets[at : at + _OVERWRITTEN_AT_ONCE]
            redis.register_script(_OVERWRITE)(keys=[key], args=[bytes(ENTRY), *some])
    return len(places)


def _entries(redis: Redis, key: str) -> Iterator[tuple[int, _Place, bytes]]:
    """The entries of a bucket: where each begins, the place that it points to, and the digest."""
    written: Any = redis.get(key) or b""
    whole = memoryview(written)[: len(written) // ENTRY * ENTRY]
    for number, (of, *place) in enumerate(_ENTRY.iter_unpack(whole)):
        yield number * ENTRY, (place[0], place[1], place[2]), of


def _rewrite(redis: Redis, segment: int, places: Collection[_Place], holder: str) -> bool:
    """Put a copy of a segment's stream, with these records blank, in its place; False if the lock was lost."""
    stream = stream_key(segment)
    copy, ends = f"{stream}:{holder}", redis.pexpiretime(stream)
    blank: dict[bytes, set[bytes]] = defaultdict(set)
    for ms, number, field in places:
        blank[b"%d-%d" % (int.from_bytes(ms), number)].add(b"%d" % field)
    swap = redis.register_script(script_text("shared.records", "erasure"))
    last, blanked, swapped = b"", 0, 0
    while not swapped:
        page: Any = redis.xrange(stream, b"(" + last if last else "-", count=PAGE)
        with redis.pipeline() as pipeline:
            for entry, records in page:
                fields = blank.get(entry, ())
                blanked += sum(len(records.get(field, b"")) for field in fields)
                pipeline.xadd(copy, records | dict.fromkeys(set(fields) & records.keys(), b""), id=entry)
                last = entry
            if ends > 0:  # else the stream has gone
                pipeline.pexpireat(copy, ends)
            pipeline.expire(_LOCK, _LOCK_SECONDS)
            pipeline.execute()
        if len(page) < PAGE:
            swapped = swap(keys=[_LOCK, stream, copy, CALLS_KEY], args=[holder, last, segment, blanked])
    return bool(swapped != _LOCK_LOST)


@contextmanager
def _locked(redis: Redis) -> Iterator[str]:
    """Hold the lock: of two copies of a stream, the later would bring back what the other has left out."""
    holder = uuid.uuid4().hex
    while not redis.set(_LOCK, holder, nx=True, ex=_LOCK_SECONDS):
        time.sleep(_PAUSE_SECONDS)
    try:
        yield holder
    finally:
        if redis.get(_LOCK) == holder.encode():
            redis.delete(_LOCK)
