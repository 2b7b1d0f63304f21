"""FastAPI with taskiq's `kiq`, on the broker that acknowledges: one job, or two."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from bench.ack.endpoints.callback import app_with_async
from bench.jobs.contenders.taskiq_jobs import broker, pair, tasks


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    await broker.startup()
    yield


async def enqueue(packet: dict[str, Any]) -> None:
    await tasks["nothing"].kiq(packet)


app = app_with_async(enqueue, lifespan=lifespan)
app_for_two = app_with_async(pair, lifespan=lifespan)
