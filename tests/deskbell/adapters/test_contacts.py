"""The record of a contact: whose turn it is to write it, and which event it holds."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deskbell.adapters import contacts
from deskbell.adapters.contacts import Write, contact_key
from shared.errors import Discard, OutOfTurnError
from shared.wire.events import new_event_id
from tests.logged import capture_logs

KEY = contact_key("http://crm.example", "user517")
NOW = time.time()
OLD, MIDDLE, NEW = (new_event_id(NOW - age) for age in (3, 2, 1))


@pytest.fixture
def write(redis: Redis) -> Callable[[str], Write]:
    """A write of the contact for an event."""
    return lambda event_id: Write(redis, KEY, event_id)


@pytest.fixture
def nowhere() -> Iterator[Redis]:
    """A Redis that is away."""
    with Redis(port=1, retry=Retry(NoBackoff(), 0)) as connection:
        yield connection


@pytest.fixture(autouse=True)
def _briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits in vain need not wait long."""
    monkeypatch.setattr(contacts, "TRY_SECONDS", 0.001)


def end_lease(redis: Redis) -> None:
    """Let the lease of a write without an answer expire."""
    redis.hset(KEY, "until", 0)


def test_a_newer_event_is_written_over_an_older_one(write: Callable[[str], Write]) -> None:
    """And the same event again: its worker may have died before it noted the end."""
    for event_id in (OLD, MIDDLE, MIDDLE, NEW):
        one = write(event_id)
        assert one.begin()
        one.end()


def test_an_older_event_is_not_written_over_a_newer_one(write: Callable[[str], Write]) -> None:
    """A retry or a replay: what it would write has been overwritten by right."""
    newer = write(NEW)
    assert newer.begin()
    newer.end()

    assert not write(OLD).begin()
    assert write(NEW).begin()


def test_of_one_contact_one_is_written_at_a_time(write: Callable[[str], Write]) -> None:
    """Two writes under way could reach the CRM in either order."""
    first = write(MIDDLE)
    assert first.begin()

    for other in (OLD, MIDDLE, NEW):
        with pytest.raises(OutOfTurnError, match="another job writes this contact"):
            write(other).begin()

    first.end()
    assert not write(OLD).begin()
    assert write(NEW).begin()


def test_a_write_begins_as_soon_as_the_one_before_it_has_ended(
    write: Callable[[str], Write], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the time for which it waits."""
    monkeypatch.setattr(contacts, "TRIES", 10_000)
    first, second = write(OLD), write(NEW)
    assert first.begin()

    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(second.begin)
        first.end()
        assert begun.result()


def test_contacts_do_not_wait_for_one_another(redis: Redis, write: Callable[[str], Write]) -> None:
    """Nor does a contact of another CRM, which holds nothing of this one's."""
    assert write(NEW).begin()

    assert Write(redis, contact_key("http://crm.example", "user518"), OLD).begin()
    assert Write(redis, contact_key("http://other.example", "user517"), OLD).begin()


def test_what_is_older_than_the_last_but_one_need_not_wait(write: Callable[[str], Write]) -> None:
    """Whatever becomes of the write under way."""
    first, second = write(MIDDLE), write(NEW)
    assert first.begin()
    first.end()
    assert second.begin()

    assert not write(OLD).begin()


def test_after_a_refusal_an_older_event_is_written(write: Callable[[str], Write]) -> None:
    """The CRM does not hold the newer one: the contact would stay as it was before both."""
    first, refused, older = write(OLD), write(NEW), write(MIDDLE)
    assert first.begin()
    first.end()
    assert refused.begin()
    refused.withdraw()

    assert older.begin()
    older.end()
    assert not write(OLD).begin()


def test_a_refusal_of_the_first_event_leaves_nothing(redis: Redis, write: Callable[[str], Write]) -> None:
    """There is no contact yet."""
    refused = write(NEW)
    assert refused.begin()
    refused.withdraw()

    assert not redis.keys("deskbell:contact:*")


def test_after_a_write_without_an_end_the_lock_stays_as_long_as_its_lease(
    redis: Redis, write: Callable[[str], Write]
) -> None:
    """Its worker died, or the CRM did not answer: it may be written yet, and so may nothing older, ever."""
    assert write(MIDDLE).begin()

    with pytest.raises(OutOfTurnError):
        write(NEW).begin()
    end_lease(redis)

    assert not write(OLD).begin()
    assert write(NEW).begin()


def test_what_may_have_been_written_once_is_not_taken_back_by_a_later_refusal(
    redis: Redis, write: Callable[[str], Write]
) -> None:
    """The first attempt was not answered, the second refused: the CRM may hold the first."""
    assert write(NEW).begin()
    end_lease(redis)
    again = write(NEW)
    assert again.begin()
    again.withdraw()

    assert not write(MIDDLE).begin()


def test_a_write_that_another_has_overtaken_frees_nothing_and_is_told(
    redis: Redis, write: Callable[[str], Write]
) -> None:
    """A process that stood still beyond its lease: the CRM may hold the older of two."""
    frozen, other = write(OLD), write(NEW)
    assert frozen.begin()
    end_lease(redis)
    assert other.begin()

    with capture_logs() as logs:
        frozen.end()

    assert [(line["event"], line["log_level"], line["event_id"]) for line in logs] == [
        ("contact_overtaken", "error", OLD)
    ]
    with pytest.raises(OutOfTurnError):
        write(NEW).begin()


def test_an_event_of_which_nothing_can_be_known_any_more_is_not_written(
    redis: Redis, write: Callable[[str], Write]
) -> None:
    """A record outlives every event that it must keep away; without one, an event older than that is not judged."""
    ancient, later = (new_event_id(NOW - contacts.KEPT_SECONDS + seconds - 3600) for seconds in (0, 7200))
    with pytest.raises(Discard, match="older than 90 days"):
        write(ancient).begin()

    assert write(later).begin()
    assert redis.ttl(KEY) > contacts.KEPT_SECONDS


def test_a_redis_that_is_away_takes_no_attempt(nowhere: Redis) -> None:
    """It is not the job's fault, nor the CRM's."""
    with pytest.raises(OutOfTurnError, match="ConnectionError"):
        Write(nowhere, KEY, NEW).begin()


def test_an_end_that_cannot_be_noted_is_no_failure(redis: Redis, nowhere: Redis) -> None:
    """The contact is written; the lock's lease ends by itself."""
    one = Write(redis, KEY, NEW)
    assert one.begin()
    redis.connection_pool = nowhere.connection_pool

    one.end()
    one.withdraw()


def test_a_key_tells_nothing_of_the_user() -> None:
    """Also of one whose id holds half a surrogate pair."""
    assert "user517" not in KEY
    assert contact_key("http://crm.example", "\ud83d").startswith("deskbell:contact:")
