"""The inputs of a node that were left out, made up from the signature of its handler."""

import inspect
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deskbell.cli.settings.running import load_settings_here
from shared.declarations.nearest import advice
from shared.errors import ConfigError, VariableError
from shared.handlers.handler import Handler
from shared.handlers.variables import Inputs
from shared.loading import load_callbacks
from shared.wire.commands import received
from shared.wire.json_values import text
from shared.wire.protocol import API_CALL, SYSTEM_VARIABLES

_SYSTEM = {
    "SystemClientUserID": "user517",
    "SystemSessionID": "207cac25-f49e-4ada-9c9f-301cea31dcf2",
    "SystemCustomerServiceID": "@customer_service_account",
    "SystemChannelType": "SDK",
}
_NUMBERED = ("id", "no", "number", "code", "key")  # how the names of variables end that are digits rather than words
_SAMPLES = (
    "sample",
    "1",
    "true",
    "12345678",
    "2026-01-31",
    "2026-01-31T12:00:00Z",
    "12:00:00",
    "user@example.com",
    "https://example.com/",
    "207cac25-f49e-4ada-9c9f-301cea31dcf2",
    "{}",
    "[]",
)


@dataclass(frozen=True, slots=True)
class Filled:
    """The variables of a call.

    Attributes:
        made_up: names of those that nobody gave.
        is_known: whether the node's handler was found.
        note: what to tell: why nothing was filled in, or which variable the handler does not read.
    """

    variables: dict[str, str]
    made_up: tuple[str, ...] = ()
    is_known: bool = False
    note: str = ""


def fill_in(given: Mapping[str, str], app_id: str, node: str) -> Filled:
    """Variables as Desk would send them: those given, and the other inputs of the node's handler.

    An input with a default is sent as `""`, as Desk sends what a user did not give. The handler is looked for in
    `DESKBELL_CALLBACKS`; without it, nothing is filled in.
    """
    try:
        settings = load_settings_here()
        callbacks = load_callbacks(settings)
    except ConfigError as error:
        return Filled(dict(given), note=f"inputs are not filled in: {error}")
    nodes = sorted({handler.name for handler in callbacks.handlers if handler.is_node})
    handler = callbacks.find(received({"CallbackCommand": API_CALL, "Body": dict(given)}, app_id=app_id, node=node))
    if handler is None:
        there_are = f"; there are {', '.join(nodes)}"
        unknown = f"{settings.callbacks} has no handler for {node}{advice(node, nodes, there_are)}"
        return Filled(dict(given), note=unknown if nodes and node else "")
    others = dict(sample_inputs(handler, given))
    return Filled({**given, **others}, tuple(others), is_known=True, note=_unread(handler, given))


def _unread(handler: Handler, given: Mapping[str, str]) -> str:
    """What to say of a variable that the handler does not read, as one that is misspelt; Desk may send others, too."""
    read = [*handler.when, *handler.inputs.names]
    unread = [name for name in given if name not in read and name not in SYSTEM_VARIABLES]
    if handler.event_parameter or not unread:  # with the whole event it may read any
        return ""
    takes = f"; it reads {', '.join(read)}" if read else "; it reads none"
    return f"the handler of {handler.name} does not read {unread[0]}{advice(unread[0], read, takes)}"


def sample_inputs(handler: Handler, given: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """The variables of a node's handler, each with a text that it accepts; `""` for an input with a default.

    Those given are left out: nothing need be found that fits them.

    Raises:
        ConfigError: nothing that is tried fits an annotation.
    """
    yield from ((name, value) for name, value in handler.when.items() if name not in given)
    for parameter in handler.inputs.parameters:
        if parameter.name not in handler.when and parameter.name not in given:
            yield parameter.name, _sample(handler, parameter)


def _sample(handler: Handler, parameter: inspect.Parameter) -> str:
    """A text that an input accepts."""
    name = parameter.name
    if name in _SYSTEM:
        return _SYSTEM[name]
    if name not in handler.inputs.required:
        return ""
    inputs = Inputs(handler.name, [parameter])
    sample = next((each for each in _samples(inputs, name) if _fits(inputs, name, each)), None)
    if sample is None:
        raise ConfigError(
            f"{name}: no sample fits the handler's annotation: write {name}=VALUE, or Field(examples=[…]) in it"
        )
    return sample


def _fits(inputs: Inputs, name: str, sample: str) -> bool:
    try:
        inputs.bind({name: sample})
    except VariableError:
        return False
    return True


def _samples(inputs: Inputs, name: str) -> Iterator[str]:
    """What to try, the likeliest first: what the annotation itself names, then texts of many kinds."""
    try:
        schema: Any = inputs.model.model_json_schema()
    except Exception:  # noqa: BLE001 - a type of the author's that has no JSON schema
        schema = {}
    for value in _named(schema):
        yield json.dumps(value) if isinstance(value, list | dict) else text(value)
    if name.lower().endswith(_NUMBERED):
        yield "1"
    yield from _SAMPLES


def _named(schema: Any) -> Iterator[Any]:
    """The values that a JSON schema names, at any depth."""
    if isinstance(schema, list):
        for each in schema:
            yield from _named(each)
    elif isinstance(schema, dict):
        yield from schema.get("examples", ())
        yield from schema.get("enum", ())
        yield from (schema[key] for key in ("const", "minimum", "maximum") if key in schema)
        for each in schema.values():
            yield from _named(each)
