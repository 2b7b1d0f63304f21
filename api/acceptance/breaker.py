"""The circuit breaker in front of Redis: while it is open, events go to the spool untried.

The drainer sends the half-open probe: a single event, or a call without events.
"""

import asyncio
import time
from contextlib import suppress

from api.metrics import Metrics
from shared.redis.outages import Outage


class Breaker:
    """Whether Redis takes events.

    Attributes:
        outage: why it does not, and since when.
        is_probe_due: whether Redis is to be asked, though no event waits for it: at the start, and when in doubt.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.outage = Outage()
        self.is_probe_due = True
        self._metrics = metrics
        self._changed_at = time.monotonic()
        self._change = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether Redis takes no events."""
        return bool(self.outage.cause)

    @property
    def seconds(self) -> float:
        """For how long it has been open, or closed."""
        return time.monotonic() - self._changed_at

    def trip(self, error: BaseException) -> None:
        """Open: Redis has not taken a call."""
        if self.outage.record_error(error):
            self._record_change(is_open=True)
        self._change.set()

    def close(self) -> None:
        """Close: Redis has taken a call."""
        if self.outage.record_success():
            self._record_change(is_open=False)

    def probe_soon(self) -> None:
        """Ask Redis soon whether it takes events."""
        self.is_probe_due = True
        self._change.set()

    async def wait_for_change(self, seconds: float) -> None:
        """Wait until it trips or a probe is asked for, so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._change.wait()
        self._change.clear()

    def _record_change(self, *, is_open: bool) -> None:
        self._changed_at = time.monotonic()
        self._metrics.redis_away.inc(1 if is_open else -1)  # with shards there are several breakers
