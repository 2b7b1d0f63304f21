"""`deskbell api` as a process of its own, and callbacks that are posted to it all the time."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import httpx

from tests.desk import APP, TOKEN, Desk
from tests.forked import Forked
from tests.processes import unmeasured
from tests.waiting import until

_PATIENCE_SECONDS = 30
_PAUSE_SECONDS = 0.01
Process = Forked | subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Api:
    """A running api.

    Attributes:
        process: the process that was started.
        desk: posts to it.
        log: the file it logs to.
    """

    process: Process
    desk: Desk
    log: Path

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log lines of a kind, in order."""
        return [line for line in _lines(self.log, event) if line["event"] == event]

    def pids(self) -> list[int]:
        """The processes it has started."""
        return [line["pid"] for line in self.lines("process_started")]


@contextmanager
def running_api(url: str, folder: Path, *words: str, **settings: str) -> Iterator[Api]:
    """Run `deskbell api`; what it leaves running is killed.

    Args:
        url: of Redis.
        folder: where it runs and logs.
        *words: options.
        **settings: further environment variables; FILES is how many files it may have open, HUP "ignored" that it
            is started under `nohup`.
    """
    ours = {"DESKBELL_REDIS_URL": url, "DESKBELL_APPS": json.dumps({APP: [TOKEN]})}
    env = unmeasured(**ours | settings)  # what a supervisor starts; it is measured itself
    path = folder / "api.log"
    with path.open("wb") as log:
        process = _start(("api", "--port", "0", *words), env, folder, log)
    try:
        until(lambda: process.poll() is not None or _lines(path))
        api = Api(process, Desk(f"http://127.0.0.1:{_lines(path)[0]['port']}"), path)
        with api.desk.http:
            yield api
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_SECONDS)
        process.kill()
        process.wait()
        for line in _lines(path):
            if line["event"] == "process_started":
                with suppress(ProcessLookupError):
                    os.kill(line["pid"], signal.SIGKILL)


def _start(words: tuple[str, ...], env: dict[str, str], folder: Path, log: IO[bytes]) -> Process:
    shell = ["sh", "-c", 'ulimit -n "$FILES" && exec "$@"', "sh"] if "FILES" in env else []
    shell += ["nohup"] if env.get("HUP") == "ignored" else []
    if not shell:
        return Forked(words, env, folder, stdout=log)
    return subprocess.Popen([*shell, sys.executable, "-P", "-m", "deskbell", *words], env=env, stdout=log, cwd=folder)


def _lines(path: Path, holding: str = "") -> list[dict[str, Any]]:
    """The whole lines of a log in which a word stands: who asks again and again does not read all of a load's."""
    whole = path.read_bytes().rpartition(b"\n")[0]
    return [json.loads(line) for line in whole.splitlines() if holding.encode() in line]


class Load:
    """Signed callbacks, one after the other from several senders, until it is told to stop.

    A sender pauses after each answer: what is tested is that calls come at every moment, not how many come.

    Attributes:
        answers: how many there were of each status and `ErrorCode`; of an error, of its type.
        kept: the events acknowledged.
    """

    def __init__(self, url: str, senders: int = 4, *, keep_alive: bool = True) -> None:
        self.answers: Counter[object] = Counter()
        self.kept: list[str] = []
        self._url = url
        self._keep_alive = keep_alive
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(sender,)) for sender in range(senders)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, sender: int) -> None:
        desk = Desk(self._url)
        if not self._keep_alive:
            desk.http.headers["Connection"] = "close"
        number = 0
        with desk.http:
            while not self._stop.wait(_PAUSE_SECONDS):
                number += 1
                try:
                    answer = desk.call(Number=f"{sender}-{number}", Apart="1" if number % 50 == 0 else "0")
                except httpx.HTTPError as error:
                    self.answers[type(error)] += 1
                    continue
                self.answers[answer.status_code, answer.json()["ErrorCode"]] += 1
                if answer.status_code == httpx.codes.OK:
                    self.kept.append(answer.headers["X-Deskbell-Event"])
