"""`salesforce.contact` against a stand-in of Salesforce's REST API, over real HTTP."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from redis import Redis

from deskbell import ApiCall, Jobs, Settings
from deskbell.adapters.once import close_all
from deskbell.jobs.salesforce import Contact, contact_jobs
from deskbell.testing import Clock, MemoryQueue, Performed, perform_job
from shared.errors import DeclarationError
from tests.conftest import SettingsFactory, WorkplaceFactory
from tests.deskbell.jobs.salesforce_server import CLIENT, CONTACT_ID, SECRET, TASK_ID, Salesforce, locked
from tests.deskbell.jobs.stand_in import Reply, call, half, serving, texts_on
from tests.logged import capture_logs
from tests.workers.running import traceback_of


def contact_of(event: ApiCall) -> Contact | None:
    """A contact with a description, and a task; users whose id begins with `guest` are no contacts."""
    if event.user_id.startswith("guest"):
        return None
    order = str(event.variables.get("OrderID"))
    return Contact(
        external_id=event.user_id,
        fields={"Description": order},
        fields_of_new={"LastName": "Desk user"},
        task={"Subject": f"asked about {order}", "Status": "Completed"},
    )


JOBS = contact_jobs(contact_of, id_field=CONTACT_ID, task_id_field=TASK_ID)


@pytest.fixture
def service(redis: Redis) -> Iterator[Salesforce]:
    """Salesforce; Redis is empty."""
    assert redis.ping()
    with serving(Salesforce()) as service:
        yield service
    close_all()


@pytest.fixture
def settings(service: Salesforce, make_settings: SettingsFactory) -> Settings:
    """Settings with Salesforce."""
    return make_settings(
        salesforce_url=service.url, salesforce_client_id=CLIENT, salesforce_client_secret=SecretStr(SECRET)
    )


Perform = Callable[..., Performed]


@pytest.fixture
def perform(settings: Settings) -> Perform:
    """Make one attempt at the job, for a call of a user about an order."""

    def one(event: ApiCall | None = None, *, jobs: Jobs = JOBS, **more: Any) -> Performed:
        return perform_job(jobs, "salesforce.contact", event or call(), settings=settings.model_copy(update=more))

    return one


def test_a_contact_is_created_once_and_updated_afterwards(service: Salesforce, perform: Perform) -> None:
    """Its name, which Salesforce wants of a new one, never overwrites the name that somebody has entered since."""
    assert perform(call("1002")).outcome == "done"
    service.records["Contact"]["user517"][0]["LastName"] = "Zhang"
    assert perform(call("1003")).outcome == "done"

    (contact,) = service.records["Contact"]["user517"]
    assert (contact["LastName"], contact["Description"]) == ("Zhang", "1003")
    assert service.fetches == 1


def test_a_job_that_runs_twice_puts_one_task_on_the_timeline(service: Salesforce, perform: Perform) -> None:
    """The task has the event's id: another event has another task."""
    event = call("1002")
    for each in (event, event, call("1003")):
        assert perform(each).outcome == "done"

    subjects = [record["Subject"] for records in service.records["Task"].values() for record in records]
    assert sorted(subjects) == ["asked about 1002", "asked about 1003"]
    (contact,) = service.records["Contact"]["user517"]
    assert {record["WhoId"] for records in service.records["Task"].values() for record in records} == {contact["Id"]}


def test_an_older_event_puts_its_task_and_leaves_the_contact(service: Salesforce, perform: Perform) -> None:
    """The timeline has all events, the contact is as of the newest."""
    older, newer = call("older"), call("newer")

    assert perform(newer).outcome == "done"
    assert perform(older).outcome == "done"

    assert [body["Description"] for body in service.written["Contact user517"]] == ["newer"]
    assert set(service.records["Task"]) == {older.id, newer.id}


def test_the_calls_of_a_user_are_written_in_order(service: Salesforce, settings: Settings) -> None:
    """An older one that failed is not overtaken: what it alone says would be lost."""
    queue = MemoryQueue(JOBS, settings=settings)
    queue.put(call("older"))
    queue.put(call("newer"))
    service.faults.append(Reply(400, [{"message": "", "errorCode": "UNABLE_TO_LOCK_ROW"}]))

    with Clock() as clock:
        while queue.enqueued:
            queue.perform()
            clock.advance(600)

    assert [body["Description"] for body in service.written["Contact user517"]] == ["older", "newer"]


