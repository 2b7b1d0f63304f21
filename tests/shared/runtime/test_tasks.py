"""Ending what runs in the background."""

import asyncio

from shared.runtime.tasks import cancel_and_wait


def test_a_task_that_swallows_its_cancellation_is_cancelled_again() -> None:
    """redis-py may take a cancellation for a time-out of its own, and its caller goes on."""
    swallowed = 0

    async def work() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 2:
                    raise

    async def end() -> bool:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        await cancel_and_wait(None, task)
        return task.cancelled()

    assert asyncio.run(end())
    assert swallowed == 2
