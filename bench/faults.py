"""The faults of `make chaos`: each is begun while callbacks come, lasts a while, and is mended."""

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from bench.deliveries import Deliveries
from bench.scene import Scene
from bench.silence import SECONDS, lacks, silent
from tests.replicated import Replicated, replicated

_HOUR = 3600
_SPOOL_BYTES = 8 * 1024 * 1024
_FILLER = "filler"
_CLOCK = Path(__file__).with_name("clock.c")
_KILLS = 3


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a fault takes place.

    Attributes:
        scene: the server, if it has one, and the folder.
        deliveries: what is sent.
        api_url, workers_url: where the api and the workers find Redis.
        variables: further ones of the api's and the worker's environment.
        connect: a connection to the server that counts in the end; None for the scene's own.
    """

    scene: Scene
    deliveries: Deliveries
    api_url: str
    workers_url: str
    variables: dict[str, str]
    connect: Callable[[], Redis] | None = None
    replicas: Replicated | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault.

    Attributes:
        title: as the table has it.
        happens: begins it when entered, mends it when left.
        seconds: how long it lasts at least.
        stage: sets up what it takes place on; one server behind a proxy by default.
        afterwards: what is done when all callbacks are answered, before the queues are drained.
        lacks: what the machine lacks for it; "" when it can happen.
        breaks_connections: whether some requests may go unanswered, since the process that had them died.
    """

    title: str
    happens: Callable[[Stage], AbstractContextManager[None]]
    seconds: float = 4.0
    stage: "Callable[[Scene, Deliveries], AbstractContextManager[Stage]] | None" = None
    afterwards: Callable[[Stage], None] | None = None
    lacks: str = ""
    breaks_connections: bool = False


@contextmanager
def one_server(scene: Scene, deliveries: Deliveries) -> Iterator[Stage]:
    """A server behind a proxy, which the workers reach directly."""
    with scene.with_server() as url:
        yield Stage(scene, deliveries, url, f"unix://{scene.folder / 's'}", {})


@contextmanager
def _full_disk(scene: Scene, deliveries: Deliveries) -> Iterator[Stage]:
    """The spool lies on a small file system of its own."""
    folder = scene.folder / "spool"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SPOOL_BYTES}", "tmpfs", str(folder)], check=True)
    try:
        with one_server(scene, deliveries) as stage:
            yield stage
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def _false_clock(scene: Scene, deliveries: Deliveries) -> Iterator[Stage]:
    """The api and the worker have a system clock that a file sets (`bench/clock.c`); their monotonic clock stays.

    Callbacks are not signed: a Sign whose time is an hour off is refused, and nothing would be accepted.
    """
    library = scene.folder / "clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(_CLOCK)], check=True)
    clock = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(scene.folder / "clock")}
    _set_clock(scene, 0)
    deliveries.is_signed = False
    unsigned = {"DESKBELL_SIGNATURE": "when-present", "DESKBELL_INSECURE": "1"}
    with one_server(scene, deliveries) as stage:
        yield Stage(scene, deliveries, stage.api_url, stage.workers_url, clock | unsigned)


@contextmanager
def _sentinels(scene: Scene, deliveries: Deliveries) -> Iterator[Stage]:
    """A master with two replicas, three sentinels; an event is accepted when a replica has it, too."""
    with replicated(scene.folder) as servers:
        variables = {"DESKBELL_MIN_REPLICAS": "1"}
        yield Stage(
            scene, deliveries, servers.url, servers.url, variables, lambda: servers.server(servers.master_port), servers
        )


@contextmanager
def _by_tcp(scene: Scene, deliveries: Deliveries) -> Iterator[Stage]:
    """A server that api and workers reach on loopback, as others do over a network."""
    with scene.with_server():
        url = f"redis://127.0.0.1:{_port(scene)}/0"
        yield Stage(scene, deliveries, url, url, {})


def _port(scene: Scene) -> int:
    with scene.redis() as redis:
        return int(redis.config_get("port")["port"])


@contextmanager
def _server_silent(stage: Stage) -> Iterator[None]:
    with silent(_port(stage.scene)):
        yield


