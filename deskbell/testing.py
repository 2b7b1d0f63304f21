"""Helpers for integrators' tests: events as jobs and handlers receive them, replies as Desk gets them, signed queries.

    from deskbell.testing import api_call, reply

    def test_record_enquiry(crm):
        asyncio.run(record_enquiry(api_call("order_status", OrderID="1002", SystemClientUserID="user517")))

        assert crm.enquiries == [...]

    def test_order_status():
        assert reply(callbacks, api_call("order_status", OrderID="1002")).variables == {"OrderStatus": "shipped"}

    async def test_order_status_from_the_pool(pool):
        assert (await async_reply(callbacks, api_call("order_status", OrderID="1002"))).outcome == "answered"

The decorators return functions untouched, so that a test calls them like any other.
"""

import asyncio
import dataclasses
import time
from contextlib import suppress
from typing import Any, TypeVar

from deskbell.simulator.signing import signed_query as signed_query  # noqa: PLC0414 - public here, too
from shared.declarations.options import check_fields
from shared.errors import DeclarationError, DeskbellError, ResultError
from shared.handlers.callbacks import Callbacks
from shared.handlers.handler import Handler
from shared.handlers.replies import Replies
from shared.settings.config import load_settings
from shared.wire.commands import ApiCall, received
from shared.wire.events import Event, Reply
from shared.wire.protocol import API_CALL, Packet

_Kind = TypeVar("_Kind", bound=Event)


def api_call(node: str = "", /, **variables: Any) -> ApiCall:
    """An API call as a job sees it: accepted just now, answered with no variables.

    Args:
        node: the node in the URL's path.
        **variables: `Body`, as Desk sends it: mostly strings.
    """
    event = received(packet(**variables), app_id="1400000001", node=node)
    assert isinstance(event, ApiCall)
    return dataclasses.replace(event, reply=Reply(variables={}, outcome="answered"))


def event_of(kind: type[_Kind], /, **fields: Any) -> _Kind:
    """An event of a class as a job sees it: accepted just now, answered with the receipt.

    Args:
        kind: the class, such as `SessionEvent`.
        **fields: the packet's fields, spelt as Tencent does; `EventTime` is the present unless given.

    Raises:
        DeclarationError: a field is misspelt; the sentence has the nearest.
    """
    if kind is ApiCall:
        raise DeclarationError('event_of: ApiCall has variables; write api_call("order_status", OrderID="1002")')
    check_fields("event_of", "a field", fields, [kind])
    command = kind.COMMANDS[0] if kind.COMMANDS else "Other.Command"
    event = received({"CallbackCommand": command, "EventTime": int(time.time() * 1000), **fields}, app_id="1400000001")
    assert isinstance(event, kind)
    return dataclasses.replace(event, reply=Reply())


def reply(callbacks: Callbacks, event: Event, *, seconds: float | None = None) -> Reply:
    """What Desk would get for an event: computed as the api does, with its deadline, fallback and codes.

    The traceback of a handler that failed is written to standard output.

    Args:
        callbacks: the handlers.
        event: what comes in.
        seconds: the handler's time; by default that of the settings, 1 s unless they say otherwise.

    Raises:
        ResultError: the result departs from the outputs that the handler declares, which the api only logs.
        DeskbellError: an event loop runs already, as in an async test; there `async_reply` is due.
    """
    with suppress(RuntimeError):  # no loop runs; a handler that fails below has no such context in its traceback
        asyncio.get_running_loop()
        raise DeskbellError("reply: an event loop runs here already; write await async_reply(callbacks, event)")
    return asyncio.run(async_reply(callbacks, event, seconds=seconds))


async def async_reply(callbacks: Callbacks, event: Event, *, seconds: float | None = None) -> Reply:
    """What `reply` gives, on the event loop of an async test, whose fixtures may belong to that loop."""
    if seconds is None:
        settings = load_settings()
        seconds = (settings.budget_ms - settings.reserved_ms) / 1000
    monitor = _Monitor()
    replies = Replies(callbacks, monitor)
    try:
        until = asyncio.get_running_loop().time() + seconds
        given = await replies.reply_to(dataclasses.replace(event, reply=None), until, until)
    finally:
        replies.close()
    if monitor.problems:
        raise ResultError("; ".join(monitor.problems))
    return given


def packet(**variables: Any) -> Packet:
    """The body of an API call, `EventTime` the present (PROTOCOL §3.1)."""
    return {"CallbackCommand": API_CALL, "Body": variables, "EventTime": int(time.time() * 1000)}


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
