"""Ending what runs in the background."""

import asyncio

_AGAIN_SECONDS = 0.1


async def end(run: "asyncio.Task[None] | None") -> None:
    """Cancel a run, and wait until it has ended.

    It is cancelled again while it goes on: redis-py takes a cancellation that comes in a bad moment for a time-out of
    its own, or for the end of a connection, and the caller of ours goes on as if nothing had happened.
    """
    while run and not run.done():
        run.cancel()
        await asyncio.wait({run}, timeout=_AGAIN_SECONDS)
