"""Limits the connections of one process, and closes those that are not used.

1. A connection is *idle* until a request begins on it, and again when its answer is out.
2. It is *arriving* from a request's first byte to its last. Headers that have not come within the budget are rejected.
   What comes after the answer is discarded for as long, and then the connection is closed.
3. It is *unread* while the other side does not read what we sent. After the budget it is aborted, so that its file is
   free again.
4. At the limit the connection that has been idle longest is closed for a new one; if none is idle, the one that has
   been arriving longest. A client that sends promptly is never chosen.
5. At the end (`drain`) each connection gets its answer with `Connection: close`. One that stays idle is closed a moment
   later, so that a request just being sent is not cut off.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from api.errors import Rejection
from api.server.arrival import TimedProtocol
from shared.runtime.open_files import file_limit
from shared.wire.codes import Code
from shared.wire.protocol import envelope

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

IDLE_SECONDS = 75
"""Seconds an idle connection is kept: longer than proxies keep theirs, so that the proxy closes first."""

LOGGER = "uvicorn.protocol"
"""The logger of connections. It logs errors alone: a request that is not HTTP is a rejection."""

RECORD_REJECTION = "deskbell.record_rejection"
"""The key of the lifespan's state that holds the function which counts and logs rejections."""

_SWEEP_SECONDS = 0.25
_LINGER_SECONDS = 2.0
_SLACK_SECONDS = 0.25  # beyond the budget: the app answers first where the headers are there
_MOST_HEAD_BYTES = 65_536
_MOST_REST_BYTES = 65_536  # beyond the largest body
_MOST_PIPELINED = 16
_MOST_CONNECTIONS = 10_000
_OTHER_FILES = 256  # to Redis, logs, and whatever handlers open

_NOT_HTTP = Rejection(Code.NOT_A_PACKET, "the request is not HTTP", "not_http")
_LATE = Rejection(Code.NOT_A_PACKET, "the request did not arrive in time", "slow_sender")
_LONG = Rejection(Code.NOT_A_PACKET, "the headers are too long", "long_headers")
_REST = Rejection(Code.NOT_A_PACKET, "the request does not end", "endless_request")
_PIPELINED = Rejection(Code.NOT_A_PACKET, "too many requests at once on a connection", "pipelined")
_UNREAD = Rejection(Code.NOT_A_PACKET, "the answer is not read", "slow_reader")
_CROWDED = Rejection(Code.CANNOT_KEEP, "too many connections", "crowded")


