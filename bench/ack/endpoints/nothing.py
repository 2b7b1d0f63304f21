"""An endpoint that validates the packet and does nothing: what FastAPI costs by itself."""

from typing import Any

from bench.ack.endpoints.callback import app_with_async


async def nothing(packet: dict[str, Any]) -> None:
    """Keep nothing."""


app = app_with_async(nothing)
