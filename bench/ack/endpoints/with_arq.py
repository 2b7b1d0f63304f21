"""FastAPI with arq's `enqueue_job`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq import create_pool
from fastapi import FastAPI

from bench.ack.endpoints.callback import app_with_async
from bench.jobs.contenders.arq_jobs import settings


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.pool = await create_pool(settings)
    yield


async def enqueue(packet: dict[str, Any]) -> None:
    await app.state.pool.enqueue_job("nothing", packet)


app = app_with_async(enqueue, lifespan=lifespan)
