"""An answer leaves in one write."""

import asyncio

import pytest

from api.server.answers import AnswerTransport

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Written(asyncio.Transport):
    """Keeps what is written, a write each, and then its end."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.writes.append(b"closed")

    def is_closing(self) -> bool:
        return b"closed" in self.writes


def test_a_head_leaves_with_the_body_that_follows() -> None:
    """Whatever the body begins with; what follows leaves as it is written."""
    written = Written()
    transport = AnswerTransport(written)

    for part in (HEAD, b"HTTP/1.1 in a text", b"more", HEAD, b"{}"):
        transport.write(part)

    assert written.writes == [HEAD + b"HTTP/1.1 in a text", b"more", HEAD + b"{}"]


@pytest.mark.parametrize("end", ["flush", "close"])
def test_a_head_without_a_body_leaves_at_the_end(end: str) -> None:
    """An answer to HEAD has none."""
    written = Written()
    transport = AnswerTransport(written)

    transport.write(HEAD)
    assert written.writes == []
    getattr(transport, end)()

    assert written.writes[0] == HEAD
    assert transport.is_closing() is (end == "close")


def test_the_word_to_go_on_does_not_wait() -> None:
    """The client sends the body only then."""
    written = Written()

    AnswerTransport(written).write(b"HTTP/1.1 100 Continue\r\n\r\n")

    assert written.writes == [b"HTTP/1.1 100 Continue\r\n\r\n"]
