"""Time-outs that allow for a blocked event loop, and which handler blocked it.

After a block the timers of time-outs go off before what came in meanwhile is read. So a Redis that has answered, or a
body that has arrived, would pass for one that has not. What timed out because of a block is given its time again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from redis.exceptions import TimeoutError as RedisTimeoutError

from api.metrics import Metrics
from shared.handlers.executor import handler_of
from shared.runtime.loop_lag import Block, LoopLag

_RECENT_SECONDS = 60.0
_TICK_SECONDS = 0.001  # uvloop's timers go off up to half of that too early
_LATE_SECONDS = 0.1  # a timer that goes off so much too late says that the loop was blocked

_Result = TypeVar("_Result")


class Lateness:
    """Watches how late the event loop of this process is.

    Attributes:
        last_block: the last block of the loop that is over; None when there was none.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lag: LoopLag | None = None
        self._blocked: dict[str, float] = {}
        self._deadlines: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.last_block: Block | None = None

    def start(self) -> None:
        """Begin to watch; on the event loop."""
        self._timer = None
        self._lag = LoopLag(asyncio.get_running_loop(), _describe, self._record)

    def close(self) -> None:
        """Stop."""
        if self._lag:
            self._lag.close()

    def lost(self) -> float:
        """For how many seconds in all the loop has been blocked; to be called on its thread."""
        return self._lag.lost(None) if self._lag else 0.0

    def until(self, when: float, grace: float) -> "Deadline":
        """Like `asyncio.timeout_at`; if the loop was blocked meanwhile, `grace` seconds are left at the block's end."""
        return Deadline(when, grace, self)

    def watch(self, deadline: "Deadline", loop: asyncio.AbstractEventLoop) -> None:
        """Have a deadline expire: one timer is set, for the first of all, since one for each would cost more."""
        self._deadlines.add(deadline)
        if self._timer is None or deadline.when < self._timer.when():
            self._set_timer(deadline.when, loop)

    def forget(self, deadline: "Deadline") -> None:
        """Let a deadline expire no more."""
        self._deadlines.discard(deadline)

    async def retry_if_blocked(self, call: Callable[[], Awaitable[_Result]], seconds: float) -> _Result:
        """The result of a call, which is made once more if it timed out while the loop was blocked."""
        lost, began = self.lost(), time.monotonic()
        try:
            return await call()
        except (TimeoutError, RedisTimeoutError):
            if not self._was_late(lost, began + seconds):
                raise
        return await call()

    async def send(self, call: Callable[[], Awaitable[_Result]], seconds: float) -> _Result:
        """The result of a call that takes a batch of events to Redis; as `retry_if_blocked`, and timed."""
        with self._metrics.batch_seconds.time():
            return await self.retry_if_blocked(call, seconds)

    async def wait(self, future: "asyncio.Future[Any]", seconds: float) -> bool:
        """Wait for a future, and once more if the loop was blocked meanwhile; whether the future is done."""
        lost, began = self.lost(), time.monotonic()
        await asyncio.wait({future}, timeout=seconds)
        if not future.done() and self._was_late(lost, began + seconds):
            await asyncio.wait({future}, timeout=seconds)
        return future.done()

    @property
    def blocking(self) -> list[str]:
        """The handlers whose code blocked the loop within the last minute; "" is code that is not a handler's."""
        since = time.monotonic() - _RECENT_SECONDS
        return [handler for handler, at in list(self._blocked.items()) if at > since]

    def _set_timer(self, when: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for deadline in [each for each in self._deadlines if each.when <= now + _TICK_SECONDS]:
            deadline.expire(now)
        if self._deadlines:
            self._set_timer(min(deadline.when for deadline in self._deadlines), loop)

    def _was_late(self, lost: float, due: float) -> bool:
        return self.lost() > lost or time.monotonic() > due + _LATE_SECONDS

    def _record(self, block: Block) -> None:
        """Count a block when it begins and when it is over; in the watching thread."""
        handler = block.fields.get("handler", "")
        self._blocked[handler] = time.monotonic()
        if block.is_first:
            self._metrics.loop_blocks.labels(handler).inc()
        if block.is_over:
            self._metrics.loop_blocked_seconds.labels(handler).inc(block.seconds)
            self.last_block = block
        self._metrics.loop_blocked.labels(handler).set(1)


class Deadline:
    """See `Lateness.until`.

    Attributes:
        when: the event loop's time at which it expires.
    """

    def __init__(self, when: float, grace: float, lateness: Lateness) -> None:
        self.when = when
        self._grace = grace
        self._lateness = lateness
        self._has_expired = False

    def __enter__(self) -> Self:
        """Begin, in the task that is cancelled at the deadline."""
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(self._loop)
        assert task
        self._task = task
        self._lost_before = self._lateness.lost()
        self._lateness.watch(self, self._loop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """End; raise TimeoutError in place of the cancellation that this deadline asked for, as asyncio's does."""
        self._lateness.forget(self)
        if self._has_expired and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def extend(self, seconds: float) -> None:
        """Let at least so many seconds be left."""
        self.when = max(self.when, self._loop.time() + seconds)

    def expire(self, now: float) -> None:
        """Cancel the task, unless the loop was blocked meanwhile."""
        lost = self._lateness.lost()
        if lost == self._lost_before and now < self.when + _LATE_SECONDS:
            self._has_expired = True
            self._lateness.forget(self)
            self._task.cancel()
            return
        self._lost_before = lost
        self.extend(self._grace)


def _describe(task: asyncio.Task[Any] | None) -> Mapping[str, str]:
    handler = handler_of(task)
    return {"handler": handler} if handler else {}