def test_an_older_event_waits_for_a_contact_that_a_newer_one_has_yet_to_create(
    service: Salesforce, perform: Perform
) -> None:
    """The newer one's job failed, or its worker died, after it was recorded as the newest: no task is lost."""
    older, newer = call("older"), call("newer")
    service.faults.append(Reply(500))
    assert perform(newer).outcome == "retry"

    waiting = perform(older)
    assert (waiting.outcome, waiting.counts) == ("retry", True)  # it may hold the newer one up, and not for ever
    assert [perform(newer).outcome, perform(older).outcome] == ["done", "done"]

    assert set(service.records["Task"]) == {older.id, newer.id}


def test_a_user_who_is_no_contact_is_nothing_to_do(service: Salesforce, perform: Perform) -> None:
    """The function says None; not even a token is asked for."""
    assert perform(call(user="guest-7")).outcome == "done"

    assert service.requests == []


@pytest.mark.parametrize("user", ["a/b", "../admin", "a b", "张伟", "?x=1", "%2e"])
def test_an_external_id_is_one_segment_of_the_path(service: Salesforce, perform: Perform, user: str) -> None:
    """Whatever stands in it: no user can name another record."""
    assert perform(call(user=user)).outcome == "done"

    assert list(service.records["Contact"]) == [user]


@pytest.mark.parametrize("user", [".", ".."])
def test_an_external_id_of_dots_is_discarded(service: Salesforce, perform: Perform, user: str) -> None:
    """HTTP clients and proxies would resolve it to another path."""
    assert perform(call(user=user)).outcome == "discarded"

    assert service.requests == []


def test_several_contacts_with_the_id_are_for_a_person(service: Salesforce, perform: Perform) -> None:
    """300: nothing was changed, and trying again would not help."""
    service.records["Contact"]["user517"] = [{"Id": "003a"}, {"Id": "003b"}]

    performed = perform()

    assert (performed.outcome, getattr(performed.error, "code", "")) == ("discarded", "300")
    assert str(performed.error) == "several contacts of Salesforce have this external id: merge them, then replay"
    assert service.written == {}


def test_a_token_that_is_refused_is_fetched_anew_once(service: Salesforce, perform: Perform) -> None:
    """401 INVALID_SESSION_ID: the call is sent again within the same attempt."""
    perform()
    service.end_token()

    assert perform(call("1003")).outcome == "done"
    assert service.fetches == 2


def test_a_token_that_ends_while_many_jobs_run_is_fetched_once(service: Salesforce, perform: Perform) -> None:
    """Twenty jobs at once are refused, and share one new token: a new one does not end those in use."""
    perform()
    service.end_token()
    gate = threading.Barrier(20)

    def one(number: int) -> str:
        gate.wait()
        return perform(call(user=f"u{number}")).outcome

    with ThreadPoolExecutor(20) as threads:
        assert set(threads.map(one, range(20))) == {"done"}
    assert service.fetches == 2


def test_two_refusals_pause_the_queue(service: Salesforce, perform: Perform) -> None:
    """Nobody is served then, and no attempt is used up."""
    refused = Reply(401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])
    service.faults.extend([refused, refused])

    performed = perform()

    assert (performed.outcome, performed.counts) == ("retry", False)
    assert str(performed.error) == "Salesforce answered 401 INVALID_SESSION_ID"
    assert service.fetches == 2


def test_the_daily_limit_is_not_tried_again_in_seconds(service: Salesforce, perform: Perform) -> None:
    """It is of 24 rolling hours: the job waits, and no attempt is used up."""
    service.most_calls = 0

    performed = perform()

    assert (performed.outcome, performed.counts) == ("retry", False)
    assert performed.retry_after is not None
    assert performed.retry_after >= 600
    assert "REQUEST_LIMIT_EXCEEDED" in str(getattr(performed.error, "code", ""))


@pytest.mark.parametrize(
    ("fault", "outcome", "counts"),
    [
        (locked(), "retry", False),
        (Reply(403, [{"message": "planted", "errorCode": "API_DISABLED_FOR_ORG"}]), "retry", False),
        (Reply(503, [{"message": "planted", "errorCode": "SERVER_UNAVAILABLE"}]), "retry", False),
        (Reply(410, [{"message": "planted", "errorCode": "GONE"}]), "retry", False),
        (Reply(500, [{"message": "planted", "errorCode": "UNKNOWN_EXCEPTION"}]), "retry", True),
        (Reply(500, "an error page"), "retry", True),
        (half, "retry", True),
        (Reply(400, [{"message": "planted", "errorCode": "INVALID_FIELD", "fields": []}]), "discarded", True),
        (Reply(400, [{"message": "planted", "errorCode": "DUPLICATES_DETECTED"}]), "discarded", True),
        (Reply(400, {"message": "planted"}), "discarded", True),
    ],
)
def test_each_answer_has_its_end(service: Salesforce, perform: Perform, fault: Any, outcome: str, counts: bool) -> None:
    """By the `errorCode` where the table names it, else by the status; a `message` quotes values, and is not shown."""
    service.faults.append(fault)

    performed = perform()

    assert (performed.outcome, performed.counts) == (outcome, counts)
    assert "planted" not in str(performed.error)
    assert "003" not in str(performed.error)


