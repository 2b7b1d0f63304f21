"""The connections of one process: so many and no more, and none that holds a place without using it.

1. A connection is *idle* until a request begins on it, and again when its answer is out.
2. It is *arriving* from a request's first byte to its last. Headers that have not come within the budget are refused,
   and what comes after the answer is thrown away, no longer than that.
3. When there are too many, the one that has been idle longest is closed for the one that came; where none is idle, the
   one that has been arriving longest. Who rings quickly is neither.
4. One that is closed is gone when the other side has read what is left for it, or the budget later: who does not read
   keeps no file of ours open.
5. In the end (`drain`) no connection is kept: each gets its answer with `Connection: close`, those that stay idle are
   closed a little later, so that nobody who is just sending is cut off.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from api.arrival import TimedProtocol
from api.errors import Rejection
from shared.codes import Code
from shared.open_files import file_limit
from shared.protocol import envelope

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

IDLE_SECONDS = 75
"""Seconds an idle connection is kept: longer than proxies keep theirs, so that theirs end first."""

LOGGER = "uvicorn.protocol"
"""The logger of connections. Only errors are heard of it: what a stranger sends that is no HTTP is a rejection."""

NOTE = "deskbell.note"
"""The key of the lifespan's state under which the function lies that counts and logs rejections."""

