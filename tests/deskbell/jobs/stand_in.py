"""What the stand-ins of CRMs have in common: real HTTP on a free port, requests that are kept, faults on request."""

import itertools
import json
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl, urlsplit

from redis import Redis

from deskbell import ApiCall
from deskbell.testing import api_call
from shared.wire.events import new_event_id
from tests.waiting import DEADLINE_SECONDS

_seconds = itertools.count(int(time.time()))


def call(order: str = "1002", user: str = "user517") -> ApiCall:
    """An API call about an order, newer than those that were made before."""
    event = api_call("order_status", OrderID=order, SystemClientUserID=user)
    return replace(event, id=new_event_id(next(_seconds)))


@dataclass(frozen=True, slots=True)
class Request:
    """A request: `body` is what its JSON or its form holds; None if it has none, or one that cannot be read."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a JSON body, and how much of it is sent before the connection breaks, as when a proxy dies."""

    status: int
    body: Any = None
    sent: Literal["all", "half", "nothing"] = "all"


Fault = Reply | Callable[[Reply], Reply] | None
"""What comes instead of an answer: a reply, a function of the answer that was due, or None for that answer."""


class StandIn(ABC):
    """A service that a subclass answers for.

    Attributes:
        url: where it is served.
        requests: those that it has answered, and those that a fault has.
        faults: what comes instead of the next answers.
        pause: while it is cleared, some of the answers wait; `paused` says how many did.
        writes: how many times something was written.
        after: what happens when so many writes have been made.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.faults: deque[Fault] = deque()
        self.lock = threading.RLock()
        self.pause = threading.Event()
        self.pause.set()
        self.paused = 0
        self.writes = 0
        self.after: dict[int, Callable[[], None]] = {}

    @abstractmethod
    def answer(self, request: Request) -> Reply:
        """The answer of the service itself."""

    def handle(self, request: Request) -> Reply:
        """The answer, or what a fault makes of it."""
        with self.lock:
            self.requests.append(request)
            fault = self.faults.popleft() if self.faults and self.may_fail(request) else None
        if isinstance(fault, Reply):
            return fault
        reply = self.answer(request)
        return fault(reply) if fault else reply

    def wait(self) -> None:
        """Wait while `pause` is cleared."""
        if not self.pause.is_set():
            self.paused += 1
            assert self.pause.wait(DEADLINE_SECONDS)

    def count_write(self) -> None:
        """Count a write, and do what comes after so many."""
        with self.lock:
            self.writes += 1
            if action := self.after.get(self.writes):
                action()

    def may_fail(self, request: Request) -> bool:
        """Whether the next fault is for this request."""
        return bool(request)


def texts_on(redis: Redis) -> list[bytes]:
    """The keys of texts that adapters keep on a Redis, each with its value."""
    keys: Any = [key for key in redis.keys("deskbell:*") if redis.type(key) == b"string"]
    values: Any = redis.mget(keys)
    return [key + b" " + value for key, value in zip(keys, values, strict=True)]


def half(reply: Reply) -> Reply:
    """An answer that ends in the middle, though what was asked for is done."""
    return replace(reply, sent="half")


def lost(reply: Reply) -> Reply:
    """No answer, though what was asked for is done."""
    return replace(reply, sent="nothing")


_Service = TypeVar("_Service", bound=StandIn)


@contextmanager
def serving(service: _Service) -> Iterator[_Service]:
    """Serve it over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            text = self.rfile.read(int(headers.get("content-length", "0")))
            query = dict(parse_qsl(parts.query))
            self.send(service.handle(Request(self.command, parts.path, query, headers, _body(headers, text))))

        do_GET = do_POST = do_PATCH = reply  # noqa: N815 - the library's names

        def send(self, reply: Reply) -> None:
            text = b"" if reply.body is None else json.dumps(reply.body).encode()
            if reply.sent != "nothing":
                self.send_response_only(reply.status)
                self.send_header("Content-Type", "application/json;charset=utf-8")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text if reply.sent == "all" else text[: len(text) // 2])
            if reply.sent != "all":
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

        def log_message(self, *_: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 256
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        service.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield service
        finally:
            service.pause.set()
            server.shutdown()
            thread.join()


def _body(headers: dict[str, str], text: bytes) -> Any:
    if headers.get("content-type") == "application/x-www-form-urlencoded":
        return dict(parse_qsl(text.decode()))
    try:
        return json.loads(text)
    except ValueError:
        return None
