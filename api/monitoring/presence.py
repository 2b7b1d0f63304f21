"""Tells Redis every few seconds that this host's api is there, and what waits in its spool."""

import asyncio
import socket
import time
from contextlib import suppress

from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from api.acceptance.backlog import BacklogReader
from api.acceptance.spool import Survey
from shared.redis.api_hosts import API_HOSTS_KEY, ApiHost
from shared.redis.clock import seconds_ahead
from shared.runtime.parent import Parent
from shared.runtime.tasks import cancel_and_wait
from shared.settings.config import Settings

NOTE_SECONDS = 10.0
_AGAIN_SECONDS = 1.0


class Presence:
    """What this process says of its host's api; an outage of Redis is logged by others."""

    def __init__(self, redis: AsyncRedis, backlog: BacklogReader, settings: Settings, parent: Parent | None) -> None:
        self._redis, self._backlog, self._parent = redis, backlog, parent
        self._host, self._folder = socket.gethostname(), str(settings.spool_dir.absolute())
        self._shards = settings.shards
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to tell; on the running event loop."""
        self._task = asyncio.create_task(self._tell_forever())

    async def close(self) -> None:
        """Tell that this process ends; to be called before the backlog's reader is closed."""
        await cancel_and_wait(self._task)
        await self._tell(has_ended=True)

    async def _tell_forever(self) -> None:
        was_told = True
        while True:
            await asyncio.sleep(NOTE_SECONDS if was_told else _AGAIN_SECONDS)
            was_told = await self._tell(has_ended=False)

    async def _tell(self, *, has_ended: bool) -> bool:
        """Whether Redis was told, soon again if not: after an outage of a minute it takes this host for gone."""
        found = await self._backlog.read()
        if found is None:  # the disk does not answer: what is known stays
            return True
        with suppress(RedisError, OSError):
            ahead = await seconds_ahead(self._redis)
            here = self._host_now(found, ahead, has_ended=has_ended)
            await self._redis.hset(API_HOSTS_KEY, here.field, here.to_json())
            return True
        return False

    def _host_now(self, found: Survey, ahead: float, *, has_ended: bool) -> ApiHost:
        return ApiHost(
            host=self._host,
            folder=self._folder,
            events=found.events,
            oldest=found.oldest,
            noted=round(time.time() - ahead, 3),
            has_ended=has_ended,
            size=found.size,
            ahead=round(ahead, 3),
            kept_at=self._parent.kept_at if self._parent else 0.0,
            shards=self._shards,
        )
