import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from redis import Redis

from deskbell import ApiCall, Discard, Retry, Settings, Unavailable
from deskbell.adapters.once import close_all
from deskbell.http import client
from deskbell.jobs import crm
from deskbell.testing import Clock, MemoryQueue, api_call
from shared.declarations.policies import Breaker, Concurrency
from shared.errors import ConfigError
from shared.loading import load_jobs
from shared.redis.breakers import paused_queues
from shared.wire.commands import received
from tests.conftest import PACKETS, SettingsFactory, WorkplaceFactory
from tests.waiting import DEADLINE_SECONDS
from tests.workers.running import traceback_of

TOKEN = "crm-token"


@dataclass
class Crm:
    """A CRM that gives the answers set by the test, and records the requests.

    Attributes:
        status, headers: of its answers.
        hang: when set, it answers no request before it is let go.
        requests: method, path, headers and body of each request.
        connections: the addresses that they came from.
    """

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    hang: threading.Event | None = None
    requests: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    url: str = ""


@contextmanager
def serving(crm_service: Crm) -> Iterator[None]:
    """Serve it over HTTP on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            crm_service.connections.add(self.client_address)
            crm_service.requests.append((self.command, self.path, dict(self.headers), json.loads(body)))
            if crm_service.hang:
                crm_service.hang.wait(DEADLINE_SECONDS)
            self.send_response_only(crm_service.status)
            for name, value in ({"Content-Length": "0"} | crm_service.headers).items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 256  # 64 jobs may come at once
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        crm_service.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield
        finally:
            if crm_service.hang:
                crm_service.hang.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def service() -> Iterator[Crm]:
    """A CRM over real HTTP."""
    service = Crm()
    with serving(service):
        yield service


@pytest.fixture(autouse=True)
def _clients(redis: Redis) -> Iterator[None]:
    """An empty Redis, and no client of another test."""
    assert redis.ping()
    yield
    close_all()


@pytest.fixture
def settings(service: Crm, make_settings: SettingsFactory) -> Settings:
    """Settings with the CRM."""
    return make_settings(crm_url=service.url, crm_token=TOKEN)


def test_the_documented_packet_upserts_the_contact_of_its_user(service: Crm, settings: Settings) -> None:
    """PUT with the bearer token, the event's id as idempotency key, and the variables that are not Desk's own."""
    packet = json.loads(PACKETS.joinpath("api_call.json").read_bytes())
    event = received(packet, app_id="1400000001", node="documented")
    assert isinstance(event, ApiCall)

    crm.upsert_contact(event, settings)

    ((method, path, headers, body),) = service.requests
    assert (method, path) == ("PUT", "/contacts/user517")
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Idempotency-Key"] == event.id
    assert headers["Content-Type"] == "application/json"
    assert body == {
        "id": "user517",
        "session": "207cac25-f49e-4ada-9c9f-301cea31dcf2",
        "channel": "",
        "last_node": "documented",
        "last_seen": event.received_at.isoformat(),
        "variables": {"staticKey": "staticValue", "testKey3": ""},
    }


@pytest.mark.parametrize(
    ("user_id", "path"),
    [
        ("a/b", "/contacts/a%2Fb"),
        ("../admin", "/contacts/..%2Fadmin"),
        ("%2e%2e", "/contacts/%252e%252e"),
        ("a b\r\nX: y", "/contacts/a%20b%0D%0AX%3A%20y"),
        ("张伟", "/contacts/%E5%BC%A0%E4%BC%9F"),
        ("//evil.example", "/contacts/%2F%2Fevil.example"),
        ("...", "/contacts/..."),
    ],
)
def test_a_user_id_is_one_segment_of_the_path(user_id: str, path: str, service: Crm, settings: Settings) -> None:
    """Whatever stands in it: no user can name another path of the CRM."""
    crm.upsert_contact(api_call(SystemClientUserID=user_id), settings)

    assert [(request[1], request[3]["id"]) for request in service.requests] == [(path, user_id)]


@pytest.mark.parametrize("user_id", [".", ".."])
def test_a_user_id_that_no_path_can_hold_is_discarded(user_id: str, service: Crm, settings: Settings) -> None:
    """`/contacts/..` is `/`, for clients and proxies alike, also when it is quoted."""
    with pytest.raises(Discard, match="dots"):
        crm.upsert_contact(api_call(SystemClientUserID=user_id), settings)

    assert service.requests == []


def test_a_user_id_that_no_url_can_hold_is_discarded(service: Crm, settings: Settings, redis: Redis) -> None:
    """It would be too long each time; and nothing was written, so the contact's record is as before."""
    with pytest.raises(Discard, match="no URL of the CRM can hold"):
        crm.upsert_contact(api_call(SystemClientUserID="u" * 200_000), settings)

    assert service.requests == []
    assert redis.keys("deskbell:contact:*") == []


