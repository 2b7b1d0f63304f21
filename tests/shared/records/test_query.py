"""Records on Redis: found by user, session and event, or by walking back; the oldest make room."""

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic_core import to_json
from redis import Redis

from deskbell.testing import api_call, packet
from shared.records.packing import ATTEMPT, Record, digest, digest_of_event
from shared.records.query import Found, Wanted, after, all_calls, find_calls, newest, read_story
from shared.records.segments import CALLS_KEY, Place
from shared.settings.config import Settings
from shared.wire.events import Reply
from tests.conftest import ApiFactory
from tests.records import put_on_record, record_of
from tests.waiting import until

SMALL = Settings(record_mb=1)
"""A segment of these has 62,500 bytes, some 250 records."""


def user_record(number: int, user: str = "", outcome: Any = "answered") -> Record:
    """A callback of a user: a hundred of them by default."""
    event = api_call("order", OrderID=str(number), SystemClientUserID=user or f"user{number % 100}")
    return record_of(event, Reply(outcome=outcome))


def bytes_used(redis: Redis) -> int:
    """What all records take of Redis' memory."""
    return sum(int(redis.memory_usage(key, samples=0) or 0) for key in redis.scan_iter(f"{CALLS_KEY}*"))


def batches(records: Iterator[Record], size: int) -> Iterator[list[Record]]:
    """So many at a time."""
    while batch := list(itertools.islice(records, size)):
        yield batch


def test_a_callback_is_found_by_its_user_its_session_and_its_id(redis: Redis) -> None:
    """In any segment; the newest first."""
    ours = [
        record_of(api_call("order", SystemClientUserID="user517", SystemSessionID=f"s-{number}")) for number in range(3)
    ]
    others = iter([user_record(number) for number in range(1200)])
    for mine, batch in zip(ours, batches(others, 400), strict=True):
        for few in batches(iter([*batch[:200], mine, *batch[200:]]), 100):
            put_on_record(redis, *few, settings=SMALL)

    found = find_calls(redis, Wanted(digest("user", "user517"))).calls
    (in_session,) = find_calls(redis, Wanted(digest("session", "s-1"))).calls

    assert redis.hlen(CALLS_KEY) > 4
    assert [call.session for call in found] == ["s-2", "s-1", "s-0"]
    assert in_session == found[1] == read_story(redis, found[1].id).call
    assert find_calls(redis, Wanted(digest("session", "user517"))).calls == []
    assert find_calls(redis, Wanted(digest("user", "user517"), limit=1)).calls == found[:1]


def test_a_walk_back_finds_what_fits_and_says_how_far_it_looked(redis: Redis) -> None:
    """By outcome, across segments; within a period; and no further than it may."""
    records = [user_record(number, outcome="failed" if number % 100 == 50 else "answered") for number in range(900)]
    for batch in batches(iter(records), 90):
        put_on_record(redis, *batch, settings=SMALL)
    calls = list(all_calls(redis))

    failed = find_calls(redis, Wanted(fits=lambda call: call.outcome == "failed"))
    first = find_calls(redis, Wanted(fits=lambda call: call.outcome == "failed", limit=2))
    period = find_calls(redis, Wanted(since=calls[600].at, until=calls[300].at, limit=1000))

    assert len(calls) == 900
    assert len(failed.calls) == 9
    assert (failed.looked_at, failed.back_to) == (900, None)
    assert (len(first.calls), first.looked_at, first.back_to is not None) == (2, 150, True)
    assert {calls[600].id, calls[300].id} <= {call.id for call in period.calls}
    assert all(calls[600].at <= call.at <= calls[300].at for call in period.calls)


def test_a_search_goes_on_where_an_earlier_one_ended(redis: Redis) -> None:
    """Also within the records of one script, which have one time: none twice, none left out."""
    for batch in batches(iter([user_record(number, "user517") for number in range(300)]), 100):
        put_on_record(redis, *batch, settings=SMALL)
    every = [call.id for call in all_calls(redis)]

    for of in (None, digest("user", "user517")):
        seen: list[str] = []
        found = Found(rest=Place(10**14, 0, 0))
        while found.rest:
            found = find_calls(redis, Wanted(of, limit=70, start=Place.parse(str(found.rest))))
            seen += [call.id for call in found.calls]
        assert seen == every
    assert len(every) == 300


def test_all_of_an_event_is_read_together(redis: Redis) -> None:
    """Its callback, the attempts at its jobs in their order; of an event that nobody knows, nothing."""
    event = api_call("order")
    put_on_record(redis, record_of(event), user_record(1))
    for number, outcome in ((1, "retry"), (2, "done")):
        attempt = to_json([ATTEMPT, event.id, 1_700_000_000_000, "crm.contact", number, outcome, 12.5, ""])
        put_on_record(redis, Record(attempt, digest_of_event(event.id)))

    story = read_story(redis, event.id)

    assert story.call
    assert story.call.id == event.id
    assert [(each.number, each.outcome) for each in story.attempts] == [(1, "retry"), (2, "done")]
    assert read_story(redis, "0" * 32).call is None