_LOOK_SECONDS = 0.25
_LINGER_SECONDS = 2.0
_SLACK_SECONDS = 0.25  # beyond the budget: a request whose headers are there is answered by the app first
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
    """What all connections of a process share."""

    def __init__(self, *, budget_seconds: float, max_body_bytes: int, most: int | None = None) -> None:
        """Prepare.

        Args:
            budget_seconds: what a request may take to arrive.
            max_body_bytes: the largest body.
            most: how many connections; by default what the limit of open files allows.
        """
        self.budget_seconds = budget_seconds
        self.most_bytes = max_body_bytes + _MOST_HEAD_BYTES + _MOST_REST_BYTES
        self.most = most or min(max(file_limit() - _OTHER_FILES, file_limit() // 2), _MOST_CONNECTIONS)
        self.all: set[WatchedProtocol] = set()
        self.idle: dict[WatchedProtocol, float] = {}
        self.arriving: dict[WatchedProtocol, float] = {}
        self.is_draining = False
        self._drain_at = 0.0
        self._looker: asyncio.TimerHandle | None = None

    @property
    def protocol(self) -> Callable[..., "WatchedProtocol"]:
        """What uvicorn makes for each connection."""
        return partial(WatchedProtocol, connections=self)

    def enter(self, newcomer: "WatchedProtocol") -> None:
        """A connection was made: make room for it."""
        loop = newcomer.loop
        if len(self.all) >= self.most:
            victim = next(iter(self.idle), None) or next(iter(self.arriving), newcomer)
            victim.cut(_CROWDED)
            if victim is newcomer:
                return
        self.all.add(newcomer)
        self.idle[newcomer] = loop.time()
        if self._looker is None:
            self._looker = loop.call_later(_LOOK_SECONDS, self._look, loop)

    def leave(self, connection: "WatchedProtocol") -> None:
        """A connection was lost."""
        self.all.discard(connection)
        self.idle.pop(connection, None)
        self.arriving.pop(connection, None)

    def drain(self, now: float) -> None:
        """Keep no connection from now on, the event loop's time."""
        self.is_draining = True
        self._drain_at = now + _LINGER_SECONDS
        for connection in self.all:
            connection.keep_no_longer()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what has been idle or arriving for too long: those that began first stand first."""
        # Before anything can fail: one bad connection must not keep the rest from being looked at again.
        self._looker = loop.call_later(_LOOK_SECONDS, self._look, loop) if self.all else None
        now = loop.time()
        oldest = now - (0 if self.is_draining and now >= self._drain_at else IDLE_SECONDS)
        for connection, since in list(self.idle.items()):
            if since > oldest:
                break
            self.idle.pop(connection, None)
            connection.hang_up()
        for connection, since in list(self.arriving.items()):
            if since > now - self.budget_seconds - _SLACK_SECONDS:
                break
            connection.is_late()


class WatchedProtocol(TimedProtocol):
    """uvicorn's protocol for a connection that is watched."""

    def __init__(self, *arguments: Any, connections: Connections, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._watch = connections
        self._received = 0
        self._has_head = True
        self._is_noted = False
        self._unread: asyncio.TimerHandle | None = None
        self._answering: RequestResponseCycle | None = None
        self.logger = logging.getLogger(LOGGER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn's own narrowing
        self._watch.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give it back."""
        self._watch.leave(self)
        self._await_reader_no_longer()
        self._give_answer_up()
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
        if self in self._watch.all and not self.transport.is_closing():
            self._watch.idle.pop(self, None)
            self._watch.arriving[self] = self.loop.time()

    def on_headers_complete(self) -> None:
        """Start to answer."""
        self._has_head = True
        super().on_headers_complete()
        if self._watch.is_draining:
            self.cycle.keep_alive = False
        if len(self.pipeline) > _MOST_PIPELINED:
            self.cut(_PIPELINED)

    def on_message_complete(self) -> None:
        """The request is there."""
        super().on_message_complete()
        self._watch.arriving.pop(self, None)
        self._note_idle()

    def on_response_complete(self) -> None:
        """The answer is out."""
        super().on_response_complete()
        if self.transport.is_closing():
            self.hang_up()
        else:
            self._note_idle()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, and close."""
        super().send_400_response(msg)
        self._note(_NOT_HTTP)
        self.hang_up()

    def pause_writing(self) -> None:
        """The other side does not read."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """The other side reads; once the connection is closed, it must read all."""
        if not self.transport.is_closing():
            self._await_reader_no_longer()
        super().resume_writing()

    def hang_up(self) -> None:
        """Close, when the other side has read what is left."""
        self._watch.idle.pop(self, None)
        self._watch.arriving.pop(self, None)
        self._give_answer_up()
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self._await_reader()

    def keep_no_longer(self) -> None:
        """Close after the answer under way, if there is one."""
        if self._is_answering:
            self.cycle.keep_alive = False

    def is_late(self) -> None:
        """The request has been arriving for longer than the budget."""
        if not self._has_head:
            self.refuse(_LATE)
        elif self.cycle.response_complete:  # answered before its body was there, which does not end
            self.cut(_LATE)

    def refuse(self, rejection: Rejection) -> None:
        """Answer a request that did not come as far as the app, and close."""
        body = envelope(rejection.code.number, rejection.info)
        head = (
            f"HTTP/1.1 {rejection.code.status} Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        )
        if not self._is_answering:
            self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self._note(rejection)
        self.hang_up()

    def cut(self, rejection: Rejection) -> None:
        """Close at once."""
        self._watch.leave(self)
        self._note(rejection)
        self._give_answer_up()
        self.transport.abort()

    @property
    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn does not say that there is none at first
        return cycle is not None and not cycle.response_complete

    def _start_asgi_task(self, cycle: "RequestResponseCycle", app: Any) -> None:
        """Begin to answer: of several requests that were sent ahead the first, which `cycle` is not."""
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _give_answer_up(self) -> None:
        """Let what is being answered not be sent: to write to a closed connection is an error, a line for each."""
        if self._answering and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def _await_reader(self) -> None:
        """Wait for the other side no longer than it may let us wait for a request."""
        self._unread = self._unread or self.loop.call_later(self._watch.budget_seconds, self.cut, _UNREAD)

    def _await_reader_no_longer(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None

    def _note(self, rejection: Rejection) -> None:
        if self._is_noted:
            return  # what had been read with it is still being parsed
        self._is_noted = True
        note = self.app_state.get(NOTE)
        if note:
            note(rejection, status=rejection.code.status)

    def _check_size(self) -> None:
        if not self._has_head:
            self.refuse(_LONG)
        elif self._received > self._watch.most_bytes and self in self._watch.arriving:
            self.cut(_REST)

    def _note_idle(self) -> None:
        """Stand among the idle ones, behind those that have been it for longer."""
        if self not in self._watch.all or self in self._watch.arriving or self._is_answering:
            return
        self._watch.idle.pop(self, None)
        self._watch.idle[self] = self.loop.time()
