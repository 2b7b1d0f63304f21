"""The HTTP client: what its errors and its log lines show."""

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from deskbell.http import NO_ANSWER, async_client, client

PLANTED = "planted-4711"


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that answers each connection with some bytes; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


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