@pytest.mark.parametrize("variables", [{}, {"SystemClientUserID": ""}])
def test_without_a_user_nothing_is_sent(variables: dict[str, Any], service: Crm, settings: Settings) -> None:
    """There is no contact to write, and that is no failure."""
    crm.upsert_contact(api_call(**variables), settings)

    assert service.requests == []


def in_seconds(seconds: int) -> str:
    """An HTTP date."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        (lambda: {"Retry-After": "7"}, 7, 7),
        (lambda: {"Retry-After": "0"}, 1, 1),
        (lambda: {"Retry-After": "86400"}, 3600, 3600),
        (lambda: {"Retry-After": "9" * 400}, 3600, 3600),
        (lambda: {"Retry-After": in_seconds(120), "Date": in_seconds(0)}, 119, 121),
        (lambda: {"Retry-After": in_seconds(7320), "Date": in_seconds(7200)}, 119, 121),
        (lambda: {"Retry-After": in_seconds(120)}, 120 - DEADLINE_SECONDS, 121),
        (lambda: {"Retry-After": in_seconds(-120), "Date": in_seconds(0)}, 1, 1),
        (lambda: {"Retry-After": in_seconds(7200), "Date": in_seconds(0)}, 3600, 3600),
        (lambda: {"Retry-After": in_seconds(120), "Date": "today"}, 30, 30),
        (dict, 30, 30),
        (lambda: {"Retry-After": ""}, 30, 30),
        (lambda: {"Retry-After": "soon"}, 30, 30),
        (lambda: {"Retry-After": "-5"}, 30, 30),
        (lambda: {"Retry-After": f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT"}, 30, 30),
    ],
)
def test_a_crm_that_is_asked_too_often_says_when(
    headers: Callable[[], dict[str, str]], least: float, most: float, service: Crm, settings: Settings
) -> None:
    """429 is a wait as its `Retry-After` says, in seconds or as a date (RFC 9110 §10.2.3), from a second to an hour."""
    service.status, service.headers = 429, headers()

    with pytest.raises(Retry) as raised:
        crm.upsert_contact(api_call(SystemClientUserID="user517"), settings)

    assert least <= raised.value.after <= most
    assert (raised.value.counts, raised.value.code) == (False, "429")


def test_a_date_is_counted_from_now_however_old_the_event_is(service: Crm, settings: Settings) -> None:
    """An event that waited an hour in the queue does not make the CRM's pause an hour longer."""
    service.status, service.headers = 429, {"Retry-After": in_seconds(60)}
    packet = {"CallbackCommand": "Chatbot.InterfaceInvocation", "Body": {"SystemClientUserID": "user517"}}
    event = received(packet, app_id="1400000001")
    assert isinstance(event, ApiCall)
    old = ApiCall.from_wire(event.to_wire() | {"received_at": (time.time() - 3000) * 1000})

    with pytest.raises(Retry) as raised:
        crm.upsert_contact(old, settings)

    assert raised.value.after <= 61


@pytest.mark.parametrize(
    ("status", "decision"),
    [*((status, Unavailable) for status in (401, 403, 407, 503)), *((status, Discard) for status in (400, 404, 422))],
)
def test_a_crm_that_serves_nobody_is_waited_for_and_what_it_refuses_is_discarded(
    status: int, decision: type[Unavailable | Discard], service: Crm, settings: Settings
) -> None:
    """Every job would be answered alike, or this one the same again; the status is told."""
    service.status = status

    with pytest.raises(decision, match=f"the CRM answered {status}") as raised:
        crm.upsert_contact(api_call(SystemClientUserID="user517"), settings)

    assert raised.value.code == str(status)


@pytest.mark.parametrize("status", [302, 408, 425, 500, 502])
def test_a_crm_that_fails_is_asked_again(status: int, service: Crm, settings: Settings) -> None:
    """Any other exception is tried again with backoff; its text names the status, not the user."""
    service.status = status

    with pytest.raises(httpx.HTTPError, match=f"^the CRM answered {status}$"):
        crm.upsert_contact(api_call(SystemClientUserID="user517"), settings)


