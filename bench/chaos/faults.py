"""The faults of `make chaos`: each is injected while callbacks come, lasts some seconds, and ends."""

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis

from bench.chaos.deliveries import Deliveries
from bench.chaos.network import SECONDS, dropped_packets, missing
from bench.chaos.stack import Stack
from tests.replicated import Replicated, replicated

_HOUR = 3600
_SPOOL_BYTES = 8 * 1024 * 1024
_FILLER = "filler"
_CLOCK = Path(__file__).with_name("clock.c")
_KILLS = 3


@dataclass(frozen=True, slots=True)
class Setup:
    """What a fault is injected into.

    Attributes:
        stack: the folder, the processes, and the server if it has one.
        deliveries: what is sent.
        api_url, workers_url: where the api and the workers find Redis.
        variables: further ones of the api's and the worker's environment.
        connect: a connection to the server that counts in the end; None for the stack's own.
        replicas: the servers behind Sentinel, if there are any.
        gone: the folders of servers that were killed, and that others replaced.
    """

    stack: Stack
    deliveries: Deliveries
    api_url: str
    workers_url: str
    variables: dict[str, str]
    connect: Callable[[], Redis] | None = None
    replicas: Replicated | None = None
    gone: list[Path] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault.

    Attributes:
        title: as the table has it.
        inject: begins it when entered, ends it when left.
        seconds: how long it lasts at least.
        set_up: what it is injected into; one server behind a proxy by default.
        afterwards: what is done when all callbacks are answered, before the queues are drained.
        lacks: what the machine lacks for it; "" when it can happen.
        breaks_connections: whether some requests may go unanswered, since the process that had them died.
    """

    title: str
    inject: Callable[[Setup], AbstractContextManager[None]]
    seconds: float = 4.0
    set_up: "Callable[[Stack, Deliveries], AbstractContextManager[Setup]] | None" = None
    afterwards: Callable[[Setup], None] | None = None
    lacks: str = ""
    breaks_connections: bool = False


@contextmanager
def one_server(stack: Stack, deliveries: Deliveries) -> Iterator[Setup]:
    """A server behind a proxy, which the workers reach directly."""
    with stack.with_server() as url:
        yield Setup(stack, deliveries, url, f"unix://{stack.folder / 's'}", {})


@contextmanager
def _full_disk(stack: Stack, deliveries: Deliveries) -> Iterator[Setup]:
    """The spool lies on a small file system of its own."""
    folder = stack.folder / "spool"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SPOOL_BYTES}", "tmpfs", str(folder)], check=True)
    try:
        with one_server(stack, deliveries) as setup:
            yield setup
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def _false_clock(stack: Stack, deliveries: Deliveries) -> Iterator[Setup]:
    """The api and the worker have a system clock that a file sets (`bench/chaos/clock.c`); their monotonic clock stays.

    Callbacks are not signed: a Sign whose time is an hour off is refused, and nothing would be accepted.
    """
    library = stack.folder / "clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(_CLOCK)], check=True)
    clock = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(stack.folder / "clock")}
    _set_clock(stack, 0)
    deliveries.is_signed = False
    unsigned = {"DESKBELL_SIGNATURE": "when-present", "DESKBELL_INSECURE": "1"}
    with one_server(stack, deliveries) as setup:
        yield Setup(stack, deliveries, setup.api_url, setup.workers_url, clock | unsigned)


@contextmanager
def _sentinels(stack: Stack, deliveries: Deliveries) -> Iterator[Setup]:
    """A master with two replicas, three sentinels; an event is accepted when a replica has it, too."""
    with replicated(stack.folder) as servers:
        variables = {"DESKBELL_MIN_REPLICAS": "1"}
        yield Setup(
            stack, deliveries, servers.url, servers.url, variables, lambda: servers.server(servers.master_port), servers
        )


@contextmanager
def _by_tcp(stack: Stack, deliveries: Deliveries) -> Iterator[Setup]:
    """A server that api and workers reach on loopback, as others do over a network."""
    with stack.with_server():
        url = f"redis://127.0.0.1:{_port(stack)}/0"
        yield Setup(stack, deliveries, url, url, {})


def _port(stack: Stack) -> int:
    with stack.redis() as redis:
        return int(redis.config_get("port")["port"])


@contextmanager
def _packets_dropped(setup: Setup) -> Iterator[None]:
    with dropped_packets(_port(setup.stack)):
        yield


@contextmanager
def _nothing(_: Setup) -> Iterator[None]:
    yield


@contextmanager
def _api_killed(setup: Setup) -> Iterator[None]:
    """One after the other, as soon as its successor serves."""
    for _ in range(_KILLS):
        setup.stack.kill_an_api()
        setup.stack.wait_until_served()
    yield


@contextmanager
def _server_killed(setup: Setup) -> Iterator[None]:
    setup.stack.signal_server(signal.SIGKILL)
    yield
    setup.stack.restart_server()


@contextmanager
def _server_frozen(setup: Setup) -> Iterator[None]:
    with setup.stack.redis() as redis:
        pid = redis.info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _black_hole(setup: Setup) -> Iterator[None]:
    assert setup.stack.proxy
    setup.stack.proxy.turn("swallow")
    yield
    setup.stack.proxy.turn("pass")


@contextmanager
def _memory_full(setup: Setup) -> Iterator[None]:
    with setup.stack.redis() as redis:
        redis.config_set("maxmemory-policy", "noeviction")
        redis.config_set("maxmemory", redis.info("memory")["used_memory"])
        yield
        redis.config_set("maxmemory", 0)


@contextmanager
def _read_only(setup: Setup) -> Iterator[None]:
    """What a client finds that still talks to a master which has become a replica."""
    with setup.stack.redis() as redis:
        redis.replicaof("127.0.0.1", "1")
        yield
        redis.replicaof("NO", "ONE")


@contextmanager
def _failed_over(setup: Setup) -> Iterator[None]:
    assert setup.replicas
    before = setup.replicas.kill_master()
    setup.gone.append(setup.stack.folder / str(before))
    yield
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and setup.replicas.master_port == before:
        time.sleep(0.1)


@contextmanager
def _disk_full(setup: Setup) -> Iterator[None]:
    """Redis refuses connections; then the disk fills up, and stays full when Redis is back."""
    assert setup.stack.proxy
    setup.stack.proxy.turn("refuse")
    time.sleep(2)
    with suppress(OSError), (setup.stack.folder / "spool" / _FILLER).open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    yield
    setup.stack.proxy.turn("pass")


@contextmanager
def _clock_jumped(setup: Setup) -> Iterator[None]:
    """An hour ahead, then back again."""
    _set_clock(setup.stack, _HOUR)
    yield
    _set_clock(setup.stack, 0)


def _an_hour_later(setup: Setup) -> None:
    """A retry that was put off while the clock was ahead is due an hour later: let that hour pass."""
    _set_clock(setup.stack, _HOUR + 60)


def _set_clock(stack: Stack, seconds: int) -> None:
    """Write where the processes have it in their memory: the jump is one for all of them."""
    (stack.folder / "clock").touch()
    with (stack.folder / "clock").open("r+b") as file:
        file.write(struct.pack("q", seconds))


def _can_mount() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


FAULTS = {
    "none": Fault("none", _nothing),
    "api-kill": Fault("api killed, three times", _api_killed, breaks_connections=True),
    "redis-kill": Fault("Redis killed, started again", _server_killed),
    "redis-stop": Fault("Redis frozen for 10 s", _server_frozen, seconds=10),
    "redis-drop": Fault(
        f"packets to Redis dropped for {SECONDS:.0f} s",
        _packets_dropped,
        seconds=SECONDS,
        set_up=_by_tcp,
        lacks=missing(),
    ),
    "black-hole": Fault("Redis behind a black hole", _black_hole),
    "memory": Fault("Redis out of memory", _memory_full),
    "read-only": Fault("Redis a read-only replica", _read_only),
    "failover": Fault("failover by Sentinel", _failed_over, seconds=8, set_up=_sentinels),
    "disk-full": Fault(
        "Redis away, the spool's disk full",
        _disk_full,
        set_up=_full_disk,
        lacks="" if _can_mount() else "root, to mount a small file system",
    ),
    "clock": Fault(
        "clock an hour ahead, and back",
        _clock_jumped,
        set_up=_false_clock,
        afterwards=_an_hour_later,
        lacks="" if shutil.which("cc") and sys.platform == "linux" else "a C compiler, cc, on Linux",
    ),
}
