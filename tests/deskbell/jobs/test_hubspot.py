"""`hubspot.contact` against a stand-in for HubSpot, over real HTTP."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from deskbell import ApiCall, Discard, Retry, Settings, Unavailable
from deskbell.adapters.once import close_all
from deskbell.jobs import hubspot
from deskbell.testing import Clock, MemoryQueue, api_call
from shared.errors import ConfigError
from shared.redis.breakers import paused_queues
from shared.redis.queues import EVENTS
from shared.wire.events import new_event_id
from tests.conftest import SettingsFactory, WorkplaceFactory
from tests.deskbell.jobs.hubspot_server import MULTI_STATUS, NOTE_CHARACTERS, NOTES, TOKEN, UPSERT, HubSpot, failed
from tests.deskbell.jobs.stand_in import Fault, half, lost, serving
from tests.waiting import until
from tests.workers.running import logged, running_worker, unfinished

PLANTED = "planted-4711"


@pytest.fixture
def account() -> Iterator[HubSpot]:
    """An empty account."""
    with serving(HubSpot()) as served:
        yield served


@pytest.fixture
def settings(account: HubSpot, make_settings: SettingsFactory, redis: Redis) -> Iterator[Settings]:
    """Settings with the account, and an empty Redis."""
    assert redis.ping()
    yield make_settings(hubspot_url=account.url, hubspot_token=TOKEN, hubspot_properties={"OrderID": "last_order"})
    close_all()


def call(number: int = 0, *, age: float = 0, **variables: str) -> ApiCall:
    """A call of a user, so many seconds ago."""
    event = api_call("order_status", SystemClientUserID=f"user{number}", **variables)
    at = time.time() - age
    return ApiCall.from_wire(event.to_wire() | {"id": new_event_id(at), "received_at": at * 1000})


def test_a_call_upserts_its_contact_and_leaves_a_note(account: HubSpot, settings: Settings) -> None:
    """The contact is known by Desk's user id; the note says the node and the variables, as HTML, at the call's time."""
    event = call(517, OrderID="1002", Said="<b> & co", SystemSessionID="s")

    hubspot.record_call(event, settings)
    hubspot.record_call(call(517, OrderID="1003"), settings)
    hubspot.record_call(api_call("order_status"), settings)

    assert account.contacts == {"501": {"desk_user_id": "user517", "last_order": "1003"}}
    properties, contact_id = account.notes["9001"]
    assert contact_id == "501"
    assert properties["deskbell_event_id"] == event.id
    assert properties["hs_timestamp"] == str(round(event.received_at.timestamp() * 1000))
    assert properties["hs_note_body"] == "Desk: order_status<br>OrderID: 1002<br>Said: &lt;b&gt; &amp; co"
    assert [request.path for request in account.requests] == [UPSERT, NOTES] * 2


def test_an_older_call_changes_no_contact_and_is_noted(account: HubSpot, settings: Settings) -> None:
    """The timeline has all calls; the contact is as of the newest."""
    hubspot.record_call(call(OrderID="new"), settings)
    hubspot.record_call(call(age=60, OrderID="old"), settings)

    assert [contact["last_order"] for contact in account.contacts.values()] == ["new"]
    assert ["OrderID: old" in properties["hs_note_body"] for properties, _ in account.notes.values()] == [False, True]


@pytest.mark.parametrize(
    "faults",
    [
        *([failed(500)], [None, failed(502)], [failed(408)], [None, failed(504)]),
        *([lost], [None, lost], [half], [None, half], [None, None, None]),
    ],
)
def test_a_job_that_runs_again_writes_no_second_contact_and_no_second_note(
    faults: list[Fault],
    account: HubSpot,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever answer was lost or cut, and whether or not HubSpot had done what it was asked for."""
    monkeypatch.setattr("deskbell.adapters.contacts.LEASE_SECONDS", 0)  # an answer that is lost leaves the lock
    queue = MemoryQueue(hubspot.jobs, settings=settings)
    queue.put(event := call(OrderID="1002"))
    account.faults.extend(faults)

    with Clock() as clock:
        while queue.enqueued:
            queue.perform()
            clock.advance(600)
    hubspot.record_call(event, settings)

    assert queue.ended[-1].outcome == "done"
    assert len(queue.ended) == (2 if any(faults) else 1)
    assert (len(account.contacts), len(account.notes)) == (1, 1)


def test_a_quota_of_seconds_is_waited_for_in_seconds(account: HubSpot, settings: Settings) -> None:
    """No attempt is used up, and the rest of the queue goes on; a lock lasts two seconds."""
    account.ten_seconds = 0
    with pytest.raises(Retry) as rolling:
        hubspot.record_call(call(), settings)
    account.ten_seconds = None
    account.faults.append(failed(423))
    with pytest.raises(Retry) as locked:
        hubspot.record_call(call(), settings)

    assert (rolling.value.after, rolling.value.counts, rolling.value.code) == (10, False, "TEN_SECONDLY_ROLLING")
    assert (locked.value.after, locked.value.counts, locked.value.code) == (2, False, "423")


