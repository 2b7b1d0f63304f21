"""How a role begins while Redis is away, or will never do what is asked."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from rq import Worker

from tests import forked
from tests.desk import APP, TOKEN
from tests.forked import Forked
from tests.processes import ALONE, environment, is_alive
from tests.redis_outages import a_server, clustered
from tests.waiting import DEADLINE_SECONDS, until
from tests.workers.running import end_group

SETTINGS = {"DESKBELL_JOBS": "deskbell.jobs.analytics:jobs", "DESKBELL_APPS": json.dumps({APP: [TOKEN]})}
ROLES = {
    "worker": ["worker", "events", *ALONE],
    "workers": ["worker", "events", "--processes", "2"],
    "dashboard": ["dashboard", "--port", "0"],
}


class Role:
    """A role of Deskbell as a process of its own."""

    def __init__(self, process: Forked, log: Path) -> None:
        self.process = process
        self._log = log

    def lines(self) -> list[dict[str, Any]]:
        """The log's lines."""
        whole = self._log.read_bytes().rpartition(b"\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def events(self) -> list[str]:
        """What each of the log's lines is about."""
        return [line["event"] for line in self.lines()]


@contextmanager
def running(folder: Path, url: str, *words: str) -> Iterator[Role]:
    """Run a role; what it leaves running is killed."""
    given = environment(DESKBELL_REDIS_URL=url, **SETTINGS)
    log = folder / "log"
    with log.open("wb") as output:
        process = Forked(words, given, folder, stdout=output)
    try:
        yield Role(process, log)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(DEADLINE_SECONDS)
        end_group(process.pid)


@pytest.mark.parametrize(("role", "processes"), [("worker", 1), ("workers", 2), ("dashboard", 1)])
def test_a_role_that_starts_while_redis_is_away_waits_with_one_line(role: str, processes: int, tmp_path: Path) -> None:
    """Each of its processes; it begins when Redis is there, and not at somebody's next start."""
    with a_server() as server, running(tmp_path, server.url, *ROLES[role]) as started:
        until(lambda: started.events().count("redis_away") == processes)
        server.start()
        until(lambda: started.events().count("redis_back") == processes)
        with server.connect() as redis:
            until(lambda: "worker" not in role or len(Worker.all(redis)) == processes)
        alive = started.process.poll()
        events = started.events()

    assert alive is None
    assert events.count("redis_away") == processes
    assert "process_died" not in events


def test_a_worker_that_waits_ends_with_its_supervisor(tmp_path: Path) -> None:
    """Or it would begin some day, beside the next one."""
    with a_server() as server, running(tmp_path, server.url, "worker", "events") as started:
        [pid] = until(lambda: [line["pid"] for line in started.lines() if line["event"] == "process_started"])
        until(lambda: "redis_away" in started.events())
        started.process.kill()

        until(lambda: not is_alive(pid))


@pytest.mark.parametrize("role", ROLES)
def test_a_role_that_waits_ends_well_when_it_is_told_to(role: str, tmp_path: Path) -> None:
    """Nothing is under way."""
    with a_server() as server, running(tmp_path, server.url, *ROLES[role]) as started:
        until(started.events)
        started.process.terminate()
        status = started.process.wait(DEADLINE_SECONDS)

    assert status == 0


@pytest.mark.parametrize("role", ["worker", "dashboard"])
def test_a_password_that_redis_refuses_is_a_sentence(role: str, tmp_path: Path) -> None:
    """What to correct, and where; no waiting helps."""
    with a_server() as server:
        server.start()
        with server.connect() as redis:
            redis.config_set("requirepass", "secret")
        ended = run(tmp_path, server.url, *ROLES[role])

    assert ended.returncode == 1
    assert ended.stderr.startswith("deskbell: DESKBELL_REDIS_URL: Redis refuses the user or the password")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("role", ["worker", "workers", "api"])
def test_cluster_mode_is_a_sentence(role: str, tmp_path: Path) -> None:
    """Neither an event nor a job would ever be taken."""
    with a_server() as server:
        server.start(**clustered())
        ended = run(tmp_path, server.url, *ROLES.get(role, ["api", "--port", "0"]))

    assert ended.returncode == 1
    assert ended.stderr.startswith("deskbell: DESKBELL_REDIS_URL: Redis runs in cluster mode")
    assert ended.stderr.count("\n") == 1


def run(folder: Path, url: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a role that is to end by itself."""
    return forked.run(*words, env=environment(DESKBELL_REDIS_URL=url, **SETTINGS), cwd=folder)
