"""The steady sender that `make bench-ack` and `make chaos` rely on, at a server of each test's own."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from bench.pace import Answer, Sender, http_post, pace, percentile

OK = b"HTTP/1.1 200 OK\r\nX-Deskbell-Event: e1\r\nContent-Length: 2\r\n\r\n{}"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def paced(serve: Serve, rate: float, seconds: float, patience: float = 5.0) -> list[Answer]:
    """What becomes of requests sent at a rate to a server."""
    served = set()

    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        await serve(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def run() -> list[Answer]:
        async with await asyncio.start_server(serve_and_close, "127.0.0.1", 0) as server:
            sender = Sender(server.sockets[0].getsockname()[1], patience)
            answers = await pace(sender, lambda number: http_post("/", b"%d" % number), rate, seconds)
            sender.close()
            await asyncio.gather(*filter(None, served))
            return answers

    return asyncio.run(run())


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """The body of the next request on a connection; b"" when there is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    return await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r")[0]))


def test_every_request_is_answered_under_its_number() -> None:
    """With its status, its body and the event it was given; connections are used again."""
    bodies, connections = [], []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while body := await read_request(reader):
            bodies.append(body)
            writer.write(OK)

    answers = paced(serve, rate=100, seconds=0.2)

    assert [(each.number, each.status, each.body, each.event_id) for each in answers] == [
        (number, 200, b"{}", "e1") for number in range(20)
    ]
    assert sorted(bodies) == sorted(b"%d" % number for number in range(20))
    assert len(connections) < 20


def test_a_slow_answer_holds_up_nobody() -> None:
    """Requests leave when they are due, whatever became of those before them."""
    all_are_here = asyncio.Event()
    waiting = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting.append(await read_request(reader))
        if len(waiting) == 10:
            all_are_here.set()
        await all_are_here.wait()
        writer.write(OK)

    answers = paced(serve, rate=100, seconds=0.1)

    assert {answer.status for answer in answers} == {200}
    assert answers[0].seconds > answers[-1].seconds, "the first waited longest, and its time is told"


def test_what_is_not_answered_is_told() -> None:
    """A connection that breaks, and a server that hangs: status 0, no later than patience allows."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await read_request(reader) == b"0":
            writer.transport.abort()
        else:
            await reader.read()

    broken, hanging = paced(serve, rate=100, seconds=0.02, patience=0.3)

    assert (broken.status, hanging.status) == (0, 0)
    assert broken.seconds < 0.3 <= hanging.seconds


@pytest.mark.parametrize(("hundredth", "milliseconds"), [(50, 500), (99, 990), (100, 1000)])
def test_percentiles_are_of_what_was_measured(hundredth: int, milliseconds: float) -> None:
    """Within so many milliseconds so many hundredths were answered."""
    assert percentile([number / 1000 for number in range(1, 1001)], hundredth) == pytest.approx(milliseconds)
