"""Waiting in a test for what comes about elsewhere: by asking again and again, never by sleeping a fixed time."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")

DEADLINE_SECONDS = 30


def until(condition: Callable[[], _Result], seconds: float = DEADLINE_SECONDS, every: float = 0.01) -> _Result:
    """Wait for a condition, which is asked so often, and give what it gives."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "the condition did not come about in time"
        time.sleep(every)
    return result


async def eventually(condition: Callable[[], object]) -> None:
    """Wait for a condition on the event loop."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for may be in another process
            await asyncio.sleep(0.001)
