"""Answers: what they hold, and how they leave, head and body in one system call."""

import asyncio
from collections.abc import Mapping

from starlette.responses import Response

_STATUS = b"HTTP/1.1 "
_INTERIM = b"HTTP/1.1 1"


class Answer(Response):
    """An HTTP response: an envelope, an HTTP status, and headers, which are ours and need no check."""

    def __init__(self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Like Starlette's, of which it is the part that is needed here."""
        self.body = body
        self.status_code = status
        self.background = None
        self.raw_headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        for name, value in (headers or {}).items():
            self.raw_headers.append((name.encode(), value.encode()))


class AnswerTransport(asyncio.Transport):
    """What uvicorn writes answers to: a connection's transport that holds a head until its body follows.

    uvicorn writes them apart, and uvloop makes a system call of each write.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._head = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write; the head of an answer with the next bytes."""
        head, self._head = self._head, b""
        if not head and data[: len(_STATUS)] == _STATUS and data[: len(_INTERIM)] != _INTERIM:
            self._head = bytes(data)
        else:
            self._transport.write(head + data)

    def flush(self) -> None:
        """Write a head that no body follows."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Close, when what was written is out."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closed, or about to be."""
        return self._transport.is_closing()
