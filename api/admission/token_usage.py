"""When each token was last used, on Redis, for `deskbell doctor`: after a rotation the old one must not be used."""

import asyncio

from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.logs import get_log
from shared.redis.queues import TOKENS_KEY
from shared.runtime.tasks import cancel_and_wait

WRITE_SECONDS = 10
_LATEST = """
for n = 1, #ARGV, 2 do
  if tonumber(redis.call('HGET', KEYS[1], ARGV[n]) or 0) < tonumber(ARGV[n + 1]) then
    redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1])
  end
end
"""


class TokenUsage:
    """Remembers the last use of each token, and writes what is new every few seconds."""

    def __init__(self, redis: AsyncRedis) -> None:
        self._script = redis.register_script(_LATEST)
        self._unsaved: dict[str, int] = {}
        self._saver: asyncio.Task[None] | None = None
        self._fails = False

    def record(self, app_id: str, fingerprint: str, now: float) -> None:
        """A callback of an app was signed with the token of this fingerprint, at `now`, Unix seconds."""
        self._unsaved[f"{app_id}:{fingerprint}"] = int(now)

    def start(self) -> None:
        """Begin to write; on the running event loop."""
        self._saver = asyncio.create_task(self._save_forever())

    async def close(self) -> None:
        """Write what is left, and stop."""
        await cancel_and_wait(self._saver)
        await self._save()

    async def check(self) -> None:
        """Find out whether uses can be written, without writing any."""
        await self._script(keys=[TOKENS_KEY], args=["", 0])

    async def _save_forever(self) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self._save()

    async def _save(self) -> None:
        uses = dict(self._unsaved)
        if not uses:
            return
        try:
            await self._script(keys=[TOKENS_KEY], args=[part for use in uses.items() for part in use])
        except (RedisConnectionError, RedisTimeoutError, OSError):
            return  # the breaker logs an outage
        except RedisError as error:
            if not self._fails:
                get_log().error("token_uses_not_saved", error=error)
            self._fails = True
        else:
            self._fails = False
            self._unsaved = {use: at for use, at in self._unsaved.items() if uses.get(use) != at}
