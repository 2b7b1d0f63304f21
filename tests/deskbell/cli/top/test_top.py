"""`deskbell top`: what goes on now, for a person and for a program; and while Redis is away."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from deskbell import ApiCall, Jobs
from deskbell.testing import api_call
from shared.redis.history import MINUTE_KEY
from tests import forked
from tests.conftest import WorkplaceFactory
from tests.processes import environment
from tests.redis_outages import Server
from tests.waiting import until

Top = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def top(valkey_url: str, tmp_path: Path) -> Top:
    """Run it."""

    def run(*words: str, url: str = valkey_url) -> subprocess.CompletedProcess[str]:
        return forked.run("top", *words, env=environment(DESKBELL_REDIS_URL=url), cwd=tmp_path)

    return run


def count(redis: Redis, **fields: int) -> None:
    """Write counts of the last full minute."""
    minute = int(time.time() // 60)
    for each in (minute - 1, minute, minute + 1):  # whichever is the last full one when it is read
        redis.hset(f"{MINUTE_KEY}{each}", mapping={name.replace("__", "\t"): value for name, value in fields.items()})


def test_it_tells_of_answers_queues_and_why_one_does_not_move(
    top: Top, redis: Redis, open_workplace: WorkplaceFactory
) -> None:
    """As a page and as JSON, once: the output is no terminal."""
    jobs = Jobs()

    @jobs.on(ApiCall, queue="erp")
    def push(event: ApiCall) -> None: ...

    workplace = open_workplace(jobs)
    for _ in range(3):
        workplace.put_jobs(api_call("order"))
    redis.sadd("rq:queues", "rq:queue:old")
    redis.set("rq:wip:old", "x")
    count(
        redis, callback__order__outcome__answered=590, callback__order__ms__3=590, callback__order__outcome__fallback=10
    )

    page = top()
    data = json.loads(top("--json").stdout)

    assert page.returncode == 0
    assert "ANSWERS  10.0/s  p50 ≤ 5 ms  p99 ≤ 5 ms  (budget 1.5 s)  answered 590  fallback 10" in page.stdout
    (line,) = [line.split() for line in page.stdout.splitlines() if line.startswith("erp ")]
    assert (line[1], line[-1]) == ("3", "none")
    assert "!! erp: no living worker reads the queue erp; start `deskbell worker erp`" in page.stdout
    assert (
        "!! old: a key of the queue old has a foreign type: what reads it stands still; write `deskbell" in page.stdout
    )
    assert data["answers"]["outcomes"] == {"answered": 590, "fallback": 10}
    (erp,) = [each for each in data["queues"] if each["name"] == "erp"]
    assert erp["drained_seconds"] is None
    assert (erp["waiting"], erp["is_stuck"], erp["workers"]) == (3, True, [])


@contextmanager
def in_a_terminal(url: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """It, in a terminal; and what it has shown so far."""
    ours, theirs = pty.openpty()
    env = environment(DESKBELL_REDIS_URL=url, COLUMNS="200", LINES="40", TERM="xterm")
    command: list[Any] = [sys.executable, "-P", "-m", "deskbell", "top", "--interval", "0.5"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=folder)
    os.close(theirs)
    os.set_blocking(ours, False)
    shown = bytearray()

    def read() -> str:
        while True:
            try:
                shown.extend(os.read(ours, 65536))
            except (BlockingIOError, OSError):
                return shown.decode(errors="replace")

    try:
        yield process, read
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_in_a_terminal_it_goes_on_while_redis_is_away(server: Server, tmp_path: Path) -> None:
    """It says so, keeps what it showed, and comes back by itself; Ctrl-C ends it."""
    with in_a_terminal(server.url, tmp_path) as (process, shown):
        until(lambda: "QUEUE" in shown())
        server.kill()
        until(lambda: "expected a server that answers" in shown() and "as of" in shown())
        server.start()
        before = len(shown())
        until(lambda: "QUEUE" in shown()[before:] and "expected" not in shown()[before:].rpartition("QUEUE")[2])
        process.send_signal(signal.SIGINT)

        assert process.wait(60) == 0
        assert "Traceback" not in shown()
