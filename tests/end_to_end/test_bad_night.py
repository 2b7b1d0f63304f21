"""docs/how-to/bad-night.md, word by word, on a small stack: the CRM fails, is mended, and a customer is forgotten."""

import json
import re
import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests import forked
from tests.desk import APP, TOKEN
from tests.processes import ALONE, PATIENT, environment
from tests.serving import Api, running_api
from tests.waiting import until
from tests.workers.running import running_worker, unfinished

PAGE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "bad-night.md"
CALLBACKS = """
from typing import TypedDict

from deskbell import Callbacks

callbacks = Callbacks()

class OrderStatus(TypedDict):
    OrderStatus: str

@callbacks.api_call
def order_status(OrderID: str, SystemSessionID: str) -> OrderStatus:
    return {"OrderStatus": "paid"}
"""
JOBS = """
from deskbell import Jobs
from deskbell.jobs import analytics, crm

jobs = Jobs()
jobs.include(crm.jobs)
jobs.include(analytics.jobs)
"""
QUEUES = ("events", "crm", "analytics")
CALLS = 12
DEAD, EVENT, MOMENT = "01a21bb6c7c497d4c1304f20087265ad-crm-contact", "01a21bb99defd290883dcd7bb05f3009", "06:38"
"""What the page writes for a dead letter, an event and the time of day."""


def steps() -> Iterator[tuple[str, list[str]]]:
    """The commands of each block, and the lines that the block behind it says are printed."""
    return (
        (sh, text.splitlines())
        for sh, text in re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    )


def plain(text: str) -> str:
    """Without what differs from night to night: ids, digests, times and numbers; blanks are one."""
    return " ".join(re.sub(r"[\d,.:]*\d", "#", re.sub(r"\b[0-9a-f]{16,32}\b", "ID", text)).split())


def is_printed(line: str, output: str) -> bool:
    """Whether a line of the output has the parts of a line of the page, in order."""
    parts = [re.escape(plain(part)) for part in line.split("…")]
    return any(re.search(".*".join(parts), plain(printed)) for printed in output.splitlines())


class Crm(ThreadingHTTPServer):
    """A CRM that answers every request with one status."""

    status = 401

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: Crm

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def serving_crm() -> Iterator[Crm]:
    """Serve it on a free port."""
    with Crm(("127.0.0.1", 0), _Answer) as crm:
        thread = threading.Thread(target=crm.serve_forever)
        thread.start()
        try:
            yield crm
        finally:
            crm.shutdown()
            thread.join()


class Night:
    """The night's events on a small stack, and the commands that an operator types."""

    def __init__(self, redis: Redis, url: str, folder: Path, api: Api, crm: Crm) -> None:
        self._redis, self._api, self._crm, self._folder = redis, api, crm, folder
        self._found: dict[str, str] = {}
        self._settings = environment(
            DESKBELL_REDIS_URL=url,
            DESKBELL_APPS=json.dumps({APP: [TOKEN]}),
            DESKBELL_JOBS="acme_jobs:jobs",
            DESKBELL_APP_DIR=str(folder),
            DESKBELL_CRM_URL=crm.url,
        )

    def type(self, line: str) -> str:
        """What a line prints; its ids and times are replaced by those of this night."""
        words = [self._found.get(word, word) for word in shlex.split(line, comments=True)[1:]]
        done = forked.run(*words, env=self._settings, cwd=self._folder)
        return done.stdout + done.stderr

    def pause(self) -> None:
        """The CRM refuses the token: callbacks are answered, and the queue is paused."""
        for number in range(CALLS):
            self._api.desk.call(
                "order_status", SystemClientUserID="user517", SystemSessionID="s-user517", OrderID=str(number)
            )
        until(lambda: self._redis.hlen("deskbell:paused"))

    def refuse(self) -> None:
        """The CRM refuses each contact."""
        self._crm.status = 422
        until(lambda: self._redis.zcard("rq:failed:crm") == CALLS)
        dead: Any = self._redis.zrange("rq:failed:crm", 0, 0)
        self._found[DEAD] = dead[0].decode()
        self._found[EVENT] = self._found[DEAD][:32]

    def mend(self) -> None:
        """The CRM is well again."""
        self._crm.status = 204

    def drain(self) -> None:
        """All that was replayed has been done."""
        until(lambda: not unfinished(self._redis, *QUEUES))

    def record(self) -> None:
        """The attempts are on record, which the worker writes every few seconds."""
        self._found[MOMENT] = time.strftime("%H:%M")
        until(
            lambda: "attempt #  done" in re.sub(r"\d", "#", self.type(f"deskbell events {EVENT}").partition("crm.c")[2])
        )


@pytest.mark.timeout(120)  # a dozen commands, one after the other
def test_the_bad_night_goes_as_the_page_says(redis: Redis, valkey_url: str, tmp_path: Path) -> None:
    """Each command, in order, with what it prints."""
    (tmp_path / "acme_calls.py").write_text(CALLBACKS)
    of_api = {"DESKBELL_CALLBACKS": "acme_calls:callbacks", "DESKBELL_APP_DIR": ".", **PATIENT}
    with serving_crm() as crm:
        of_worker = {
            "CRM_URL": crm.url,
            "ANALYTICS_URL": f"sqlite:///{tmp_path}/analytics.db",
            "BREAKERS": json.dumps({"crm.contact": {"failures": 3, "pause": 4}}),
        }
        with (
            running_api(valkey_url, tmp_path, *ALONE, **of_api) as api,
            running_worker(tmp_path, JOBS, valkey_url, *QUEUES, **of_worker),
        ):
            night = Night(redis, valkey_url, tmp_path, api, crm)
            before = iter([night.pause, night.refuse, lambda: None, night.mend, night.drain, night.record])
            for commands, lines in steps():
                next(before, lambda: None)()
                output = "".join(map(night.type, commands.splitlines()))
                for line in lines:
                    assert is_printed(line, output), (line, output)
