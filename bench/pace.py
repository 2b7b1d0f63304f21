"""Open-loop load generator: requests leave at a steady rate, whether or not the earlier ones have been answered.

wrk is closed-loop: it waits for an answer before it sends the next request, so it cannot keep a rate, and a stall hides
the delay of the requests that it did not send (coordinated omission).
"""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import cast

import httptools
import uvloop

EVENT_ID = b"x-deskbell-event"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request.

    Attributes:
        number: of the request, from 0.
        sent: monotonic seconds at which it was due to leave.
        seconds: from then to the last byte of its answer, or until it was given up.
        status: the HTTP status; 0 when no answer came, because the connection broke or patience ran out.
        body: the answer's body.
        event_id: the answer's `X-Deskbell-Event`, or "".
    """

    number: int
    sent: float
    seconds: float
    status: int = 0
    body: bytes = b""
    event_id: str = ""


@dataclass(slots=True)
class _Read:
    status: int = 0
    body: bytes = b""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    is_last: bool = False


class _Connection(asyncio.Protocol):
    """One kept-alive connection, on which one request at a time is under way."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[_Read] | None = None
        self._read = _Read()
        self._parser = httptools.HttpResponseParser(self)
        self.is_open = False

    async def ask(self, request: bytes) -> _Read:
        """Send a request and read its answer.

        Raises:
            ConnectionError: it broke.
        """
        assert self._transport
        self._read = _Read()
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Break it."""
        self.is_open = False
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.is_open = cast("asyncio.Transport", transport), True  # uvloop's is none by type

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, _: Exception | None) -> None:
        self.is_open = False
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionError("the connection broke"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._read.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._read.body += body

    def on_message_complete(self) -> None:
        self._read.status = self._parser.get_status_code()
        self._read.is_last = not self._parser.should_keep_alive()
        if self._answer and not self._answer.done():
            self._answer.set_result(self._read)


class Sender:
    """Sends requests to one address over kept-alive connections, as many as are needed at once."""

    def __init__(self, address: int | Path, patience: float) -> None:
        """Make a sender.

        Args:
            address: a port on loopback, or a Unix socket.
            patience: seconds after which a request is given up.
        """
        self._address = address
        self._patience = patience
        self._idle: list[_Connection] = []

    async def send(self, number: int, request: bytes) -> Answer:
        """Send one request now; what goes wrong is an answer, too."""
        sent = time.monotonic()
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(self._patience):
                connection = await self._connect()
                read = await connection.ask(request)
        except (OSError, TimeoutError):
            if connection:
                connection.close()
            return Answer(number, sent, time.monotonic() - sent)
        seconds = time.monotonic() - sent
        if read.is_last:
            connection.close()
        else:
            self._idle.append(connection)
        event_id = read.headers.get(EVENT_ID, b"").decode()
        return Answer(number, sent, seconds, read.status, read.body, event_id)

    def close(self) -> None:
        """Break all connections."""
        for connection in self._idle:
            connection.close()

    async def _connect(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        loop = asyncio.get_running_loop()
        if isinstance(self._address, Path):
            _, made = await loop.create_unix_connection(_Connection, str(self._address))
        else:
            _, made = await loop.create_connection(_Connection, "127.0.0.1", self._address)
        return made


async def pace(
    sender: Sender,
    request: Callable[[int], bytes],
    rate: float,
    seconds: float,
    is_over: Callable[[], bool] = lambda: False,
) -> list[Answer]:
    """Send `rate` requests a second for some seconds.

    Args:
        sender: whom to send with.
        request: makes the bytes of a request of its number.
        rate: requests a second.
        seconds: how long.
        is_over: ends it sooner.

    Returns:
        What became of each, in their order, when the last is answered or given up.
    """
    under_way = []
    begin = time.monotonic()
    for number in range(ceil(rate * seconds)):
        if is_over():
            break
        ahead = begin + number / rate - time.monotonic()
        if ahead > 0:
            await asyncio.sleep(ahead)
        under_way.append(asyncio.ensure_future(sender.send(number, request(number))))
    return list(await asyncio.gather(*under_way))


def run_paced(
    port: int, request: Callable[[int], bytes], rate: float, seconds: float, patience: float = 5.0
) -> list[Answer]:
    """`pace` in an event loop of its own."""

    async def main() -> list[Answer]:
        sender = Sender(port, patience)
        try:
            return await pace(sender, request, rate, seconds)
        finally:
            sender.close()

    return uvloop.run(main())


def http_post(path: str, body: bytes) -> bytes:
    """The bytes of a POST of JSON."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def percentile(seconds: list[float], hundredth: int) -> float:
    """Milliseconds within which so many hundredths of what took these seconds were done."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, ceil(len(ordered) * hundredth / 100) - 1)] * 1000


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with suppress(OSError), socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
    raise RuntimeError("no port is free")