def test_the_oldest_records_make_room(redis: Redis) -> None:
    """They take no more than the setting says, as Redis counts it; and what stays is whole and the newest."""
    records = [user_record(number) for number in range(6000)]
    for batch in batches(iter(records), 100):
        put_on_record(redis, *batch, settings=SMALL)

    counted = sum(int(count) for name, count in redis.hgetall(CALLS_KEY).items() if name != b"open")
    calls = list(all_calls(redis))

    assert 700_000 < bytes_used(redis) <= 1_000_000
    assert 0.8 < bytes_used(redis) / counted < 1.2
    assert 2000 < len(calls) < 5000
    assert find_calls(redis, Wanted(digest("user", "user99"), limit=1)).calls[0].id == calls[0].id
    assert abs(len(find_calls(redis, Wanted(digest("user", "user42"), limit=100)).calls) - len(calls) / 100) <= 1


def test_records_are_found_after_the_clock_was_set_back(redis: Redis) -> None:
    """A stream then counts entries within its latest millisecond, and the index has one byte for that number."""
    put_on_record(redis, user_record(1))
    (stream,) = redis.scan_iter(f"{CALLS_KEY}:*", _type="stream")
    redis.xadd(stream, {"0": "[]"}, id=f"{round(time.time() * 1000) + 3_600_000}-0")
    for number in range(300):
        put_on_record(redis, user_record(number, f"user-{number}"))

    for number in (0, 199, 200, 299):
        of_user = digest("user", f"user-{number}")
        assert [call.user for call in find_calls(redis, Wanted(of_user)).calls] == [of_user.hex()]
    assert len(list(all_calls(redis))) == 301


def test_records_expire_as_a_whole(redis: Redis) -> None:
    """Every key of a segment at the same moment, that many hours after the segment began."""
    put_on_record(redis, user_record(1), settings=Settings(record_hours=5))
    put_on_record(redis, user_record(2), settings=Settings(record_hours=5))

    keys = list(redis.scan_iter(f"{CALLS_KEY}:*"))
    (expire,) = {redis.pexpiretime(key) for key in keys}
    (segment,) = (int(name) for name in redis.hkeys(CALLS_KEY) if name != b"open")

    assert len(keys) > 3
    assert expire == segment + 5 * 3_600_000
    assert abs(segment / 1000 - time.time()) < 60


def test_a_segment_that_has_expired_is_no_longer_listed(redis: Redis) -> None:
    """When the next one begins; until then it is empty for whoever reads."""
    put_on_record(redis, user_record(1))
    (old,) = (int(name) for name in redis.hkeys(CALLS_KEY) if name != b"open")
    long_ago = old - 80 * 3_600_000
    redis.delete(*redis.scan_iter(f"{CALLS_KEY}:*"))
    redis.delete(CALLS_KEY)
    redis.hset(CALLS_KEY, mapping={"open": long_ago, str(long_ago): 500})

    empty = list(all_calls(redis))
    put_on_record(redis, user_record(2))

    assert empty == []
    assert redis.hexists(CALLS_KEY, str(long_ago)) is False
    assert len(list(all_calls(redis))) == 1


def test_new_records_are_followed_into_the_next_segment(redis: Redis) -> None:
    """From the place of the last one on, the oldest first."""
    put_on_record(redis, user_record(1), settings=SMALL)
    place = newest(redis)
    later = [user_record(number) for number in range(700)]
    for batch in batches(iter(later), 100):
        put_on_record(redis, *batch, settings=SMALL)

    calls, end = after(redis, place)

    assert [digest_of_event(call.id) for call in calls] == [record.digests[-8:] for record in later]
    assert after(redis, end) == ([], end)


@pytest.mark.parametrize("written", [{"0": "not JSON"}, {"0": "{}"}, {"0": '["c"]'}, {"other": "1"}])
def test_what_somebody_else_has_written_is_passed_over(redis: Redis, written: dict[Any, Any]) -> None:
    """A reader goes on."""
    put_on_record(redis, user_record(1))
    (stream,) = (key for key in redis.scan_iter(f"{CALLS_KEY}:*", _type="stream"))
    redis.xadd(stream, written)

    assert len(list(all_calls(redis))) == 1


def test_a_delivery_that_comes_again_is_on_record(start_api: ApiFactory, redis: Redis) -> None:
    """Under the first one's event."""
    desk = start_api()
    body = packet(OrderID="1002")
    kept = {desk.post(body, "order", RequestID="r-1").headers["x-deskbell-event"] for _ in range(3)}

    (event_id,) = kept
    until(lambda: len(read_story(redis, event_id).repeated) == 2)
    assert len(list(all_calls(redis))) == 1
