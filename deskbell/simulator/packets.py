"""Fixtures: the documented packet of each command (PROTOCOL §3), with other values where one wants them."""

import json
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from shared.declarations.nearest import advice
from shared.declarations.options import check_fields
from shared.errors import PacketError
from shared.wire.commands import COMMANDS, canonical, event_class
from shared.wire.protocol import Packet

FIXTURES = Path(__file__).parent / "fixtures"
"""The documented packets, `<name>.json`, and the answers that the pages show, `<name>.reply.json`."""


def fixture_names() -> list[str]:
    """What the fixtures are called: `api_call`, `session_event` and so on."""
    return sorted(path.stem for path in FIXTURES.glob("*.json") if not path.stem.endswith(".reply"))


def command_named(word: str) -> str | None:
    """The command that a word means, in its documented spelling: a fixture's name, or the command in any case."""
    if word in fixture_names():
        return str(_fixture(word)["CallbackCommand"])
    command = canonical(word)
    return command if command in COMMANDS else None


def packet_of(command: str, fields: Mapping[str, Any] | None = None, *, now: float | None = None) -> Packet:
    """A packet as Desk sends it.

    Args:
        command: a fixture's name, such as `session_event`, or a documented command in any case.
        fields: fields that differ from the fixture's, or that it lacks, in their own types: `{"Seq": 2}`; for an API
            call `{"Body": {"OrderID": "1002"}}`.
        now: Unix seconds, from which `EventTime` is; the present by default.

    Raises:
        PacketError: there is no such command; the sentence has the nearest.
        DeclarationError: a documented field is misspelt; the sentence has the right one.
    """
    found = command_named(command)
    if found is None:
        there_are = f"; there are {', '.join(fixture_names())}"
        raise PacketError(f"no command {command!r}{advice(command, fixture_names(), there_are)}")
    event = event_class(found)
    check_fields(command, "a field", fields or {}, [event])
    name = next(name for name in fixture_names() if canonical(_fixture(name)["CallbackCommand"]) in event.COMMANDS)
    moment = round((time.time() if now is None else now) * 1000)
    return {**_fixture(name), "CallbackCommand": found, "EventTime": moment, **(fields or {})}


def field_from_text(command: str, name: str, text: str) -> Any:
    """The value that a text means for a field: of the type that the field has in the documented packet.

    Raises:
        PacketError: the field is of another type than text there, and the text is none of that type.
    """
    documented = packet_of(command).get(name, "")
    if isinstance(documented, str):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if type(value) is not type(documented):
        raise PacketError(f"{name}: expected {_written(documented)}, as in the documented packet, got {text!r}")
    return value


def _written(documented: Any) -> str:
    kinds = {bool: "true or false", int: "a whole number", list: "a JSON list", dict: "a JSON object"}
    return f"{kinds[type(documented)]} such as {json.dumps(documented, ensure_ascii=False)}"


@cache
def _text_of(name: str) -> str:
    return FIXTURES.joinpath(f"{name}.json").read_text()


def _fixture(name: str) -> Packet:
    """The documented packet, which the caller may change."""
    packet: Packet = json.loads(_text_of(name))
    return packet
