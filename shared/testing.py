"""Help for the tests of integrators: events as their jobs and handlers receive them, and replies as Desk gets them.

    from shared.testing import api_call, reply

    def test_record_enquiry(crm):
        asyncio.run(record_enquiry(api_call("order_status", OrderID="1002", SystemClientUserID="user517")))

        assert crm.enquiries == [...]

    def test_order_status():
        assert reply(callbacks, api_call("order_status", OrderID="1002")).variables == {"OrderStatus": "shipped"}

The decorators return functions untouched, so that a test calls them like any other.
"""

import asyncio
import dataclasses
import inspect
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

from shared.callbacks import Callbacks
from shared.commands import ApiCall, received
from shared.errors import DeskbellError, Refuse, ResultError
from shared.events import Event, Reply
from shared.protocol import API_CALL, Packet

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
    """
    command = kind.COMMANDS[0] if kind.COMMANDS else "Other.Command"
    event = received({"CallbackCommand": command, "EventTime": int(time.time() * 1000), **fields}, app_id="1400000001")
    assert isinstance(event, kind)
    return dataclasses.replace(event, reply=Reply())


def reply(callbacks: Callbacks, event: Event) -> Reply:
    """What the handler of an event replies; stricter than the api, which logs what is refused here.

    Raises:
        DeskbellError: no handler takes the event.
        VariableError: a variable is missing or does not fit.
        ResultError: the result cannot be answered, or departs from the outputs that the handler declares.
    """
    handler = callbacks.find(event)
    if handler is None:
        raise DeskbellError(f"no handler takes this {type(event).__name__} of the node {event.node!r}")
    try:
        result = handler.function(**handler.bind(event))
        if inspect.isawaitable(result):
            result = asyncio.run(_awaited(result))
    except Refuse as refusal:
        return Reply(code=refusal.code, info=refusal.message, outcome="refused")
    content = handler.content(result)
    problems = handler.outputs.problems(result, content.variables)
    if problems:
        raise ResultError(f"{handler.name}: {'; '.join(problems)}")
    return Reply(variables=content.variables, fields=content.fields, outcome="answered")


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def packet(**variables: Any) -> Packet:
    """The body of an API call, `EventTime` the present (PROTOCOL §3.1)."""
    return {"CallbackCommand": API_CALL, "Body": variables, "EventTime": int(time.time() * 1000)}
