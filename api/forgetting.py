"""Whether Redis still has what it acknowledged. After a restore, or a failover to a replica that lagged, it does not.

Each call of `accept.lua` has a number, and Redis keeps the last one of each sender: where it is lower than the last one
acknowledged, calls are missing, and the events in them are lost.
"""

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from shared.logs import get_log
from shared.queues import FORGOTTEN_KEY, MARK_KEY

_TOLD_SECONDS = 7 * 24 * 3600
_KNOWN_SECONDS = 24 * 3600  # much less than a sender's number is kept


class Acknowledged:
    """The last call that Redis acknowledged, and what it knows of it.

    Attributes:
        missing: what Redis was found to lack, a sentence; "" as long as it lacks nothing.
    """

    def __init__(self, redis: AsyncRedis) -> None:
        self.missing = ""
        self._redis = redis
        self._sender = ""
        self._number = 0
        self._at = 0.0

    async def note(self, sender: str, number: int, before: int) -> None:
        """A call was acknowledged.

        Args:
            sender: whose.
            number: its number.
            before: the last number that Redis had of the sender until then; its own, when it was sent twice.
        """
        if sender == self._sender and before < self._number and self._is_recent:
            await self._tell(self._number - max(before, 0))
        self._sender, self._number, self._at = sender, number, time.time()

    async def check(self) -> None:
        """Ask Redis for the last call: after an outage, before its sender is given up, and while none is sent.

        Raises:
            RedisError: it is away.
        """
        if not self._is_recent:
            return
        asked = self._sender, self._number
        found = await self._redis.get(MARK_KEY + self._sender)
        number = int(found) if found and found.isdigit() else 0
        was_sent = asked != (self._sender, self._number)  # meanwhile: that call has looked
        if not was_sent and found != b"closed" and number < self._number:
            missing, self._at = self._number - number, 0.0
            await self._tell(missing)

    @property
    def _is_recent(self) -> bool:
        return time.time() < self._at + _KNOWN_SECONDS

    async def _tell(self, calls: int) -> None:
        now = time.time()
        self.missing = _sentence(now, calls)
        get_log().error("redis_forgot", calls=calls)
        with suppress(RedisError, OSError):  # said here and logged all the same
            await self._redis.set(FORGOTTEN_KEY, json.dumps({"at": now, "calls": calls}), ex=_TOLD_SECONDS)


def read_forgotten(connection: Redis) -> str:
    """What an api found Redis to lack within the last days, a sentence; "" if nothing.

    Raises:
        RedisError: the server does not answer.
        ValueError: the key holds something else.
    """
    found: Any = connection.get(FORGOTTEN_KEY)
    if not found:
        return ""
    try:
        said = from_json(found)
        sentence = _sentence(float(said["at"]), int(said["calls"]))
    except (KeyError, TypeError, OverflowError, OSError) as error:
        raise ValueError(f"{FORGOTTEN_KEY} is not as it was written") from error
    return f"{sentence}. Dealt with it? DEL {FORGOTTEN_KEY}"


def _sentence(at: float, calls: int) -> str:
    return (
        f"at {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC Redis lacked {calls} calls, each of one event or "
        "more, that it had acknowledged: it is another server, or was restored from an older copy "
        "(docs/OPERATIONS.md, Failover)"
    )
