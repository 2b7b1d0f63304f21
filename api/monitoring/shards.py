"""The shards of Redis as one api has them: to each a connection and an intake with a spool, and what is told of it.

Where Redis has no shards, all is on one, which has no number. The first is this process' own: what concerns all, such
as the counts of callbacks, is there.
"""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from prometheus_client.metrics_core import Metric

from api.acceptance.backlog import BacklogReader
from api.acceptance.intake import Intake
from api.acceptance.sharding import Intakes
from api.acceptance.spool import MEGABYTE
from api.lateness import Lateness
from api.metrics import Metrics
from api.monitoring.health import Health
from api.monitoring.presence import Presence
from api.monitoring.queues import collect_queues
from api.monitoring.redis_server import collect_server
from api.monitoring.spool import collect_spool
from shared.handlers.replies import Replies
from shared.records.packing import Packing
from shared.redis.connections import connect_async
from shared.runtime.parent import Parent
from shared.settings.config import Settings


class Shard:
    """One of them; on the event loop that starts it.

    Attributes:
        redis: its master.
        intake: keeps its events.
        health: its report.
    """

    def __init__(
        self,
        number: int | None,
        settings: Settings,
        replies: Replies,
        metrics: Metrics,
        lateness: Lateness,
        packing: Packing,
        parent: Parent | None,
    ) -> None:
        self._settings = settings
        self.redis = connect_async(settings, shard=number)
        self.intake = Intake(self.redis, settings, metrics, lateness, packing)
        self._backlog = BacklogReader(settings.spool_dir, settings.redis_timeout_ms / 1000)
        self._presence = Presence(self.redis, self._backlog, settings, parent)
        self.health = Health(self.redis, settings, self.intake, replies, metrics, self._backlog, lateness)

    async def start(self) -> None:
        """Begin."""
        await self.intake.start()
        self.health.start()
        self._presence.start()

    async def close(self) -> None:
        """Stop, when every request has been answered."""
        await self.intake.close()
        await self.health.close()
        await self._presence.close()
        self._backlog.close()
        await self.redis.aclose()

    async def collect(self) -> list[Metric]:
        """What Redis and this host's disk say of it."""
        found = await asyncio.gather(
            collect_queues(self.redis),
            collect_server(self.redis, self._settings.min_replicas),
            collect_spool(self._backlog, self._settings.spool_max_mb * MEGABYTE),
        )
        return list(chain(*found))


class Shards:
    """All of them.

    Attributes:
        home: the connection of the first.
        intakes: keep the events of all.
    """

    def __init__(
        self,
        settings: Settings,
        replies: Replies,
        metrics: Metrics,
        lateness: Lateness,
        packing: Packing,
        parent: Parent | None,
    ) -> None:
        each = _of_shards(settings) if settings.shards else {None: settings}
        parts = (replies, metrics, lateness, packing, parent)
        self._shards = [Shard(number, own, *parts) for number, own in each.items()]
        self.home = self._shards[0].redis
        self.intakes = Intakes([shard.intake for shard in self._shards])

    async def start(self) -> None:
        """Begin, on the running event loop."""
        await asyncio.gather(*(shard.start() for shard in self._shards))

    async def close(self) -> None:
        """Stop."""
        await asyncio.gather(*(shard.close() for shard in self._shards))

    async def report(self) -> tuple[int, dict[str, Any]]:
        """The health of one, or of all by their numbers, with the worst status; and its HTTP status."""
        found = [await shard.health.report() for shard in self._shards]
        status, report = max(found, key=lambda each: (each[0], _WORST.index(each[1]["status"])))
        if len(found) == 1:
            return status, report
        return status, {"status": report["status"], "shards": {str(at): each for at, (_, each) in enumerate(found)}}

    async def collect(self) -> list[Metric]:
        """What Redis and this host's disk say, with the label `shard` where there are several."""
        found = await asyncio.gather(*(shard.collect() for shard in self._shards))
        return found[0] if len(found) == 1 else labelled(found)


_WORST = ("ready", "degraded", "spooling", "failing", "not ready")


def _of_shards(settings: Settings) -> dict[int | None, Settings]:
    """The settings of each, with a spool of its own, which has its part of the room."""
    room, folder = max(1, settings.spool_max_mb // settings.shards), settings.spool_dir
    return {
        number: settings.model_copy(update={"spool_dir": folder / f"shard-{number}", "spool_max_mb": room})
        for number in range(settings.shards)
    }


def labelled(found: Sequence[Iterable[Metric]]) -> list[Metric]:
    """The families of all shards as one, each sample with the number of its shard."""
    families: dict[str, Metric] = {}
    for shard, own in enumerate(found):
        for family in own:
            whole = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                whole.add_sample(sample.name, {**sample.labels, "shard": str(shard)}, sample.value)
    return list(families.values())
