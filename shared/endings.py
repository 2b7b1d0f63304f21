"""Ending what runs in the background."""

import asyncio

_AGAIN_SECONDS = 0.1


async def end(*runs: "asyncio.Task[None] | None") -> None:
    """Cancel runs, and wait until they have ended.

    They are cancelled again while they go on: redis-py takes a cancellation that comes in a bad moment for a time-out
    of its own, or for the end of a connection, and the caller of ours goes on as if nothing had happened.
    """
    left = {run for run in runs if run}
    while left:
        for run in left:
            run.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_SECONDS)
