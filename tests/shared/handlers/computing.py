"""The replies to calls, computed without an api."""

import asyncio

from api.metrics import Metrics
from api.monitoring.drift import DriftLog
from deskbell import ApiCall, Callbacks
from deskbell.testing import api_call
from shared.handlers.replies import Replies
from shared.wire.events import Reply

PATIENCE = 10


async def replies_of(replies: Replies, *calls: ApiCall, seconds: float) -> list[Reply]:
    """The replies to calls that come at once."""
    until = asyncio.get_running_loop().time() + seconds
    return await asyncio.gather(*(replies.reply_to(call, until, until) for call in calls))


def reply_of(callbacks: Callbacks, *, seconds: float = 0.1, node: str = "node") -> Reply:
    """The reply to one call."""

    async def compute() -> Reply:
        replies = Replies(callbacks, DriftLog(Metrics()))
        try:
            return (await replies_of(replies, api_call(node), seconds=seconds))[0]
        finally:
            replies.close()

    return asyncio.run(compute())
