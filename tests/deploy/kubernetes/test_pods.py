"""The pods' own commands, variables and probes, with real processes: all but the cluster."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.access.passwords import hash_password
from tests.deploy.kubernetes.kustomized import containers, of_kind
from tests.desk import APP, TOKEN, Desk
from tests.forked import Forked
from tests.processes import PATIENT, environment
from tests.waiting import until

PATIENCE_SECONDS = 60
SECRETS = {
    "deskbell-api": {"DESKBELL_APPS": json.dumps({APP: [TOKEN]}), "DESKBELL_CALLBACKS": "acme:callbacks", **PATIENT},
    "deskbell-worker": {"DESKBELL_JOBS": "acme:jobs"},
    "deskbell-console": {
        "DESKBELL_CONSOLE_USERS": json.dumps({"ana": {"role": "viewer", "password": hash_password("a password")}}),
        "DESKBELL_CONSOLE_KEY": "k" * 32,
    },
}
ACME = """
from deskbell import ApiCall, Callbacks, Jobs

callbacks, jobs = Callbacks(), Jobs()

@callbacks.api_call("greeting")
def greeting() -> dict[str, str]:
    return {"Greeting": "good day"}

@jobs.on(ApiCall, queue="crm")
def note(event: ApiCall) -> None: ...
"""


class Pod:
    """A container's command as a process; paths and ports are the test's own."""

    def __init__(self, name: str, redis_url: str, folder: Path) -> None:
        self._container = containers()[name]
        self._folder = folder
        env = {"DESKBELL_REDIS_URL": redis_url}
        for source in self._container["envFrom"]:
            if "configMapRef" in source:
                env |= self._all_here(of_kind("ConfigMap")[source["configMapRef"]["name"]]["data"])
            else:
                env |= SECRETS.get(source["secretRef"]["name"], {})
        env |= self._all_here({each["name"]: each["value"] for each in self._container.get("env", [])})
        words = [word if not word.isdecimal() else "0" for word in self._container["command"][1:]]
        self._log = folder / f"{name.replace('/', '-')}.log"
        with self._log.open("wb") as log:
            self.process = Forked(tuple(words), environment(**env), folder, stdout=log)

    def _all_here(self, variables: dict[str, str]) -> dict[str, str]:
        return {name: self._here(value) for name, value in variables.items()}

    def _here(self, text: str) -> str:
        return re.sub(r"/(app|tmp|var/lib/deskbell)\b", rf"{self._folder}\g<0>", text)

    @property
    def url(self) -> str:
        """Where it listens."""
        port = until(lambda: [line["port"] for line in self._lines() if "port" in line], PATIENCE_SECONDS)[0]
        return f"http://127.0.0.1:{port}"

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().rpartition("\n")[0].splitlines()]

    def passes(self, probe: str) -> bool:
        """Whether a probe succeeds now."""
        assert self.process.poll() is None
        asked = self._container[probe]
        if "httpGet" in asked:
            try:
                return httpx.get(f"{self.url}{asked['httpGet']['path']}", timeout=30).status_code == httpx.codes.OK
            except httpx.TransportError:
                return False
        words = [self._here(word) for word in asked["exec"]["command"]]
        return subprocess.run(words, check=False, capture_output=True, timeout=30).returncode == 0


@contextmanager
def started(name: str, redis_url: str, folder: Path) -> Iterator[Pod]:
    """Start a container's command; at the end it is told to end, and must end well."""
    pod = Pod(name, redis_url, folder)
    try:
        yield pod
        pod.process.terminate()
        assert pod.process.wait(PATIENCE_SECONDS) == 0
    finally:
        pod.process.kill()
        pod.process.wait()


@pytest.mark.usefixtures("redis")
def test_the_pods_start_are_found_well_answer_and_end(valkey_url: str, tmp_path: Path) -> None:
    """With nothing but what the manifests say and the four secrets."""
    for folder in ("app", "tmp", "var/lib/deskbell"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "app" / "acme.py").write_text(ACME)
    names = ("deskbell-api/api", "deskbell-worker-crm/worker", "deskbell-console/console")

    for name in names:
        with started(name, valkey_url, tmp_path) as pod:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if probe in containers()[name]:
                    until(partial(pod.passes, probe), PATIENCE_SECONDS)
            if name == names[0]:
                desk = Desk(pod.url)
                with desk.http:
                    assert desk.call("greeting").json()["ErrorCode"] == 0
