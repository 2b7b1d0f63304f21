"""An intake in a test, without an api around it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.acceptance.intake import Intake
from api.lateness import Lateness
from api.metrics import Metrics
from deskbell import Settings
from deskbell.testing import api_call
from shared.records.packing import Packing
from shared.redis.connections import connect_async
from shared.wire.events import Reply
from tests.waiting import eventually


@asynccontextmanager
async def open_intake(settings: Settings) -> AsyncIterator[Intake]:
    """An intake that has started."""
    redis = connect_async(settings)
    metrics = Metrics()
    intake = Intake(redis, settings, metrics, Lateness(metrics), Packing(settings))
    await intake.start()
    try:
        yield intake
    finally:
        await intake.close()
        await redis.aclose()


def spool(settings: Settings, *identities: str) -> list[str]:
    """Have events kept by an api that then ends; gives their ids."""

    async def keep() -> list[str]:
        async with open_intake(settings) as intake:
            kept = await asyncio.gather(*(intake.keep(api_call(), Reply(), identity) for identity in identities))
            return [each.event_id for each in kept]

    return asyncio.run(keep())


def drain(settings: Settings) -> None:
    """Start an api, and end it when nothing waits."""

    async def wait() -> None:
        async with open_intake(settings) as intake:
            await eventually(lambda: not intake.spool.all_waiting)

    asyncio.run(wait())
