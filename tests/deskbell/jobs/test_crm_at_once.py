"""`crm.contact` in worker processes: no contact is overwritten by an older event, whatever fails."""

import itertools
import json
import os
import signal
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from deskbell import ApiCall
from deskbell.jobs import crm
from deskbell.testing import packet
from shared.redis.queues import EVENTS
from shared.wire.commands import received
from shared.wire.events import new_event_id
from tests.conftest import WorkplaceFactory
from tests.forked import Forked
from tests.waiting import until
from tests.workers.running import running_worker, unfinished
from workers.dead_letters.registry import DeadLetters, Selection
from workers.dead_letters.replay import Replays, Throttle

pytestmark = pytest.mark.timeout(300)

CONTACTS = 6
JOBS = """
from deskbell import Backoff, Jobs
from deskbell.adapters import contacts
from deskbell.jobs import crm

contacts.LEASE_SECONDS = 5
jobs = Jobs()
jobs.include(crm.jobs)
jobs.adjust("crm.contact", backoff=Backoff(base=1, cap=1), attempts=30)
"""


class UnreliableCrm(ThreadingHTTPServer):
    """A CRM that writes contacts late, twice, and says that it has not when it has.

    Attributes:
        written: of each contact, the ids of the events that it was written from, in order.
        refuses: whether it answers 422 to everything.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.written: dict[str, list[str]] = defaultdict(list)
        self.refuses = False
        self.asked = 0
        self._lock = threading.Lock()
        self._numbers = itertools.count()

    def number(self) -> int:
        """The number of a request."""
        with self._lock:
            self.asked += 1
            return next(self._numbers)

    def write(self, contact: str, event_id: str) -> None:
        """Write a contact."""
        with self._lock:
            self.written[contact].append(event_id)


class Handler(BaseHTTPRequestHandler):
    """Of 40 requests it fails a dozen, each in a way of its own."""

    protocol_version = "HTTP/1.1"
    server: UnreliableCrm

    def do_PUT(self) -> None:
        """Write a contact, or not."""
        contact = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["id"]
        event_id = self.headers["Idempotency-Key"]
        if self.server.refuses:
            self.answer(422)
            return
        number = self.server.number() % 40
        if number % 8 == 3:
            self.answer(500)
            return
        time.sleep((number % 5) * 0.01)  # so that requests overtake one another: what makes the fault
        self.server.write(contact, event_id)
        if number == 17:
            self.connection.shutdown(socket.SHUT_RDWR)  # it was written, and nobody hears of it
            self.close_connection = True
        else:
            self.answer(502 if number % 8 == 5 else 204)

    def answer(self, status: int) -> None:
        """Answer without a body."""
        self.send_response_only(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def unreliable() -> Iterator[UnreliableCrm]:
    """Serve it."""
    with UnreliableCrm() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def events(count: int, *, after: float) -> list[ApiCall]:
    """Events of a few contacts, a millisecond apart."""
    made = []
    for number in range(count):
        at = time.time() - 3600 + after + number / 1000
        body = packet(SystemClientUserID=f"user-{number % CONTACTS}")
        event = received(body, app_id="1400000001", node="order_status")
        made.append(ApiCall.from_wire(event.to_wire() | {"id": new_event_id(at), "received_at": at * 1000}))
    return made


def test_no_contact_goes_back_in_time(
    unreliable: UnreliableCrm,
    open_workplace: WorkplaceFactory,
    redis: Redis,
    valkey_url: str,
    tmp_path: Path,
) -> None:
    """Two workers with 64 jobs at once each; one is killed. Dead letters of older events are replayed at the end."""
    workplace = open_workplace(crm.jobs)
    older, newer = events(60, after=0), events(120, after=60)
    settings = {
        "CRM_URL": f"http://127.0.0.1:{unreliable.server_port}",
        "CRM_TOKEN": "t",
        "ABANDONED_SECONDS": "5",
    }

    def start(stack: ExitStack) -> Forked:
        return stack.enter_context(running_worker(tmp_path, JOBS, valkey_url, "crm", "--concurrency", "64", **settings))

    def put(events: list[ApiCall]) -> None:
        for event in events:
            workplace.put_event(event)
        workplace.work(EVENTS)

    def is_over(dead: int) -> bool:
        return not unfinished(redis, "crm") and workplace.queue("crm").failed_job_registry.count == dead

    with ExitStack() as stack:
        first, _ = start(stack), start(stack)
        unreliable.refuses = True
        put(older)
        until(lambda: is_over(len(older)))
        unreliable.refuses = False

        put(newer)
        until(lambda: unreliable.asked > 20)
        os.kill(first.pid, signal.SIGKILL)
        redis.delete("rq:scheduler-lock:crm")  # let the minute pass for which a dead worker holds RQ's scheduler
        start(stack)
        dead_letters = DeadLetters(redis)
        Replays(redis, "a test").replay(dead_letters.pages(Selection()), "--all", Throttle(), lambda _: None)
        until(lambda: is_over(0), seconds=200)

    newest = {event.user_id: event.id for event in sorted(newer, key=lambda event: event.id)}
    assert {contact: ids[-1] for contact, ids in unreliable.written.items()} == newest
    for ids in unreliable.written.values():
        assert ids == sorted(ids)
