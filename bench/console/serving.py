"""Processes as an operator starts them, workers and consoles, and a browser of a console."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.processes import cpu_seconds, end
from console.access.passwords import hash_password
from deskbell.cli.processes.listening import listen

_NAME, _PASSWORD = "ana", "correct horse battery staple"
_START_SECONDS = 60
_DESKBELL = (sys.executable, "-m", "deskbell")
_ENVIRONMENT = os.environ | {
    "DESKBELL_ENV_FILE": "/dev/null",
    "DESKBELL_APP_DIR": str(Path(__file__).parents[2]),
    "DESKBELL_CALLBACKS": "bench.console.app:callbacks",
    "DESKBELL_JOBS": "bench.console.app:jobs",
    "DESKBELL_LOG_FORMAT": "json",
}


_QUIET = subprocess.DEVNULL


def work(redis_url: str, *queues: str) -> None:
    """Have a worker empty queues."""
    environment = _ENVIRONMENT | {"DESKBELL_REDIS_URL": redis_url}
    subprocess.run([*_DESKBELL, "worker", "--burst", *queues], env=environment, stdout=_QUIET, check=True)


@contextmanager
def worker(redis_url: str, *queues: str) -> Iterator[None]:
    """A worker that reads queues."""
    environment = _ENVIRONMENT | {"DESKBELL_REDIS_URL": redis_url}
    process = subprocess.Popen([*_DESKBELL, "worker", *queues], env=environment, stdout=_QUIET)
    try:
        yield
    finally:
        end(process)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and its answer.

    Attributes:
        ms: from the request until the whole answer is there.
        cpu_ms: what the console's process used meanwhile, in steps of 10 ms.
        sent: bytes of the answer's body as they were sent, compressed.
    """

    ms: float
    cpu_ms: float
    sent: int
    answer: httpx.Response


class Browser:
    """Asks a console, as somebody who has signed in; over one connection that is kept open."""

    def __init__(self, url: str, pid: int, cookies: httpx.Cookies) -> None:
        headers = {"Sec-Fetch-Site": "same-origin", "Accept-Encoding": "gzip"}
        self._client = httpx.Client(base_url=url, cookies=cookies, headers=headers, timeout=60)
        self._pid = pid

    @property
    def cookies(self) -> httpx.Cookies:
        return self._client.cookies

    def sign_in(self) -> None:
        answer = self._client.post("/sign-in", data={"name": _NAME, "password": _PASSWORD})
        assert answer.status_code == httpx.codes.SEE_OTHER, answer.text

    def get(self, address: str) -> Asked:
        used, began = cpu_seconds(self._pid), time.perf_counter()
        answer = self._client.get(address)
        ms = (time.perf_counter() - began) * 1000
        assert answer.status_code == httpx.codes.OK, f"{address}: {answer.status_code}"
        return Asked(ms, (cpu_seconds(self._pid) - used) * 1000, answer.num_bytes_downloaded, answer)

    def post(self, address: str, fields: dict[str, str]) -> str:
        """Send a form; where its answer leads."""
        answer = self._client.post(address, data=fields)
        assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
        return answer.headers["Location"]

    def when_counted(self, address: str) -> httpx.Response:
        """A page of dead letters once they have been counted."""
        while "being counted" in (answer := self.get(address).answer).text:
            time.sleep(0.2)
        return answer

    def close(self) -> None:
        self._client.close()


class Consoles:
    """Starts consoles for a server; who signs in to the first is signed in to all, since they share a key."""

    def __init__(self, redis_url: str) -> None:
        hashed = hash_password(_PASSWORD)
        users = f'{{"{_NAME}": {{"role": "admin", "password": "{hashed}"}}}}'
        self._environment = _ENVIRONMENT | {
            "DESKBELL_REDIS_URL": redis_url,
            "DESKBELL_CONSOLE_USERS": users,
            "DESKBELL_CONSOLE_KEY": "k" * 32,
        }
        self._cookies = httpx.Cookies()

    @contextmanager
    def open(self, *, signed_in: bool = True) -> Iterator[Browser]:
        """A new process that has shown no page yet; it listens."""
        if signed_in and not self._cookies:
            with self.open(signed_in=False) as browser:
                browser.sign_in()
                self._cookies = browser.cookies
        with listen("127.0.0.1", 0) as listener:
            words = [*_DESKBELL, "console", "--fd", str(listener.fileno())]
            process = subprocess.Popen(words, env=self._environment, pass_fds=[listener.fileno()], stdout=_QUIET)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        browser = Browser(url, process.pid, self._cookies if signed_in else httpx.Cookies())
        try:
            httpx.get(f"{url}/static/icon.svg", timeout=_START_SECONDS).raise_for_status()
            yield browser
        finally:
            browser.close()
            end(process)


def assets(page: str) -> list[str]:
    """The addresses of the files that a page names, each once."""
    return list(dict.fromkeys(re.findall(r'(?:href|src)="(/static/[^"]+)"', page)))
