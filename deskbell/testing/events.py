"""Events as handlers and jobs receive them, and packets as Desk sends them."""

import dataclasses
import time
from typing import Any, TypeVar

from shared.declarations.options import check_fields, check_variables
from shared.errors import DeclarationError
from shared.wire.commands import ApiCall, received
from shared.wire.events import Event, Reply
from shared.wire.protocol import API_CALL, Packet

_Kind = TypeVar("_Kind", bound=Event)


def api_call(node: str = "", /, **variables: Any) -> ApiCall:
    """An API call as a job sees it: accepted just now, answered with no variables.

    Args:
        node: the node in the URL's path.
        **variables: `Body`, as Desk sends it: mostly strings.

    Raises:
        DeclarationError: a system variable is misspelt; the sentence has the right one.
    """
    check_variables("api_call", "a variable", variables)
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


def packet(**variables: Any) -> Packet:
    """The body of an API call, `EventTime` the present (PROTOCOL §3.1)."""
    return {"CallbackCommand": API_CALL, "Body": variables, "EventTime": int(time.time() * 1000)}
