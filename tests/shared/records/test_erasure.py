"""Records of a user, taken out: under load in `tests/deskbell/personal_data/test_forget.py`, here if it fails."""

from typing import Any

import pytest
from redis import Redis

from deskbell.testing import api_call
from shared.records.erasure import count, erase
from shared.records.segments import CALLS_KEY
from tests.records import put_on_record, record_of


def test_records_that_another_kept_from_being_taken_out_are_still_found(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has lost the lock takes nothing out of the index either: what is on record can be erased again."""
    event = api_call("order", SystemClientUserID="user517")
    put_on_record(redis, record_of(event))
    read = redis.xrange

    def losing_the_lock(*given: Any, **named: Any) -> Any:
        redis.set(f"{CALLS_KEY}:erasing", "another")
        return read(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(redis, "xrange", losing_the_lock)
        erase(redis, {event.id})
    kept = count(redis, {event.id})
    redis.delete(f"{CALLS_KEY}:erasing")

    assert (kept, erase(redis, {event.id}), count(redis, {event.id})) == (1, 1, 0)
    assert not list(redis.scan_iter(f"{CALLS_KEY}:*:*", _type="stream"))
