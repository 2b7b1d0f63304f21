"""A TCP proxy before Redis that can pass bytes on, swallow them, or refuse connections."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Literal, Self

Mode = Literal["pass", "swallow", "refuse"]
_CHUNK = 65_536


class Proxy:
    """Listens on loopback, in a thread of its own, for as long as it is entered.

    In the mode `swallow` it accepts connections and reads what is sent on them, old and new, and never answers (a black
    hole). In the mode `refuse` it closes them all and stops listening.
    """

    def __init__(self, target: str | int) -> None:
        """Make a proxy.

        Args:
            target: a Unix socket's path, or a port of loopback.
        """
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._mode: Mode = "pass"
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """The Redis URL that leads through it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self._thread.start()
        self._await(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._await(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def turn(self, mode: Mode) -> None:
        """From now on pass, swallow or refuse. Connections whose bytes were swallowed break when it passes again."""
        self._await(self._turn(mode))

    def _await(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _turn(self, mode: Mode) -> None:
        if mode == "refuse" and self._server:
            self._server.close()
            self._server = None
        if mode == "refuse" or self._mode == "swallow":
            for writer in list(self._writers):
                writer.transport.abort()
        self._mode = mode
        if mode != "refuse" and not self._server:
            await self._listen()

    async def _stop(self) -> None:
        if self._server:
            self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._mode == "pass":
                await self._carry(reader, writer)
            else:
                while await reader.read(_CHUNK):
                    pass
        except (OSError, asyncio.CancelledError):
            pass  # either side broke it, or the proxy ends
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self._target, str):
            behind, to_behind = await asyncio.open_unix_connection(self._target)
        else:
            behind, to_behind = await asyncio.open_connection("127.0.0.1", self._target)
        ways = [asyncio.create_task(self._pump(*way)) for way in ((reader, to_behind), (behind, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            to_behind.transport.abort()  # before anything is awaited: this may be cancelled there
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            if self._mode == "pass":
                writer.write(data)
                await writer.drain()
