"""How late this process is because its event loop stood still, and whose code held it: a deadline that knows its clock.

Time-outs lie after a block: their timers go off before what came in meanwhile is read, so a Redis that has answered, or
a body that has arrived, passes for one that has not. What ran out of time meanwhile is given time anew.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from redis.exceptions import TimeoutError as RedisTimeoutError

from api.metrics import Metrics
from shared.loop_lag import Block, LoopLag
from shared.runs import handler_of

_RECENT_SECONDS = 60.0
_LATE_SECONDS = 0.1  # a timer that goes off so much later says that the loop stood still

_Result = TypeVar("_Result")


class Lateness:
    """Watches the event loop of this process.

    Attributes:
        last_block: the last block that is over; None when there was none.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lag: LoopLag | None = None
        self._blocked: dict[str, float] = {}
        self.last_block: Block | None = None

    def start(self) -> None:
        """Begin; on the event loop."""
        self._lag = LoopLag(asyncio.get_running_loop(), _describe, self._note)

    def close(self) -> None:
        """Watch no more."""
        if self._lag:
            self._lag.close()

    def lost(self) -> float:
        """The seconds, ever, in which the loop stood still; on the loop's thread."""
        return self._lag.lost(None) if self._lag else 0.0

    def until(self, when: float, grace: float) -> "Deadline":
        """A context that times out at a time of the loop, as `asyncio.timeout_at`, but not because the loop was late.

        Args:
            when: that time.
            grace: seconds that are given anew when the loop stood still meanwhile.
        """
        return Deadline(when, grace, self.lost)

    async def fairly(self, call: Callable[[], Awaitable[_Result]], seconds: float) -> _Result:
        """What a call comes to; it is made once more if it ran out of its seconds while the loop stood still.

        Raises:
            Exception: what the call, or the second one, raised.
        """
        lost, began = self.lost(), time.monotonic()
        try:
            return await call()
        except (TimeoutError, RedisTimeoutError):
            if not self._was_late(lost, began + seconds):
                raise
        return await call()

    async def wait(self, future: "asyncio.Future[Any]", seconds: float) -> bool:
        """Wait for a future; once more when the loop stood still meanwhile. Whether it is done."""
        lost, began = self.lost(), time.monotonic()
        await asyncio.wait({future}, timeout=seconds)
        if not future.done() and self._was_late(lost, began + seconds):
            await asyncio.wait({future}, timeout=seconds)
        return future.done()

    @property
    def blocking(self) -> list[str]:
        """The handlers whose code held the loop within the last minute; "" is code that is no handler's."""
        since = time.monotonic() - _RECENT_SECONDS
        return [handler for handler, at in list(self._blocked.items()) if at > since]

    def _was_late(self, lost: float, due: float) -> bool:
        return self.lost() > lost or time.monotonic() > due + _LATE_SECONDS

    def _note(self, block: Block) -> None:
        """Count a block, and that it is over; in the watching thread."""
        handler = block.fields.get("handler", "")
        self._blocked[handler] = time.monotonic()
        if block.is_first:
            self._metrics.loop_blocks.labels(handler).inc()
        if block.is_over:
            self._metrics.loop_blocked_seconds.labels(handler).inc(block.seconds)
            self.last_block = block
        self._metrics.loop_blocked.labels(handler).set(1)


class Deadline:
    """See `Lateness.until`."""

    def __init__(self, when: float, grace: float, lost: Callable[[], float]) -> None:
        self._when = when
        self._grace = grace
        self._lost = lost

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._lost_before = self._lost()
        self._timeout = asyncio.timeout(None)
        await self._timeout.__aenter__()
        self._timer = self._loop.call_at(self._when, self._expire)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, where)

    def leave(self, seconds: float) -> None:
        """Let there be so many seconds from now, at least."""
        when = self._loop.time() + seconds
        if when > self._when:
            self._timer.cancel()
            self._when, self._timer = when, self._loop.call_at(when, self._expire)

    def _expire(self) -> None:
        now, lost = self._loop.time(), self._lost()
        if lost == self._lost_before and now < self._when + _LATE_SECONDS:
            self._timeout.reschedule(now)
            return
        self._lost_before = lost
        self.leave(self._grace)


def _describe(task: asyncio.Task[Any] | None) -> Mapping[str, str]:
    handler = handler_of(task)
    return {"handler": handler} if handler else {}
