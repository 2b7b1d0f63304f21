"""Containers that are killed, and a Redis that is cut off, under a light load: `tests/containers/run`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.containers.project import APP, ROOT, TOKEN, Stack, on_host, run
from tests.waiting import until

pytestmark = pytest.mark.timeout(600)

ROWS = (
    "import json, sqlite3; database = sqlite3.connect('/data/analytics.db');"
    "rows = database.execute('select \"user\", count(*) from deskbell_events group by 1');"
    "print(json.dumps(dict(rows.fetchall())))"
)
ENQUIRIES = (
    "import json, sqlite3; database = sqlite3.connect('/data/crm.db');"
    "rows = database.execute('select contact, count(*) from enquiries group by 1');"
    "print(json.dumps(dict(rows.fetchall())))"
)


class Load:
    """A light load that runs; see load.py."""

    def __init__(self, file: Path, process: subprocess.Popen[bytes]) -> None:
        self._file = file
        self._process = process

    def acknowledged(self) -> list[str]:
        """The users whose deliveries have been acknowledged."""
        return self._file.read_text().split()

    def goes_on(self) -> None:
        """Wait until ten more are acknowledged."""
        enough = len(self.acknowledged()) + 10
        until(lambda: len(self.acknowledged()) >= enough, seconds=120)

    def end(self) -> list[str]:
        """Begin nothing new, and wait until all is acknowledged; whose deliveries were."""
        self._process.terminate()
        assert self._process.wait(120) == 0
        return self.acknowledged()


@contextmanager
def light_load(file: Path) -> Iterator[Load]:
    """Callbacks from outside, until it is ended."""
    command = on_host(sys.executable, "-P", "-m", "tests.containers.load", "8000", APP, TOKEN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with file.open("wb") as output, subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output) as process:
        try:
            yield Load(file, process)
        finally:
            process.kill()


def kill(stack: Stack, service: str) -> None:
    """Kill all processes of a service's container, as a crash does, and wait until the engine has started it anew."""
    before = stack.inspect(service)

    os.kill(before["State"]["Pid"], signal.SIGKILL)

    def is_back() -> bool:
        now = stack.inspect(service)
        again = now["RestartCount"] > before["RestartCount"]
        return bool(again and now["State"]["Running"] and now["State"]["Health"]["Status"] == "healthy")

    until(is_back, seconds=120)


@contextmanager
def cut_off(stack: Stack, service: str) -> Iterator[None]:
    """A service's container without its network: what is sent to it and from it is lost."""
    number = stack.execute(service, "cat", "/sys/class/net/eth0/iflink").strip()
    links = json.loads(run(on_host("ip", "-json", "link")))
    [name] = [link["ifname"] for link in links if link["ifindex"] == int(number)]
    run(on_host("ip", "link", "set", name, "down"))
    try:
        yield
    finally:
        run(on_host("ip", "link", "set", name, "up"))


def test_what_is_acknowledged_is_done_once_whatever_is_killed_or_cut_off(stack: Stack, tmp_path: Path) -> None:
    """The api is killed, Redis is killed, Redis is cut off for 15 s; each comes back without a hand."""
    with light_load(tmp_path / "acknowledged") as load:
        load.goes_on()
        kill(stack, "api")
        load.goes_on()
        kill(stack, "redis")
        load.goes_on()
        with cut_off(stack, "redis"):
            time.sleep(15)  # how long it is cut off
            load.goes_on()
            ready = json.loads(run(on_host("curl", "--silent", "http://127.0.0.1:8000/readyz")))
        load.goes_on()
        acknowledged = load.end()

    assert ready["status"] == "spooling"
    expected = dict.fromkeys(acknowledged, 1)
    assert Counter(acknowledged) == expected
    until(lambda: of_the_load(stack, "worker-analytics", ROWS) == expected, seconds=120)
    until(lambda: of_the_load(stack, "crm", ENQUIRIES) == expected, seconds=120)
    assert "no dead letters" in stack.execute("api", "deskbell", "dead", "list")


def of_the_load(stack: Stack, service: str, program: str) -> dict[str, int]:
    """How much there is of each user of the load."""
    counts: dict[str, int] = json.loads(stack.outcome(service, program) or "{}")
    return {user: count for user, count in counts.items() if user.startswith("light-")}