@contextmanager
def _nothing(_: Stage) -> Iterator[None]:
    yield


@contextmanager
def _api_killed(stage: Stage) -> Iterator[None]:
    """One after the other, as soon as its successor serves."""
    for _ in range(_KILLS):
        stage.scene.kill_an_api()
        stage.scene.wait_until_served()
    yield


@contextmanager
def _server_killed(stage: Stage) -> Iterator[None]:
    stage.scene.signal_server(signal.SIGKILL)
    yield
    stage.scene.restart_server()


@contextmanager
def _server_frozen(stage: Stage) -> Iterator[None]:
    with stage.scene.redis() as redis:
        pid = redis.info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _black_hole(stage: Stage) -> Iterator[None]:
    assert stage.scene.proxy
    stage.scene.proxy.turn("swallow")
    yield
    stage.scene.proxy.turn("pass")


@contextmanager
def _memory_full(stage: Stage) -> Iterator[None]:
    with stage.scene.redis() as redis:
        redis.config_set("maxmemory-policy", "noeviction")
        redis.config_set("maxmemory", redis.info("memory")["used_memory"])
        yield
        redis.config_set("maxmemory", 0)


@contextmanager
def _read_only(stage: Stage) -> Iterator[None]:
    """What a client finds that still talks to a master which has become a replica."""
    with stage.scene.redis() as redis:
        redis.replicaof("127.0.0.1", "1")
        yield
        redis.replicaof("NO", "ONE")


@contextmanager
def _failed_over(stage: Stage) -> Iterator[None]:
    assert stage.replicas
    before = stage.replicas.kill_master()
    yield
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and stage.replicas.master_port == before:
        time.sleep(0.1)


@contextmanager
def _disk_full(stage: Stage) -> Iterator[None]:
    """Redis refuses connections; then the disk fills up, and stays full when Redis is back."""
    assert stage.scene.proxy
    stage.scene.proxy.turn("refuse")
    time.sleep(2)
    with suppress(OSError), (stage.scene.folder / "spool" / _FILLER).open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    yield
    stage.scene.proxy.turn("pass")


@contextmanager
def _clock_jumped(stage: Stage) -> Iterator[None]:
    """An hour ahead, then back again."""
    _set_clock(stage.scene, _HOUR)
    yield
    _set_clock(stage.scene, 0)


def _an_hour_later(stage: Stage) -> None:
    """A retry that was put off while the clock was ahead is due an hour later: let that hour pass."""
    _set_clock(stage.scene, _HOUR + 60)


def _set_clock(scene: Scene, seconds: int) -> None:
    """Write where the processes have it in their memory: the jump is one for all of them."""
    (scene.folder / "clock").touch()
    with (scene.folder / "clock").open("r+b") as file:
        file.write(struct.pack("q", seconds))


def _can_mount() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


FAULTS = {
    "none": Fault("none", _nothing),
    "api-kill": Fault("api killed, three times", _api_killed, breaks_connections=True),
    "redis-kill": Fault("Redis killed, started again", _server_killed),
    "redis-stop": Fault("Redis frozen for 10 s", _server_frozen, seconds=10),
    "redis-silent": Fault(
        f"Redis silent for {SECONDS:.0f} s", _server_silent, seconds=SECONDS, stage=_by_tcp, lacks=lacks()
    ),
    "black-hole": Fault("Redis behind a black hole", _black_hole),
    "memory": Fault("Redis out of memory", _memory_full),
    "read-only": Fault("Redis a read-only replica", _read_only),
    "failover": Fault("failover by Sentinel", _failed_over, seconds=8, stage=_sentinels),
    "disk-full": Fault(
        "Redis away, the spool's disk full",
        _disk_full,
        stage=_full_disk,
        lacks="" if _can_mount() else "root, to mount a small file system",
    ),
    "clock": Fault(
        "clock an hour ahead, and back",
        _clock_jumped,
        stage=_false_clock,
        afterwards=_an_hour_later,
        lacks="" if shutil.which("cc") and sys.platform == "linux" else "a C compiler, cc, on Linux",
    ),
}
