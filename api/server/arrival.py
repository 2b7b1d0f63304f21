"""When a request started: the budget counts from its first byte, not from the moment the app is called."""

import asyncio
import socket
import struct
import sys
from typing import Any, NamedTuple

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SINCE = "deskbell.since"
"""The key of the lifespan's state under which the event loop's time lies at which this process began to answer."""

_ARRIVAL = "deskbell.arrival"
_LAST_RECEIVED = struct.Struct("=52xI")  # tcpi_last_data_recv in Linux' struct tcp_info: milliseconds
_LEAST_SECONDS = 0.05  # the kernel's clock may tick only a hundred times a second


class Arrival(NamedTuple):
    """The event loop's times at which a request's first byte arrived, and was read."""

    request_started_at: float
    read_at: float


class TimedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also notes the event loop's time at which a request's first byte arrived.

    A request may wait behind another on its connection, its headers may come slowly, and it may have waited in the
    kernel while the event loop was blocked. A request that came before this process began to answer counts from then.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin a connection."""
        super().connection_made(transport)
        given = transport.get_extra_info("socket")
        # A socket of our own for the same file: uvloop makes one for each question that is asked of its own.
        self._socket = socket.socket(given.family, given.type, given.proto, given.fileno()) if given else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection that was closed."""
        if self._socket:
            self._socket.detach()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        now = self.loop.time()
        started_at = max(now - waited(self._socket), self.app_state.get(SINCE, now))
        self.scope[_ARRIVAL] = Arrival(started_at, now)  # type: ignore[literal-required]  # ASGI lets servers add keys


def arrival_of(scope: Scope) -> Arrival:
    """When a request's first byte arrived, and was read; now under another server than ours."""
    noted: Arrival | None = scope.get(_ARRIVAL)
    if noted:
        return noted
    now = asyncio.get_running_loop().time()
    return Arrival(now, now)


def waited(connection: Any) -> float:
    """How many seconds ago the kernel received what was read last; 0 where the system does not say."""
    if sys.platform != "linux" or connection is None:
        return 0.0
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_RECEIVED.size)
        (milliseconds,) = _LAST_RECEIVED.unpack(info)
    except (OSError, struct.error):  # not TCP
        return 0.0
    seconds: float = milliseconds / 1000
    return seconds if seconds >= _LEAST_SECONDS else 0.0