def test_a_crm_that_does_not_answer_in_time_is_asked_again(
    service: Crm, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A time-out is no answer; the contact may have been written, which is what the idempotency key is for."""
    monkeypatch.setattr(crm, "client", partial(client, seconds=0.1))
    service.hang = threading.Event()

    with pytest.raises(httpx.TimeoutException):
        crm.upsert_contact(api_call(SystemClientUserID="user517"), settings)


def test_a_crm_that_is_away_is_asked_again(service: Crm, make_settings: SettingsFactory) -> None:
    """No connection is no answer either."""
    with serving(gone := Crm()):
        pass

    with pytest.raises(httpx.ConnectError):
        crm.upsert_contact(api_call(SystemClientUserID="user517"), make_settings(crm_url=gone.url, crm_token=TOKEN))

    assert service.requests == []


def test_a_missing_url_says_which_setting_is_missing(make_settings: SettingsFactory) -> None:
    """What the person on call reads with the dead letter."""
    with pytest.raises(ConfigError, match="needs DESKBELL_CRM_URL, which is empty"):
        crm.upsert_contact(api_call(SystemClientUserID="user517"), make_settings())


def test_one_connection_serves_the_jobs_of_a_process(service: Crm, settings: Settings) -> None:
    """A new client for each job would be a new connection for each job."""
    for _ in range(2):
        crm.upsert_contact(api_call(SystemClientUserID="user517"), settings)

    assert (len(service.requests), len(service.connections)) == (2, 1)


def test_a_worker_upserts_retries_and_gives_up(service: Crm, open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """The job type in a worker: 502 is scheduled, then 204 is done; 404 is a dead letter that names no user."""
    workplace = open_workplace(crm.jobs, crm_url=service.url, crm_token=TOKEN)
    first, second = (api_call(SystemClientUserID=f"planted-4711-{number}") for number in range(2))

    service.status = 502
    workplace.put_jobs(first)
    workplace.work("crm")
    scheduled = workplace.queue("crm").scheduled_job_registry.get_job_ids()
    service.status = 204
    workplace.make_due("crm")
    workplace.work("crm")
    service.status = 404
    workplace.put_jobs(second)
    workplace.work("crm")

    assert scheduled == [f"{first.id}-crm-contact"]
    assert workplace.job(first, "crm.contact").is_finished
    assert workplace.job(second, "crm.contact").is_failed
    dead_letter = traceback_of(workplace.job(second, "crm.contact"))
    assert "the CRM answered 404" in dead_letter
    assert "planted-4711" not in dead_letter
    assert redis.llen("rq:queue:crm") == 0


def test_an_expired_token_pauses_the_queue_and_makes_no_dead_letter(
    service: Crm, settings: Settings, deskbell_clock: Clock
) -> None:
    """One job asks; the others wait, no attempt used up, and `doctor` says why. With the new token all are done."""
    queue = MemoryQueue(crm.jobs, settings=settings)
    for number in range(10):
        queue.put(api_call(SystemClientUserID=f"user-{number}"))
    service.status = 401

    (asked,) = queue.perform()

    (pause,) = paused_queues(queue.redis)
    assert (len(service.requests), asked.outcome, asked.counts) == (1, "retry", False)
    assert (pause.queue, pause.job_type) == ("crm", "crm.contact")
    assert pause.cause.startswith("Unavailable 401 at jobs/crm.py:")

    service.status = 204
    deskbell_clock.advance(30)

    assert [(each.outcome, each.attempt) for each in queue.perform()] == [("done", 1)] * 10
    assert paused_queues(queue.redis) == []


def test_a_crm_that_says_when_for_long_makes_no_dead_letter(
    service: Crm, settings: Settings, deskbell_clock: Clock
) -> None:
    """429 more often than the job has attempts: it waits as Retry-After says."""
    queue = MemoryQueue(crm.jobs, settings=settings)
    queue.put(api_call(SystemClientUserID="user517"))
    service.status, service.headers = 429, {"Retry-After": "20"}

    waits = []
    for _ in range(10):
        waits += [(each.retry_after, each.counts) for each in queue.perform()]
        deskbell_clock.advance(20)
    service.status = 204

    assert waits == [(20, False)] * 10
    assert [(each.outcome, each.attempt) for each in queue.perform()] == [("done", 1)]


def test_the_breaker_and_the_limit_of_a_type_that_ships_are_settings(make_settings: SettingsFactory) -> None:
    """Without code: the modules that ship stay as they are."""
    settings = make_settings(
        jobs="deskbell.jobs.crm:jobs", limits={"crm.contact": 4}, breakers={"crm.contact": {"failures": 3, "pause": 5}}
    )

    (job_type,) = load_jobs(settings).types

    assert (job_type.limit, job_type.breaker) == (Concurrency(4), Breaker(failures=3, pause=5))
    (declared,) = crm.jobs.types
    assert (declared.limit, declared.breaker) == (None, Breaker(failures=10, pause=30))
    assert load_jobs(make_settings(jobs=settings.jobs, breakers={"crm.contact": None})).types[0].breaker is None


@pytest.mark.parametrize(
    ("setting", "name", "advice"),
    [
        ("limits", "crm.contacts", "did you mean crm.contact?"),
        ("breakers", "analytics.event", "there are crm.contact"),
    ],
)
def test_a_setting_for_a_job_type_that_is_not_there_is_refused(
    make_settings: SettingsFactory, setting: str, name: str, advice: str
) -> None:
    """It would hold nothing back."""
    settings = make_settings(jobs="deskbell.jobs.crm:jobs", **{setting: {name: None}})

    with pytest.raises(ConfigError) as raised:
        load_jobs(settings)

    assert str(raised.value) == f"DESKBELL_{setting.upper()}: there is no job type {name!r}; {advice}"
