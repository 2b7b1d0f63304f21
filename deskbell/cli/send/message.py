"""What is to be sent: the words of the command line as packets."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deskbell.cli.exit import stop
from deskbell.cli.send.inputs import fill_in
from deskbell.simulator.client import command_of
from deskbell.simulator.packets import command_named, field_from_text, fixture_names, packet_of
from deskbell.unknowns.documented import EVENTS
from shared.declarations.nearest import advice, nearest
from shared.declarations.options import NODE_FORM, check_fields, check_variables
from shared.errors import DeclarationError, PacketError
from shared.wire.commands import COMMANDS, canonical, event_class
from shared.wire.protocol import API_CALL, COMMAND_FORM, Packet

_NEAR = 0.8  # "sesion_event" is near to "session_event", "contact" to no command


@dataclass(frozen=True, slots=True)
class Message:
    """A callback to be sent, any number of times.

    Attributes:
        command: `CallbackCommand`.
        node: the last part of the URL; "" for none.
        fields: what differs from the documented packet.
        body: sent as it is instead, if there is one.
        made_up: names of the variables that nobody gave.
        note: something to be told beside.
    """

    command: str
    node: str = ""
    fields: dict[str, Any] | None = None
    body: bytes | None = None
    made_up: tuple[str, ...] = ()
    note: str = ""

    def packet(self) -> Packet | bytes:
        """The body, new for each callback: `EventTime` is the present."""
        if self.body is not None:
            return self.body
        if self.command in COMMANDS:
            return packet_of(self.command, self.fields)
        return {"CallbackCommand": self.command, "EventTime": round(time.time() * 1000), **(self.fields or {})}


def message_of(words: list[str], app_id: str, command: str | None, body_file: Path | None) -> Message:
    """What a person asked for; a wrong word ends the command in a sentence."""
    names = [word for word in words if "=" not in word]
    given = _given([word for word in words if "=" in word])
    if words[: len(names)] != names:
        stop(f"expected NAME=VALUE, got {names[-1]!r}")
    chosen, node = _chosen(names, command)
    if body_file:
        return _from_file(body_file, node, given, command)
    try:
        if chosen == API_CALL:
            check_variables("send", "a variable", given)
            filled = fill_in(given, app_id, node)
            if not filled.variables and not node:  # the documented packet
                return Message(chosen)
            note = ("" if filled.is_known else _mistaken(node)) or filled.note
            return Message(chosen, node, {"Body": filled.variables}, made_up=filled.made_up, note=note)
        check_fields("send", "a field", given, [event_class(chosen)])
        return _other(chosen, given)
    except (DeclarationError, PacketError) as error:
        stop(str(error))


def _given(words: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition("=")
        if not name:
            stop(f"expected NAME=VALUE, got {word!r}")
        if name in given:
            stop(f"{name} is given twice: write it once")
        given[name] = value
    return given


def _chosen(names: list[str], command: str | None) -> tuple[str, str]:
    """The command and the node that words without a value name."""
    named = command_named(names[0]) if names and command is None else None
    nodes = names[1:] if named else names
    chosen = named or canonical(command or API_CALL)
    if not re.fullmatch(COMMAND_FORM, chosen):
        stop(f"--command: expected a name of letters, digits, dots and underscores, got {command!r}")
    if len(nodes) > 1:
        stop(f"expected NAME=VALUE, got {nodes[1]!r}")
    node = nodes[0] if nodes else ""
    if node and chosen != API_CALL:
        stop(f"{chosen} has no node: expected NAME=VALUE, got {node!r}")
    if node and not re.fullmatch(NODE_FORM, node):
        stop(f"expected a node of up to 64 letters, digits, dots, dashes and underscores, got {node!r}")
    return chosen, node


def _from_file(body_file: Path, node: str, given: dict[str, str], command: str | None) -> Message:
    for other in (*(f"{name}=…" for name in given), *(["--command"] if command else [])):
        stop(f"--body-file and {other} exclude each other")
    body = body_file.read_bytes()
    return Message(command_of(body), node, body=body)


def _mistaken(node: str) -> str:
    """What to say of a node whose name is nearly a command's."""
    meant = nearest(node, {name.replace("_", ""): name for name in fixture_names()}, _NEAR)
    return f"{node} is no command, and so was taken for a node; did you mean {meant}?" if meant else ""


def _unlisted(command: str, event: str | None) -> str:
    """What to say of an event that no page lists, as one that is misspelt; Desk may send others, too."""
    listed = EVENTS.get(command, frozenset())
    if event is None or event in listed or not listed:
        return ""
    return f"no page lists Event={event}" + advice(event, listed, f"; they list {', '.join(sorted(listed))}")


def _other(command: str, given: dict[str, str]) -> Message:
    """A message of another command than an API call."""
    if command in COMMANDS:
        fields = {name: field_from_text(command, name, value) for name, value in given.items()}
        return Message(command, fields=fields, note=_unlisted(command, given.get("Event")))
    note = f"no page lists the command {command}" + advice(command, COMMANDS)
    return Message(command, fields={**given}, note=note)
