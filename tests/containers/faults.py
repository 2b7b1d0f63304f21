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

from tests.containers.project import APP, ROOT, TOKEN, Stack, cut_off, on_host, patiently, run

pytestmark = pytest.mark.timeout(600)


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
        patiently(lambda: len(self.acknowledged()) >= enough)

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

    patiently(is_back)


def acknowledged_under_faults(stack: Stack, file: Path) -> list[str]:
    """The api is killed, Redis is killed, Redis is cut off for 15 s; whose deliveries are acknowledged meanwhile."""
    with light_load(file) as load:
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
    return acknowledged


def test_each_delivery_is_acknowledged_in_the_end_whatever_is_killed_or_cut_off(acknowledged: list[str]) -> None:
    """What was killed is started anew by the engine, and what was cut off is found again, without a hand."""
    assert Counter(acknowledged) == {f"light-{number}": 1 for number in range(len(acknowledged))}
