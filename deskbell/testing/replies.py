"""Replies to events as Desk would get them, computed by the code of the api."""

import asyncio
import dataclasses
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from shared.errors import DeskbellError, ResultError
from shared.handlers.asking import AskHandler
from shared.handlers.callbacks import Callbacks
from shared.handlers.handler import Handler
from shared.handlers.replies import Replies
from shared.settings.config import load_settings
from shared.wire.events import Event, Reply

if TYPE_CHECKING:
    from deskbell.testing.memory import MemoryQueue


def reply(
    callbacks: Callbacks, event: Event, *, seconds: float | None = None, queue: "MemoryQueue | None" = None
) -> Reply:
    """What Desk would get for an event: computed as the api does, with its deadline, fallback and codes.

    The lifespans of the handlers are entered before and left afterwards. The traceback of a handler that failed is
    written to standard output.

    Args:
        callbacks: the handlers.
        event: what comes in.
        seconds: the handler's time; by default that of the settings, 1 s unless they say otherwise.
        queue: takes the event with its reply, as the api does; tickets of late values are for what its jobs compute.

    Raises:
        ResultError: the result departs from the outputs that the handler declares, which the api only logs.
        LifespanError: a lifespan of the handlers does not start.
        DeskbellError: an event loop runs already, as in an async test; there `async_reply` is due.
    """
    with suppress(RuntimeError):  # no loop runs; a handler that fails below has no such context in its traceback
        asyncio.get_running_loop()
        raise DeskbellError("reply: an event loop runs here already; write await async_reply(callbacks, event)")
    return asyncio.run(async_reply(callbacks, event, seconds=seconds, queue=queue))


async def async_reply(
    callbacks: Callbacks, event: Event, *, seconds: float | None = None, queue: "MemoryQueue | None" = None
) -> Reply:
    """What `reply` gives, on the event loop of an async test, whose fixtures may belong to that loop."""
    settings = load_settings()
    if seconds is None:
        seconds = (settings.budget_ms - settings.reserved_ms) / 1000
    monitor = _Monitor()
    replies = Replies(callbacks, monitor)
    try:
        async with callbacks.lifespans.entered(settings):
            _ask_in(queue, callbacks, event)
            until = asyncio.get_running_loop().time() + seconds
            given = await replies.reply_to(dataclasses.replace(event, reply=None), until, until)
    finally:
        replies.close()
    if monitor.problems:
        raise ResultError("; ".join(monitor.problems))
    if queue:
        await asyncio.to_thread(queue.put, dataclasses.replace(event, reply=given))
    return given


def _ask_in(queue: "MemoryQueue | None", callbacks: Callbacks, event: Event) -> None:
    """Have tickets ask a queue in memory."""
    if isinstance(callbacks.find(event), AskHandler) and queue is None:
        raise DeskbellError(
            "reply: a ticket is for what a queue's jobs compute; write reply(callbacks, event, queue=…)"
        )
    for handler in callbacks.handlers:
        if handler.late and queue:
            handler.late.redis = [queue.redis]


class _Monitor:
    """Keeps how results depart from their declarations; a test sees the rest in the reply."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def check(self, handler: Handler | None, _: Event, result: Any, reply: Reply) -> None:
        if handler:
            found = handler.outputs.problems(result, reply.variables) if result is not None else []
            self.problems += [f"{handler.name}: {problem}" for problem in found]

    def record_nothing(self, _: Handler) -> None:
        pass

    record_straggler = record_saturated = record_nothing
