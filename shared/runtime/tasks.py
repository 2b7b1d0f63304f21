"""Ending tasks that run in the background."""

import asyncio

_AGAIN_SECONDS = 0.1


async def cancel_and_wait(*tasks: "asyncio.Task[None] | None") -> None:
    """Cancel tasks, and wait until they have ended.

    A task that goes on is cancelled again: redis-py takes a cancellation that comes at a bad moment for a time-out of
    its own, or for the end of a connection, and the code that called redis-py goes on.
    """
    left = {task for task in tasks if task}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_SECONDS)
