"""Single flight: of the requests of one delivery that are under way in this process, one is computed and kept.

The others wait for it and get its answer. A delivery that comes again later is recognised by Redis or the spool.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from api.acceptance.accept import Kept
from shared.errors import CannotKeepError


class Deliveries:
    """The deliveries under way, by identity."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Future[Kept]] = {}

    async def earlier(self, identity: str) -> Kept | None:
        """The answer of a request of the same delivery that is under way, or its CannotKeepError; None without one."""
        first = self._under_way.get(identity)
        if first is None:
            return None
        await asyncio.wait({first})
        if first.cancelled():
            raise CannotKeepError("the first request of this delivery was not kept")
        return first.result()

    @contextmanager
    def first(self, identity: str) -> Iterator["asyncio.Future[Kept]"]:
        """Be the request that is computed; what is set as the future's result is answered to the others as well."""
        self._under_way[identity] = result = asyncio.get_running_loop().create_future()
        try:
            yield result
        finally:
            result.cancel()  # unless it has its result: those that wait then learn that nothing was kept
            del self._under_way[identity]
