"""The compose file's project in a copy of the tree, as the tests of this folder start it and look at it."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from console.access.passwords import hash_password
from tests.waiting import until

ROOT = Path(__file__).parent.parent.parent
APP = "1400000001"
PASSWORD = secrets.token_hex(12)
SECRETS = {
    "REDIS_PASSWORD": secrets.token_hex(24),
    "DASHBOARD_PASSWORD": secrets.token_hex(24),
    "DESKBELL_CRM_TOKEN": secrets.token_hex(24),
    "DESKBELL_CONSOLE_KEY": secrets.token_hex(24),
}
TOKEN = secrets.token_hex(24)
ROLES = {"api", "worker-events", "worker-crm", "worker-analytics", "worker-chat", "console", "rq-dashboard", "crm"}
EVERY_PROFILE = [word for profile in ("tls", "monitoring", "dev") for word in ("--profile", profile)]


class Stack:
    """The compose file's project in a copy of the tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Whoever has checked it out: the containers' tests are root's.
        listing = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        tracked = run(listing)
        for name in filter(None, tracked.split("\0")):
            if (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        folder.chmod(0o755)  # the service dev reads it
        users = {"ana": {"role": "admin", "password": hash_password(PASSWORD)}}
        self.set(
            COMMIT="0123456789abcdef",
            DESKBELL_APPS=f"'{json.dumps({APP: [TOKEN]})}'",
            DESKBELL_CONSOLE_USERS=f"'{json.dumps(users)}'",
            **SECRETS,
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
        """Start what is not as it should be, or the services that are named, and wait until all are healthy."""
        try:
            self.compose("up", "--detach", *options)
            # Not `--wait`: that gives up when the machine is so busy that a container is unhealthy at first.
            patiently(lambda: {each["Health"] for each in self._all()} == {"healthy"})
        except AssertionError:
            print(self.compose("ps", "--all"), self.compose("logs", "--tail", "20"))  # noqa: T201 - pytest shows it
            raise

    def down(self) -> None:
        """Take everything away."""
        self.compose(*EVERY_PROFILE, "down", "--volumes", "--remove-orphans", "--timeout", "5")

    def containers(self, *services: str) -> dict[str, list[str]]:
        """The ids of the containers of each service, also of those that have ended."""
        found: dict[str, list[str]] = {}
        for container in self._all(*services):
            found.setdefault(container["Service"], []).append(container["ID"])
        return {service: sorted(ids) for service, ids in found.items()}

    def _all(self, *services: str) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.compose("ps", "--all", "--format", "json", *services).splitlines()]

    def logs(self, service: str) -> str:
        """What a service's containers have written, to either output; `docker compose logs` adds to it."""
        return "".join(run(["sh", "-c", 'docker logs "$0" 2>&1', each]) for each in self.containers(service)[service])

    def inspect(self, service: str) -> Any:
        """What the engine knows of a service's first container."""
        return json.loads(run(["docker", "inspect", self.containers(service)[service][0]]))[0]

    def megabytes(self) -> dict[str, float]:
        """The memory that the first container of each role uses."""
        first = {ids[0]: role for role, ids in self.containers(*ROLES).items()}
        said = run(["docker", "stats", "--no-stream", "--format", "{{.Container}} {{.MemUsage}}", *first])
        units = {"KiB": 2**-10, "MiB": 1, "GiB": 2**10}
        found = re.findall(r"^(\w+) ([\d.]+)(\w+)", said, re.MULTILINE)
        return {first[container]: float(amount) * units[unit] for container, amount, unit in found}

    def seconds_to_health(self, service: str) -> float:
        """From the start of a service's first container to the first check that found it healthy."""
        state = self.inspect(service)["State"]
        first = min(check["End"] for check in state["Health"]["Log"] if check["ExitCode"] == 0)
        return (datetime.fromisoformat(first) - datetime.fromisoformat(state["StartedAt"])).total_seconds()

    def execute(self, service: str, *command: str) -> str:
        """Run a command in a service's container; what it prints."""
        return self.compose("exec", "-T", service, *command)

    def outcome(self, service: str, program: str) -> str:
        """What a Python program prints in a service's container, or "" while it fails."""
        try:
            return self.execute(service, "python", "-c", program)
        except AssertionError:
            return ""

    def send(self, *words: str) -> str:
        """Send a signed callback to the published port, from the host of the engine."""
        command = [sys.executable, "-P", "-m", "deskbell", "send", "--app", APP, "--token", TOKEN, *words]
        return run(on_host(*command))


def patiently(condition: Callable[[], object]) -> None:
    """Wait for what containers bring about; asking starts a process, so it is not asked all the time."""
    until(condition, seconds=300, every=0.2)


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


def check_rights(stack: Stack, service: str, megabytes: int) -> None:
    """What a service's container may do, as the engine has it, and as the kernel has it of the processes."""
    host = stack.inspect(service)["HostConfig"]
    statuses = stack.execute(service, "sh", "-c", "cat /proc/[0-9]*/status")

    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] == megabytes * 2**20
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "5", "max-size": "10m"}}
    assert set(re.findall(r"^CapEff:\s+(\w+)", statuses, re.MULTILINE)) == {"0" * 16}
    assert set(re.findall(r"^CapBnd:\s+(\w+)", statuses, re.MULTILINE)) == {"0" * 16}
    assert set(re.findall(r"^NoNewPrivs:\s+(\d)", statuses, re.MULTILINE)) == {"1"}
    assert "0" not in re.findall(r"^Uid:\s+(\d+)", statuses, re.MULTILINE)
    with pytest.raises(AssertionError, match="Read-only file system"):
        stack.execute(service, "touch", "/file")