def test_the_quota_of_a_day_costs_one_request_an_hour(
    account: HubSpot, settings: Settings, deskbell_clock: Clock
) -> None:
    """HubSpot wants errors below 5 % of a day's requests: the queue is paused, and nothing is lost until midnight."""
    queue = MemoryQueue(hubspot.jobs, settings=settings)
    account.day = 5
    for number in range(6):
        queue.put(call(number))

    queue.perform()
    (pause,) = paused_queues(queue.redis)
    for _ in range(29):
        deskbell_clock.advance(600)
        queue.perform()
    statuses = list(account.statuses)
    account.day = None
    for _ in range(12):
        deskbell_clock.advance(600)
        queue.perform()

    assert statuses == [200, 201, 200, 201, 200] + [429] * 5
    assert pause.cause.startswith("Unavailable DAILY at jobs/hubspot.py:")
    assert len(account.notes) == len(account.contacts) == 6
    assert all(each.attempt <= 2 for each in queue.ended)


def test_an_account_that_is_moved_pauses_the_queue(account: HubSpot, settings: Settings) -> None:
    """477, for up to a day: an hour at a time."""
    account.faults.append(failed(477))

    with pytest.raises(Unavailable) as raised:
        hubspot.record_call(call(), settings)

    assert (raised.value.code, raised.value.pause) == ("477", 3600)


@pytest.mark.parametrize(
    ("fault", "properties", "code"),
    [(MULTI_STATUS, {}, "VALIDATION_ERROR"), (None, {"OrderID": "no_such_property"}, "VALIDATION_ERROR")],
)
def test_what_hubspot_refuses_is_a_dead_letter_that_names_no_value(
    fault: Fault, properties: dict[str, str], code: str, account: HubSpot, settings: Settings
) -> None:
    """With 400 or, of a batch, with 207. What HubSpot says about it may hold the value."""
    account.faults.append(fault)
    given = settings.model_copy(update={"hubspot_properties": properties})

    with pytest.raises(Discard) as raised:
        hubspot.record_call(call(OrderID=PLANTED), given)

    assert raised.value.code == code
    assert PLANTED not in str(raised.value)
    assert account.notes == {}


def test_a_note_is_as_long_as_hubspot_takes() -> None:
    """Of a character that HTML escapes, as many as fit; never a half of one."""
    long = hubspot.note_of(call(Said="&" * NOTE_CHARACTERS))
    short = hubspot.note_of(call(Said="a" * (NOTE_CHARACTERS - 100)))

    assert NOTE_CHARACTERS - len("&amp;") < len(long) <= NOTE_CHARACTERS
    assert long.endswith("&amp;…")
    assert not short.endswith("…")


def test_a_missing_token_says_which_setting_is_missing(make_settings: SettingsFactory) -> None:
    """What the person on call reads with the dead letter."""
    with pytest.raises(ConfigError, match="needs DESKBELL_HUBSPOT_TOKEN, which is empty"):
        hubspot.record_call(call(), make_settings())


def test_a_rotated_token_and_a_killed_worker_lose_nothing_and_note_nothing_twice(
    account: HubSpot, open_workplace: WorkplaceFactory, redis: Redis, valkey_url: str, tmp_path: Path
) -> None:
    """With the new token all goes on; of a worker that dies between the note and its ack there is one note."""
    workplace = open_workplace(hubspot.jobs)
    source = "from deskbell.jobs.hubspot import jobs"
    breakers = '{"hubspot.contact": {"failures": 10, "pause": 1}}'
    given = {"HUBSPOT_URL": account.url, "ABANDONED_SECONDS": "5", "BREAKERS": breakers}
    events = [call(number) for number in range(3)]
    for event in events:
        workplace.put_event(event)
    workplace.work(EVENTS)

    with running_worker(tmp_path, source, valkey_url, "hubspot", HUBSPOT_TOKEN=f"old-{PLANTED}", **given):
        until(lambda: logged(tmp_path, "queue_paused"))
    assert (account.contacts, workplace.queue("hubspot").failed_job_registry.count) == ({}, 0)
    account.pause.clear()
    account.faults.extend([None, account.hold])
    with ExitStack() as stack:
        killed = stack.enter_context(
            running_worker(tmp_path, source, valkey_url, "hubspot", "--concurrency", "1", HUBSPOT_TOKEN=TOKEN, **given)
        )
        until(lambda: account.paused)
        os.kill(killed.pid, signal.SIGKILL)
        account.pause.set()
        redis.delete("rq:scheduler-lock:hubspot")  # let the minute pass for which a dead worker holds RQ's scheduler
        stack.enter_context(running_worker(tmp_path, source, valkey_url, "hubspot", HUBSPOT_TOKEN=TOKEN, **given))
        until(lambda: not unfinished(redis, "hubspot"), seconds=100)

    noted = [properties["deskbell_event_id"] for properties, _ in account.notes.values()]
    assert sorted(noted) == sorted(event.id for event in events)
    assert len(account.contacts) == 3
    assert workplace.queue("hubspot").failed_job_registry.count == 0
    log = "".join(path.read_text(errors="replace") for path in tmp_path.glob("*log*"))
    assert log
    assert PLANTED not in log
    assert "user0" not in log
