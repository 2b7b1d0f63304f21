"""Single flight: of the requests of one delivery that are under way in this process, one is computed and kept.

The others wait for it and get its answer. A delivery that comes again later is recognised by Redis or the spool.
"""

import asyncio
from collections.abc import Awaitable, Callable

from api.acceptance.accept import Kept
from shared.errors import CannotKeepError


class Deliveries:
    """The deliveries under way, by identity."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Future[Kept]] = {}

    async def keep_once(self, identity: str, keep: Callable[[], Awaitable[Kept]]) -> Kept:
        """What keeps an event, or the answer of a request of the same delivery that is under way.

        Raises:
            CannotKeepError: that request was not kept.
            Exception: whatever `keep` raises.
        """
        if first := self._under_way.get(identity):
            await asyncio.wait({first})
            if first.cancelled():
                raise CannotKeepError("the first request of this delivery was not kept")
            return first.result()
        self._under_way[identity] = result = asyncio.get_running_loop().create_future()
        try:
            kept = await keep()
            result.set_result(kept)
            return kept
        finally:
            result.cancel()  # unless it has its result: those that wait then learn that nothing was kept
            del self._under_way[identity]