class Connections:
    """The connections of a process, by state, and their limits."""

    def __init__(self, *, budget_seconds: float, max_body_bytes: int, most: int | None = None) -> None:
        self.budget_seconds = budget_seconds
        self.most_bytes = max_body_bytes + _MOST_HEAD_BYTES + _MOST_REST_BYTES
        self.most = most or min(max(file_limit() - _OTHER_FILES, file_limit() // 2), _MOST_CONNECTIONS)
        self.all: set[WatchedProtocol] = set()
        self.idle: dict[WatchedProtocol, float] = {}
        self.arriving: dict[WatchedProtocol, float] = {}
        self.unread: dict[WatchedProtocol, float] = {}
        self.is_draining = False
        self._drain_at = 0.0
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def protocol(self) -> Callable[..., "WatchedProtocol"]:
        """The factory that uvicorn calls for each connection."""
        return partial(WatchedProtocol, connections=self)

    def add(self, newcomer: "WatchedProtocol") -> None:
        """Count a new connection, and make room for it."""
        loop = newcomer.loop
        if len(self.all) >= self.most:
            victim = next(iter(self.idle), None) or next(iter(self.arriving), newcomer)
            victim.abort(_CROWDED)
            if victim is newcomer:
                return
        self.all.add(newcomer)
        self.idle[newcomer] = loop.time()
        if self._sweeper is None:
            self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep, loop)

    def remove(self, connection: "WatchedProtocol") -> None:
        """Forget a connection that was closed."""
        self.all.discard(connection)
        for waiting in (self.idle, self.arriving, self.unread):
            waiting.pop(connection, None)

    def drain(self, now: float) -> None:
        """Let connections end, from now, the event loop's time."""
        self.is_draining = True
        self._drain_at = now + _LINGER_SECONDS
        for connection in self.all:
            connection.close_after_answer()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what has been idle, arriving or unread for too long: those that began first stand first."""
        # Before anything can fail: one bad connection must not keep the rest from being swept again.
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep, loop) if self.all else None
        now = loop.time()
        for waiting, seconds, end in (
            (self.idle, 0 if self.is_draining and now >= self._drain_at else IDLE_SECONDS, WatchedProtocol.close),
            (self.arriving, self.budget_seconds + _SLACK_SECONDS, WatchedProtocol.end_late_request),
            (self.unread, self.budget_seconds, lambda connection: connection.abort(_UNREAD)),
        ):
            for connection, since in list(waiting.items()):
                if since > now - seconds:
                    break
                end(connection)


class WatchedProtocol(TimedProtocol):
    """uvicorn's protocol, with limits on what a connection may cost."""

    def __init__(self, *arguments: Any, connections: Connections, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._connections = connections
        self._received = 0
        self._has_head = True
        self._is_recorded = False
        self._answering: RequestResponseCycle | None = None
        self.logger = logging.getLogger(LOGGER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn's own narrowing
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._connections.remove(self)
        self._discard_answer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, within bounds."""
        self._received += len(data)
        super().data_received(data)
        if self._received > _MOST_HEAD_BYTES and not self.transport.is_closing():
            self._check_size()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._received = 0
        self._has_head = False
        if self in self._connections.all and not self.transport.is_closing():
            self._connections.idle.pop(self, None)
            self._connections.arriving[self] = self.loop.time()

    def on_headers_complete(self) -> None:
        """Start to answer."""
        self._has_head = True
        # Nobody here reads cookies but FastAPI, and old Pythons take minutes for a quoted one (CVE-2024-7592).
        self.scope["headers"] = [each for each in self.scope["headers"] if each[0] != b"cookie"]
        super().on_headers_complete()
        if self._connections.is_draining:
            self.cycle.keep_alive = False
        if len(self.pipeline) > _MOST_PIPELINED:
            self.abort(_PIPELINED)

    def on_message_complete(self) -> None:
        """A request has arrived."""
        super().on_message_complete()
        self._connections.arriving.pop(self, None)
        if self.cycle.response_complete:
            self._record_idle()

    def on_response_complete(self) -> None:
        """The answer is out. What uvicorn would do besides is to start a timer: `Connections` closes what is idle."""
        if self.transport.is_closing():
            self.close()
        elif self.pipeline:
            super().on_response_complete()
        else:
            self.server_state.total_requests += 1
            self.flow.resume_reading()
            self._record_idle()

    def send_400_response(self, msg: str) -> None:
        """Reject a request that is not HTTP, and close."""
        super().send_400_response(msg)
        self._record(_NOT_HTTP)
        self.close()

    def pause_writing(self) -> None:
        """Begin to wait for the other side to read."""
        super().pause_writing()
        self._connections.unread.setdefault(self, self.loop.time())

    def resume_writing(self) -> None:
        """Go on: the other side reads; once the connection is closed, it must read all."""
        if not self.transport.is_closing():
            self._connections.unread.pop(self, None)
        super().resume_writing()

    def close(self) -> None:
        """Close, when the other side has read what is left."""
        self._connections.idle.pop(self, None)
        self._connections.arriving.pop(self, None)
        self._discard_answer()
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self._connections.unread.setdefault(self, self.loop.time())

    def close_after_answer(self) -> None:
        """Close after the answer under way, if there is one."""
        if self._is_answering:
            self.cycle.keep_alive = False

    def end_late_request(self) -> None:
        """Reject a request whose headers do not end; abort one whose body does not end, though it was answered."""
        if not self._has_head:
            self.reject(_LATE)
        elif self.cycle.response_complete:
            self.abort(_LATE)

    def reject(self, rejection: Rejection) -> None:
        """Answer a request that did not come as far as the app, and close."""
        body = envelope(rejection.code.number, rejection.info)
        head = (
            f"HTTP/1.1 {rejection.code.status} Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        )
        if not self._is_answering:
            self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self._record(rejection)
        self.close()

    def abort(self, rejection: Rejection) -> None:
        """Close at once."""
        self._connections.remove(self)
        self._record(rejection)
        self._discard_answer()
        self.transport.abort()

    @property
    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn does not say that there is none at first
        return cycle is not None and not cycle.response_complete

    def _start_asgi_task(self, cycle: "RequestResponseCycle", app: Any) -> None:
        """Begin to answer. Of pipelined requests it is the first, while `cycle` is the last."""
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _discard_answer(self) -> None:
        """Drop what would be answered: writing to a closed connection is an error, logged for each answer."""
        if self._answering and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def _record(self, rejection: Rejection) -> None:
        if self._is_recorded:
            return  # the bytes that were read together with it are still being parsed
        self._is_recorded = True
        record = self.app_state.get(RECORD_REJECTION)
        if record:
            record(rejection, status=rejection.code.status)

    def _check_size(self) -> None:
        if not self._has_head:
            self.reject(_LONG)
        elif self._received > self._connections.most_bytes and self in self._connections.arriving:
            self.abort(_REST)

    def _record_idle(self) -> None:
        """Count as idle, behind the connections that have been idle for longer."""
        if self not in self._connections.all or self in self._connections.arriving or self._is_answering:
            return
        self._connections.idle.pop(self, None)
        self._connections.idle[self] = self.loop.time()
