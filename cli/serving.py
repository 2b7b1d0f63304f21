"""Running an api under uvicorn."""

import asyncio
import os
import signal
import socket
import sys
import threading

import uvicorn
from uvicorn.supervisors import Multiprocess

from api.arrival import TimedProtocol
from api.runs import HANDLER_THREADS

_GRACE_SECONDS = 10
_LAST_SECONDS = 1


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        OSError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(2048)
    listener.set_inheritable(True)
    return listener


def serve(factory: str, listener: socket.socket, processes: int) -> None:
    """Serve on a socket until SIGTERM or SIGINT; answers what is in flight before it ends.

    Args:
        factory: the import string of a function that makes the app, called in each process.
        listener: the socket.
        processes: how many processes; more than one are watched and started again when they die.
    """
    config = uvicorn.Config(
        factory,
        factory=True,
        loop="uvloop",
        http=TimedProtocol,
        ws="none",
        lifespan="on",
        workers=processes,
        access_log=False,  # it would log the query, and with it Sign
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    # uvicorn raises the signal that ended it once more when it is done: that one must not end us with a bad status.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    if processes > 1:
        Multiprocess(config, sockets=[listener]).run()
    else:
        _Server(config).run(sockets=[listener])
        _leave_stragglers()


class _Server(uvicorn.Server):
    """uvicorn's server, whose end does not wait for handlers that heed no cancellation."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop; then give what is left on the event loop a second."""
        await super().serve(sockets)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left and (await asyncio.wait(left, timeout=_LAST_SECONDS))[1]:
            sys.stdout.flush()
            os._exit(0)


def _leave_stragglers() -> None:
    """End at once if a handler still hangs in its thread: Python itself would wait for it without limit."""
    if any(thread.name.startswith(HANDLER_THREADS) for thread in threading.enumerate()):
        sys.stdout.flush()
        os._exit(0)
