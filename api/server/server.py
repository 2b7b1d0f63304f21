"""uvicorn's server with a graceful shutdown that drains its connections.

1. A process accepts connections from a socket that other processes may share.
2. At SIGTERM it accepts no more; they wait on the socket for the other processes, or for its successor.
3. Each connection gets the answers under way, and the next one, with `Connection: close`.
4. When the last is closed, or the grace period is over, the app writes what it must, and the process ends with status
   0. A second SIGTERM, or a second SIGINT, ends it at once. One of each does not: the supervisor sends SIGINT while a
   service manager sends SIGTERM to every process of the service.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from api.server.connections import IDLE_SECONDS, Connections
from shared.logs import flush_logs, get_log
from shared.runtime.open_files import raise_file_limit
from shared.runtime.parent import Parent
from shared.settings.config import Settings

_LAST_SECONDS = 1.0
_POLL_SECONDS = 0.05


def connections_of(settings: Settings) -> Connections:
    """The connections of a process with these settings."""
    return Connections(budget_seconds=settings.budget_ms / 1000, max_body_bytes=settings.max_body_bytes)


def serve(
    make_app: Callable[[], ASGIApp],
    settings: Settings,
    listener: socket.socket,
    parent: Parent | None = None,
    lifespan: AbstractAsyncContextManager[None] | None = None,
) -> None:
    """Serve on a socket until SIGTERM or SIGINT; answers what is in flight before it ends.

    All of it is within the lifespan: what handlers share is opened before, and closed afterwards.
    """
    raise_file_limit()
    connections, seconds = connections_of(settings), settings.grace_seconds
    server = Server(make_app, connections, grace_seconds=seconds, parent=parent, lifespan=lifespan)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the supervisor's: it replaces this process
    server.run(sockets=[listener])


class Server(uvicorn.Server):
    """uvicorn's server, which answers every connection before it ends, and waits for no handler that does not end."""

    def __init__(
        self,
        make_app: Callable[[], ASGIApp],
        connections: Connections,
        *,
        grace_seconds: float = 10,
        parent: Parent | None = None,
        lifespan: AbstractAsyncContextManager[None] | None = None,
    ) -> None:
        config = uvicorn.Config(
            make_app,
            factory=True,
            loop="uvloop",
            http=connections.protocol,  # type: ignore[arg-type]  # what makes a protocol serves as well as its class
            ws="none",
            lifespan="on",
            access_log=False,  # it would log the query, and with it Sign
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=IDLE_SECONDS,
        )
        super().__init__(config)
        self._connections = connections
        self._grace_seconds = grace_seconds
        self._parent = parent
        self._lifespan = lifespan or nullcontext()
        self._signals: set[int] = set()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until the end; then give what is left on the event loop a second."""
        async with self._lifespan:
            await super().serve(sockets)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left and (await asyncio.wait(left, timeout=_LAST_SECONDS))[1]:
            exit_now()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and tell the parent."""
        await super().startup(sockets)
        if self._parent:
            self._parent.say_ready()
            asyncio.get_running_loop().add_reader(self._parent, self._hear, self._parent)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, answer what is in flight, and let the app write what it must."""
        get_log().info("stopping", connections=len(self._connections.all))
        loop = asyncio.get_running_loop()
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        self._connections.drain(loop.time())
        deadline = loop.time() + self._grace_seconds
        while self._is_busy() and loop.time() < deadline:  # noqa: ASYNC110 - uvicorn's tasks and signals set no event
            await asyncio.sleep(_POLL_SECONDS)
        await self._cut_short()
        await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's form
        """Begin to stop; at the same signal again, stop at once, also when a handler blocks the event loop.

        uvicorn's own would have the signal raised once more in the end, and with it a bad status.
        """
        if sig in self._signals:
            self.force_exit = True
            timer = threading.Timer(_LAST_SECONDS, exit_now, (1,))
            timer.daemon = True
            timer.start()
        self._signals.add(sig)
        self.should_exit = True

    async def _cut_short(self) -> None:
        """Let what is still in flight answer that nothing was kept."""
        tasks = set(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_LAST_SECONDS / 2)

    def _is_busy(self) -> bool:
        return bool(self._connections.all or self.server_state.tasks) and not self.force_exit

    def _hear(self, parent: Parent) -> None:
        """End if the parent has died without telling this process to end: its successor needs the port."""
        if parent.is_gone():
            asyncio.get_running_loop().remove_reader(parent)
            self.should_exit = True


def exit_now(status: int = 0) -> None:
    """End this process now."""
    flush_logs()
    with suppress(Exception):  # a handler may have closed or replaced it
        sys.stdout.flush()
    os._exit(status)
