"""Periodic steps beside a worker's jobs; a step that fails is tried again at its next time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from shared.logs import get_log
from shared.runtime.tasks import cancel_and_wait
from workers.redis_errors import WorkerOutage, is_transient


class Background:
    """The background tasks of a worker; on its event loop."""

    def __init__(self, outage: WorkerOutage) -> None:
        self._outage = outage
        self._tasks: list[asyncio.Task[None]] = []

    async def repeat(self, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step now, and then at intervals."""
        await self.attempt(step)
        self.start(self._repeat(seconds, step))

    def start(self, task: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine for as long as the worker lives."""
        self._tasks.append(asyncio.create_task(task))

    async def attempt(self, step: Callable[[], Awaitable[object]]) -> bool:
        """Take a step, and log when it fails; whether it did what it should."""
        try:
            await step()
        except Exception as error:  # noqa: BLE001 - Redis away, or damage: the next time may do
            if is_transient(error):
                self._outage.record_error(error, step.__name__)
            else:
                get_log().error("maintenance_failed", error=error)
            return False
        self._outage.record_success(step.__name__)
        return True

    async def close(self) -> None:
        """End all tasks."""
        await cancel_and_wait(*self._tasks)

    async def _repeat(self, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self.attempt(step)
