"""An intake in a test, without an api around it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.acceptance.intake import Intake
from api.lateness import Lateness
from api.metrics import Metrics
from deskbell import Settings
from shared.redis.connections import connect_async


@asynccontextmanager
async def open_intake(settings: Settings) -> AsyncIterator[Intake]:
    """An intake that has started."""
    redis = connect_async(settings)
    metrics = Metrics()
    intake = Intake(redis, settings, metrics, Lateness(metrics))
    await intake.start()
    try:
        yield intake
    finally:
        await intake.close()
        await redis.aclose()
