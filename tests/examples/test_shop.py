"""The example shop, which people copy: what it holds, it holds once, and many may come at once."""

import socket
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from deskbell import Settings
from deskbell.testing import Clock, api_call, perform_job, reply
from examples.shop import crm, fresh, jobs, orders, partners
from tests.conftest import SettingsFactory

TOKEN = "crm-token"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


class CountingCrm(ThreadingHTTPServer):
    """A CRM that keeps connections, and counts them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.connections = 0
        self.paths: list[str] = []
        self.status = 204

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count a connection."""
        self.connections += 1
        super().process_request(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """The CRM's answers, as the test sets them."""

    protocol_version = "HTTP/1.1"
    server: CountingCrm

    def do_POST(self) -> None:
        """Take an enquiry."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        self.send_response_only(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def counting() -> Iterator[CountingCrm]:
    """Serve it; the shop's client has no connection before or after."""
    with CountingCrm() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(
    counting: CountingCrm, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Settings with the CRM; the client is the test's own, made as the shop makes it."""
    with httpx.Client(timeout=jobs.client.timeout) as client:
        monkeypatch.setattr(jobs, "client", client)
        yield make_settings(crm_url=f"http://127.0.0.1:{counting.server_port}", crm_token=TOKEN)


def test_the_jobs_of_a_process_share_one_client(counting: CountingCrm, settings: Settings) -> None:
    """A client of its own for each job sets TLS up each time, and connects; threads may share one."""
    for _ in range(3):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(jobs.record_enquiry, api_call(SystemClientUserID="a/b"), settings).result()

    assert counting.paths == ["/contacts/a%2Fb/enquiries"] * 3
    assert counting.connections == 1


def test_an_enquiry_of_nobody_is_no_dead_letter(counting: CountingCrm, settings: Settings) -> None:
    """A flow need not say who calls: no contact has such an enquiry."""
    nobody = api_call("order_status", OrderID="1002")

    assert perform_job(jobs.jobs, jobs.record_enquiry, nobody, settings=settings).outcome == "done"
    assert counting.paths == []


@pytest.mark.parametrize(("status", "attempt", "counts"), [(429, 8, False), (401, 8, False), (500, 7, True)])
def test_what_the_crm_refuses_is_tried_again(
    counting: CountingCrm, settings: Settings, status: int, attempt: int, counts: bool
) -> None:
    """Whether that uses up an attempt depends on whose fault it is."""
    counting.status = status
    call = api_call("order_status", SystemClientUserID="user517")

    performed = perform_job(jobs.jobs, jobs.record_enquiry, call, attempt=attempt, settings=settings)

    assert (performed.outcome, performed.counts) == ("retry", counts)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application over HTTP; its URL."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_the_crm_bears_64_requests_at_once_beside_one_who_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No writer gets "database is locked", though the reader is done after them."""
    path = tmp_path / "crm.db"
    monkeypatch.setenv("CRM_DATABASE", str(path))
    monkeypatch.setenv("DESKBELL_CRM_TOKEN", TOKEN)

    with served(crm.create_app()) as url, httpx.Client(base_url=url, headers=HEADERS, timeout=60) as client:

        def write(number: int) -> list[int]:
            contact = client.put(f"/contacts/{number}", json={"id": str(number)})
            key = {"Idempotency-Key": str(number)}
            enquiry = client.post(f"/contacts/{number}/enquiries", json={"OrderID": "1"}, headers=key)
            return [contact.status_code, enquiry.status_code]

        with closing(sqlite3.connect(path, timeout=0)) as reader:
            reader.execute("begin")
            assert reader.execute("select count(*) from contacts").fetchone() == (0,)
            with ThreadPoolExecutor(64) as pool:
                assert list(pool.map(write, range(64))) == [[204, 204]] * 64
            reader.rollback()
            assert reader.execute("select count(*) from contacts").fetchone() == (64,)
        assert client.get("/contacts/7").json() == {"id": "7", "enquiries": [{"OrderID": "1"}]}


def test_the_orders_are_there_for_all_who_ask_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when nobody has asked before: the database is made by one of them."""
    monkeypatch.setenv("SHOP_DATABASE", str(tmp_path / "new" / "shop.db"))
    together = threading.Barrier(16, timeout=10)

    def ask(_: int) -> orders.Order | None:
        together.wait()
        return orders.find(1002)

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, range(16)))

    assert {order.carrier if order else "" for order in found} == {"YTO Express"}
    assert [order.id for order in orders.of_customer("user517")] == [1002, 1001]


@pytest.mark.usefixtures("deskbell_cache")
def test_an_old_answer_goes_out_with_its_age_and_one_job_refreshes_it(
    deskbell_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask meanwhile; without a city there is nothing to ask for."""
    asked: list[str] = []

    def ask_carrier(city: str) -> int:
        asked.append(city)
        return len(asked)

    monkeypatch.setattr(partners, "ask_carrier", ask_carrier)
    call = api_call("delivery_days", City="Beijing")

    assert reply(fresh.callbacks, call).variables == {"Days": "unknown", "AgeMinutes": ""}
    for _ in range(3):
        perform_job(fresh.jobs, fresh.refresh_delivery_days, api_call("delivery_days", City="Beijing"))
    deskbell_clock.advance(300)
    assert reply(fresh.callbacks, call).variables == {"Days": "1", "AgeMinutes": "5"}
    for _ in range(3):
        perform_job(fresh.jobs, fresh.refresh_delivery_days, api_call("delivery_days", City="Beijing"))

    assert reply(fresh.callbacks, call).variables == {"Days": "2", "AgeMinutes": "0"}
    assert asked == ["Beijing"] * 2
    assert perform_job(fresh.jobs, fresh.refresh_delivery_days, api_call("delivery_days")).outcome == "done"
