"""Load generator that costs little beside what it measures: blocking sockets, epoll, one thread, no HTTP library."""

import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from math import inf
from pathlib import Path

from bench.ack.endpoints.endpoint import DESKBELL
from bench.ack.load import CONNECTIONS, FIRST_TIME, request_for
from bench.jobs.contenders.probe import END, PAIR

ENDS_OF_ONE = len(PAIR) * END.size
"""Bytes of the file of ends for a callback whose jobs have all ended."""
_LOOK_SECONDS = 0.001
_PATIENCE_SECONDS = 10.0
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Plan:
    """How callbacks are sent.

    Attributes:
        seconds: how long.
        rate: callbacks a second, whatever becomes of them; None: each connection sends as soon as it was answered.
        most: callbacks in all.
        window: how many callbacks may have been sent whose jobs have not ended.
        connections: at most.
        pause: seconds to wait after the end of the jobs of a full window.
        first: number of the first callback; one whose number was sent before is a repetition.
    """

    seconds: float
    rate: float | None = None
    most: float = inf
    window: float = inf
    connections: int = CONNECTIONS
    pause: float = 0.0
    first: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent.

    Attributes:
        count: callbacks.
        refused: those of them that were not answered with success.
        began: the monotonic time at the beginning.
        cpu_seconds: of the sender while it sent.
    """

    count: int
    refused: int
    began: float
    cpu_seconds: float


class Sender:
    """Sends callbacks to a port of loopback over kept-alive connections."""

    def __init__(self, port: int, plan: Plan, ends: int, request: Callable[[int], bytes]) -> None:
        """Make a sender.

        Args:
            port: of the endpoint.
            plan: what is sent when.
            ends: the descriptor of the file of ends.
            request: makes the bytes of a request of its number.
        """
        self.acks = bytearray()
        self._port, self._plan, self._request = port, plan, request
        self._ends, self._ends_before = ends, os.fstat(ends).st_size
        self._poll = select.epoll()
        self._connections: dict[int, socket.socket] = {}
        self._idle: list[int] = []
        self._under_way: dict[int, int] = {}
        self._parts: dict[int, bytes] = {}
        self._count = self._refused = 0
        self._began = self._end = 0.0

    def run(self) -> Sent:
        """Send as planned, and read all answers.

        Raises:
            RuntimeError: an answer did not come.
        """
        cpu = time.process_time()
        self._began = time.monotonic()
        self._end = self._began + self._plan.seconds
        while (now := time.monotonic()) < self._end and self._count < self._plan.most:
            wait = min(self._send_due(now), self._end - now)
            self._read_answers(max(wait, 0))
        while self._under_way:
            self._read_answers(_PATIENCE_SECONDS)
            if time.monotonic() > self._end + _PATIENCE_SECONDS:
                raise RuntimeError(f"{len(self._under_way)} callbacks were not answered")
        return Sent(self._count, self._refused, self._began, time.process_time() - cpu)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()
        self._poll.close()

    def _send_due(self, now: float) -> float:
        """Send what may leave now; returns the seconds until more may."""
        plan = self._plan
        while self._count < plan.most:
            if plan.rate and (ahead := self._began + self._count / plan.rate - now) > 0:
                return ahead
            if self._count - self._done() >= plan.window:
                return _LOOK_SECONDS
            if not self._idle and len(self._connections) >= plan.connections:
                return _PATIENCE_SECONDS
            if plan.pause:
                time.sleep(plan.pause)
            descriptor = self._idle.pop() if self._idle else self._connect()
            self._under_way[descriptor] = plan.first + self._count
            self._connections[descriptor].sendall(self._request(plan.first + self._count))
            self._count += 1
        return _PATIENCE_SECONDS

    def _done(self) -> int:
        return (os.fstat(self._ends).st_size - self._ends_before) // ENDS_OF_ONE

    def _connect(self) -> int:
        connection = socket.create_connection(("127.0.0.1", self._port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        descriptor = connection.fileno()
        self._connections[descriptor] = connection
        self._poll.register(descriptor, select.EPOLLIN)
        return descriptor

    def _read_answers(self, seconds: float) -> None:
        for descriptor, _ in self._poll.poll(seconds):
            try:
                read = self._connections[descriptor].recv(_CHUNK)
            except ConnectionResetError:
                read = b""
            if not read:
                self._closed(descriptor)
                continue
            answer = self._parts.pop(descriptor, b"") + read
            if not _is_whole(answer):
                self._parts[descriptor] = answer
                continue
            number = self._under_way.pop(descriptor)
            self._idle.append(descriptor)
            if answer.startswith(b"HTTP/1.1 200 "):
                self.acks += END.pack(FIRST_TIME + number, time.monotonic())
            else:
                self._refused += 1

    def _closed(self, descriptor: int) -> None:
        """A connection that was idle for long; what was sent as it was closed is sent again, as HTTP clients do."""
        if descriptor in self._parts:
            raise RuntimeError("the endpoint closed a connection in the middle of an answer")
        number = self._under_way.pop(descriptor, None)
        self._poll.unregister(descriptor)
        self._connections.pop(descriptor).close()
        if number is None:
            self._idle.remove(descriptor)
        else:
            again = self._connect()
            self._under_way[again] = number
            self._connections[again].sendall(self._request(number))


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    _, _, length = head.lower().partition(b"content-length: ")
    return len(body) >= int(length.partition(b"\r\n")[0])


def send(port: int, ends: Path, plan: Plan) -> tuple[Sent, bytes]:
    """Send callbacks to a port of loopback; returns also the acks, in the form in which jobs write their ends."""
    with ends.open("rb") as file, closing(Sender(port, plan, file.fileno(), request_for(DESKBELL))) as sender:
        return sender.run(), bytes(sender.acks)
