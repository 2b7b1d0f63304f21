"""Answers that go on (server-sent events): so many at a time, and they end with the process."""

from collections.abc import AsyncIterator, Callable, Iterable

from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

MOST_STREAMS = 20
"""In a process. A page that gets none asks again every few seconds."""

AGAIN_MS = 3000
"""After which a browser asks anew when a stream has ended."""

_HEADERS = {"X-Accel-Buffering": "no"}  # nginx would keep events back


class Streams:
    """Counts the streams of a process.

    Attributes:
        is_ending: whether the process is to end.
    """

    def __init__(self) -> None:
        self.open = 0
        self.is_ending: Callable[[], bool] = lambda: False

    @property
    def has_room(self) -> bool:
        """Whether another one may begin."""
        return self.open < MOST_STREAMS


class Stream(StreamingResponse):
    """An answer that goes on.

    Args:
        streams: the process' streams; where there is no room, the answer is 429.
        events: texts made by `event`.
    """

    def __init__(self, streams: Streams, events: AsyncIterator[str]) -> None:
        super().__init__(events, headers=_HEADERS, media_type="text/event-stream")
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; whoever hangs up has ended it."""
        if not self._streams.has_room:
            await PlainTextResponse("429: too many pages follow at once\n", 429)(scope, receive, send)
            return
        self._streams.open += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.open -= 1


def event(name: str, lines: Iterable[str], place: str = "") -> str:
    """An event as it is sent.

    Args:
        name: what kind it is.
        lines: what it holds.
        place: where to go on from, if the stream breaks off behind it.
    """
    data = "".join(f"data: {line}\n" for line in lines)
    return f"event: {name}\n" + (f"id: {place}\n" if place else "") + (data or "data:\n") + "\n"
