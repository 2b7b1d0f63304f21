"""FastAPI with arq's `enqueue_job`: one job, or two."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq import create_pool
from fastapi import FastAPI

from bench.ack.endpoints.callback import app_with_async
from bench.jobs.contenders.arq_jobs import pair, settings


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.pool = await create_pool(settings)
    yield


async def enqueue(packet: dict[str, Any]) -> None:
    await app.state.pool.enqueue_job("nothing", packet)


app = app_with_async(enqueue, lifespan=lifespan)


async def enqueue_two(packet: dict[str, Any]) -> None:
    await pair(app_for_two.state.pool, packet)


app_for_two = app_with_async(enqueue_two, lifespan=lifespan)
