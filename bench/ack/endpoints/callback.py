"""The packet as a FastAPI endpoint validates it, its answer, and the endpoint that hands it to an enqueue."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import BaseModel

ANSWER = {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "Body": {"testKey1": "value1"}}
PATH = "/callback/summary"


class Callback(BaseModel):
    CallbackCommand: str
    Body: dict[str, Any]
    EventTime: int


def app_with(enqueue: Callable[[dict[str, Any]], object]) -> FastAPI:
    """An app that answers when a blocking call has returned; FastAPI runs it in its threads."""
    app = FastAPI()

    @app.post(PATH)
    def callback(callback: Callback, SdkAppid: Annotated[int, Query()]) -> dict[str, Any]:
        enqueue(callback.model_dump())
        return ANSWER

    return app


def app_with_async(enqueue: Callable[[dict[str, Any]], Awaitable[object]], **options: Any) -> FastAPI:
    """An app that answers when a coroutine has returned."""
    app = FastAPI(**options)

    @app.post(PATH)
    async def callback(callback: Callback, SdkAppid: Annotated[int, Query()]) -> dict[str, Any]:
        await enqueue(callback.model_dump())
        return ANSWER

    return app
