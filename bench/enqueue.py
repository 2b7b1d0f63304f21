"""FastAPI with `Queue.enqueue`, as RQ's documentation shows it: neither signature nor de-duplication."""

import os
from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import BaseModel
from redis import Redis
from rq import Queue

app = FastAPI()
queue = Queue("crm", connection=Redis.from_url(os.environ["DESKBELL_REDIS_URL"]))


class Callback(BaseModel):
    CallbackCommand: str
    Body: dict[str, Any]
    EventTime: int


def job(event: dict[str, Any]) -> None:
    pass


@app.post("/callback/summary")
def callback(callback: Callback, SdkAppid: Annotated[int, Query()]) -> dict[str, Any]:
    queue.enqueue(job, callback.model_dump())
    return {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "Body": {"testKey1": "value1"}}