def test_a_lock_that_was_not_got_leaves_the_contact_to_others(service: Salesforce, perform: Perform) -> None:
    """Nothing was written, so an older event may go first."""
    older, newer = call("older"), call("newer")
    service.faults.append(locked())
    assert perform(newer).outcome == "retry"

    assert perform(older).outcome == "done"
    assert perform(newer).outcome == "done"

    assert [body["Description"] for body in service.written["Contact user517"]] == ["older", "newer"]


def test_what_a_new_contact_lacks_is_said(service: Salesforce, perform: Perform) -> None:
    """Salesforce's `errorCode` is in the cause."""
    nameless = contact_jobs(lambda event: Contact(external_id=event.user_id, fields={}), id_field=CONTACT_ID)

    performed = perform(jobs=nameless)

    assert (performed.outcome, getattr(performed.error, "code", "")) == ("discarded", "REQUIRED_FIELD_MISSING")
    assert service.written == {}


def test_a_task_without_an_external_id_is_refused(service: Salesforce, perform: Perform) -> None:
    """It would be there twice after a job that ran twice."""
    performed = perform(jobs=contact_jobs(contact_of, id_field=CONTACT_ID))

    assert performed.outcome == "discarded"
    assert "task_id_field" in str(performed.error)
    assert service.requests == []


@pytest.mark.parametrize(
    ("more", "outcome"), [({"salesforce_version": "30.0"}, "retry"), ({"salesforce_version": "99.0"}, "discarded")]
)
def test_the_version_is_a_setting(perform: Perform, more: dict[str, str], outcome: str) -> None:
    """One that is retired pauses the queue; one that is not there yet is for a person."""
    assert perform(**more).outcome == outcome


@pytest.mark.parametrize("version", ["66", "v66.0", "66.1", "", "6"])
def test_a_version_that_is_none_is_refused_at_start(make_settings: SettingsFactory, version: str) -> None:
    """It is a number and `.0`."""
    with pytest.raises(ValidationError, match="pattern"):
        make_settings(salesforce_version=version)


@pytest.mark.parametrize("changed", [{"salesforce_client_id": "other"}, {"salesforce_client_secret": SecretStr("x")}])
def test_an_app_that_is_not_taken_pauses_the_queue(perform: Perform, changed: dict[str, Any]) -> None:
    """The token endpoint answers 400 with an `error`: every job would get the same."""
    performed = perform(**changed)

    assert (performed.outcome, performed.counts) == ("retry", False)
    assert str(performed.error).startswith("Salesforce answered 400 invalid_client")


@pytest.mark.parametrize("missing", ["salesforce_url", "salesforce_client_id", "salesforce_client_secret"])
def test_a_missing_setting_is_named(perform: Perform, missing: str) -> None:
    """The job says which one it needs."""
    empty: Any = SecretStr("") if missing.endswith("secret") else ""

    assert f"needs DESKBELL_{missing.upper()}, which is empty" in str(perform(**{missing: empty}).error)


@pytest.mark.parametrize("field", ["", "Desk User", "x/../Account", "1st"])
def test_a_field_that_cannot_be_one_is_refused_where_it_is_given(field: str) -> None:
    """It becomes part of a path."""
    with pytest.raises(DeclarationError, match="expected the API name of a field"):
        contact_jobs(contact_of, id_field=field)


def test_no_line_and_no_dead_letter_holds_a_token_a_secret_or_a_value(
    service: Salesforce, settings: Settings, open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """Done, refused and failed jobs of a worker; nor does a key on Redis, apart from the job's own data."""
    workplace = open_workplace(JOBS, **{name: getattr(settings, name) for name in settings.model_fields_set})
    events = [workplace.put_jobs(call(f"planted-{number}", user=f"planted{number}")) for number in range(4)]
    refused = Reply(400, [{"message": "planted", "errorCode": "INVALID_FIELD", "fields": ["planted"]}])
    service.faults.extend([refused, half, Reply(500)])

    with capture_logs() as lines:
        workplace.work("salesforce", concurrency=1)

    dead = [job for event in events if (job := workplace.job(event, "salesforce.contact")).is_failed]
    assert len(dead) == 1
    hidden = ["planted", SECRET, "salesforce-token", service.url]
    for text in [json.dumps(lines, default=str), *(traceback_of(job) for job in dead)]:
        assert not [word for word in hidden if word in text]
    kept = texts_on(redis)
    assert kept
    assert not [word for word in hidden if word.encode() in b" ".join(kept)]
