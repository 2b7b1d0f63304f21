"""The names that Desk sent and that are not documented."""

import re
from dataclasses import dataclass

from deskbell.unknowns.documented import EVENTS, VARIABLES, fields_of
from deskbell.unknowns.seen import Seen
from shared.wire.commands import COMMANDS
from shared.wire.protocol import COMMAND_FORM

_MOST_NAMES = 100  # of a kind
_NAME = re.compile(COMMAND_FORM)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A name that docs/reference/protocol.md does not list.

    Attributes:
        command: whose packet it is in; its own for a command.
        name: what it is.
        count: how many events had it.
    """

    command: str
    name: str
    count: int


def undocumented(seen: Seen) -> dict[str, list[Unknown]]:
    """The names that are not documented, by kind; the most frequent first.

    A name that does not have the form of a name may be a customer's text, and is left out.
    """
    return {
        "commands": _unknown({(name, name): n for name, n in seen.commands.items() if name not in COMMANDS}),
        "events": _unknown({key: n for key, n in seen.events.items() if key[1] not in EVENTS.get(key[0], ())}),
        "fields": _unknown({key: n for key, n in seen.fields.items() if key[1] not in fields_of(key[0])}),
        "variables": _unknown({("", name): n for name, n in seen.variables.items() if name not in VARIABLES}),
    }


def _unknown(counts: dict[tuple[str, str], int]) -> list[Unknown]:
    named = [key for key in counts if all(not word or _NAME.fullmatch(word) for word in key)]
    first = sorted(named, key=lambda key: (-counts[key], key))[:_MOST_NAMES]
    return [Unknown(command, name, counts[command, name]) for command, name in first]
