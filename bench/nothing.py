"""An endpoint that validates the packet and does nothing: what FastAPI costs by itself."""

from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import BaseModel

app = FastAPI()


class Callback(BaseModel):
    CallbackCommand: str
    Body: dict[str, Any]
    EventTime: int


@app.post("/callback/summary")
async def callback(callback: Callback, SdkAppid: Annotated[int, Query()]) -> dict[str, Any]:
    return {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "Body": {"testKey1": "value1"}}
