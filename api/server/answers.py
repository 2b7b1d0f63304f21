"""Answers to callbacks, as HTTP responses."""

from collections.abc import Mapping

from starlette.responses import Response


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
