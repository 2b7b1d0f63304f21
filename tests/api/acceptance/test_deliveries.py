"""Requests of one delivery that are under way at once: one is computed, the others get its answer."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from api.acceptance.accept import Kept
from api.acceptance.deliveries import Deliveries
from shared.errors import CannotKeepError

ANSWER = Kept("1" * 32, b"{}")


def ask_at_once(compute: Callable[[], Awaitable[Kept]]) -> list[Kept | BaseException]:
    """What eight requests of one delivery get, and one that comes when they have ended."""

    async def ask_nine_times() -> list[Kept | BaseException]:
        deliveries = Deliveries()
        asked = [deliveries.keep_once("same", compute) for _ in range(8)]
        at_once = await asyncio.gather(*asked, return_exceptions=True)
        return [*at_once, *await asyncio.gather(deliveries.keep_once("same", compute), return_exceptions=True)]

    return asyncio.run(ask_nine_times())


def test_requests_of_one_delivery_wait_for_the_first() -> None:
    """They get its answer, and nothing is computed again; one that comes later is no business of this process."""
    runs = 0

    async def compute() -> Kept:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        return ANSWER

    assert ask_at_once(compute) == [ANSWER] * 9
    assert runs == 2


@pytest.mark.parametrize("error", [CannotKeepError, ZeroDivisionError, asyncio.CancelledError])
def test_where_the_first_was_not_kept_none_is(error: type[BaseException]) -> None:
    """Whatever the reason; the next request is computed anew."""

    async def fail() -> Kept:
        await asyncio.sleep(0)
        raise error

    assert [type(result) for result in ask_at_once(fail)] == [error, *[CannotKeepError] * 7, error]
