"""The HTTP client: what its errors and its log lines show."""

import asyncio
import gzip
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from deskbell.http import NO_ANSWER, async_client, client

PLANTED = "planted-4711"


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that answers each connection with some bytes; its URL."""
    with serving(answer) as (url, _):
        yield url


@contextmanager
def serving(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers two connections with some bytes; its URL, and the requests that have come."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):
                with suppress(OSError), server.accept()[0] as connection:  # a client, or the test, may have had enough
                    requests.append(connection.recv(65536))
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", requests


@pytest.mark.parametrize(
    "answer",
    [
        f"HTTP/1.1 200 OK\r\n{PLANTED}\r\n\r\n".encode(),
        f"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{PLANTED}".encode(),
        PLANTED.encode(),
    ],
)
def test_an_answer_that_is_not_http_is_not_shown(answer: bytes) -> None:
    """Neither is its URL: the text of an error ends in the log and with the dead letter."""

    async def ask(url: str) -> None:
        async with async_client(url) as http:
            await http.get(f"/{PLANTED}?token={PLANTED}")

    texts = []
    with answering(answer) as url:
        with client(url) as http, pytest.raises(NO_ANSWER) as raised:
            http.get(f"/{PLANTED}?token={PLANTED}")
        texts.append(str(raised.value))
        with pytest.raises(NO_ANSWER) as raised:
            asyncio.run(ask(url))
        texts.append(str(raised.value))

    assert all(text and PLANTED not in text for text in texts)


def test_no_line_of_the_log_holds_a_url(caplog: pytest.LogCaptureFixture) -> None:
    """Httpx logs each request at INFO, with its query, where an integrator has set that level for all."""
    caplog.set_level(logging.INFO)

    with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as url, client(url) as http:
        status = http.get(f"/?token={PLANTED}").status_code

    assert status == httpx.codes.NO_CONTENT
    assert PLANTED not in caplog.text


def test_a_server_keeps_nothing_here() -> None:
    """A cookie would be sent for all users of the pool, and each answer might bring another one."""
    with (
        serving(b"HTTP/1.1 204 No Content\r\nConnection: close\r\nSet-Cookie: a=1\r\n\r\n") as (url, requests),
        client(url) as http,
    ):
        http.get("/first")
        http.get("/second")

    assert [request for request in requests if b"cookie" in request.lower()] == []
    assert len(requests) == 2


def test_a_redirect_is_not_followed() -> None:
    """It would take the token to wherever the server says."""
    with serving(b"HTTP/1.1 204 No Content\r\n\r\n") as (elsewhere, requests):
        moved = f"HTTP/1.1 307 \r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n"
        with answering(moved.encode()) as url, client(url, headers={"Authorization": PLANTED}) as http:
            status = http.post("/", json={}).status_code

    assert (status, requests) == (307, [])


def test_an_answer_that_unpacks_to_too_much_is_none() -> None:
    """64 of them at once would take the worker's memory: it is left before it is unpacked whole."""
    packed = gzip.compress(bytes(17_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"

    async def ask(url: str) -> None:
        async with async_client(url) as http:
            await http.get("/")

    with answering(head.encode() + packed) as url:
        with client(url) as http, pytest.raises(NO_ANSWER, match="larger than 16 MB"):
            http.get("/")
        with pytest.raises(NO_ANSWER, match="larger than 16 MB"):
            asyncio.run(ask(url))


def test_a_packed_answer_is_read() -> None:
    """As a proxy in front of a CRM may send it."""
    packed = gzip.compress(b'{"id": 7}')
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"

    with answering(head.encode() + packed) as url, client(url) as http:
        assert http.get("/").json() == {"id": 7}
