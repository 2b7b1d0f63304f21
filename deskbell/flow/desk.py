"""Compares what jobs have said to Desk with what a flow file expects of it. Subset matching, as of answers."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from deskbell.flow.differences import Difference
from deskbell.flow.model import DeskCommands, Fields
from deskbell.simulator.rest.received import Received
from shared.wire.json_values import out_of_text

_LONGEST = 200


Pair = tuple[str, Fields, Received | None]
"""A command, the fields that it must have, and the first one that came and has them."""


def paired(expected: DeskCommands, came: Sequence[Received]) -> list[Pair]:
    """What is expected, each with what came for it."""
    left, found = list(came), list[Pair]()
    for command, fields in expected.expected:
        fits = (each for each in left if each.command == command and not [*_differences(fields, each.fields, "")])
        if first := next(fits, None):
            left.remove(first)
        found.append((command, fields, first))
    return found


def desk_differences(
    expected: DeskCommands, pairs: Sequence[Pair], came: Sequence[Received], line: int
) -> Iterator[Difference]:
    """How what came differs from what is expected.

    Args:
        expected: the commands.
        pairs: `paired` of them.
        came: those of the session.
        line: of the step.
    """
    taken = [received for _, _, received in pairs]
    left = [each for each in came if each not in taken]
    there_were = "; ".join(map(in_words, came)) or "no command"
    for command, fields, received in pairs:
        near = next((each for each in left if each.command == command), None)
        if not received and near:
            left.remove(near)
            for what, wanted, got in _differences(fields, near.fields, command):
                yield Difference("differs", what, wanted, got, line)
        elif not received:
            yield Difference("missing", command, _short(fields), there_were, line)
    for each in left if expected.others else ():
        yield Difference("extra", each.command, "no other command", in_words(each), line)


def in_words(received: Received) -> str:
    """A command, short: what it says, if it says something."""
    said = [*_texts(received.fields.get("MsgBody")), *_texts(received.fields.get("Chunk"))]
    return received.command + (f": {_cut(', '.join(said))}" if said else "")


def _differences(expected: Any, got: Any, where: str) -> Iterator[tuple[str, str, str]]:
    """Where a value differs, what was expected there, and what came; what is not named may be there."""
    if isinstance(expected, dict | list):
        got = out_of_text(got)
    if isinstance(expected, dict) and isinstance(got, dict):
        for name, value in expected.items():
            place = f"{where}.{name}".removeprefix(".")
            if name in got:
                yield from _differences(value, got[name], place)
            else:
                yield place, _short(value), "nothing"
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for number, (value, there) in enumerate(zip(expected, got, strict=True)):
            yield from _differences(value, there, f"{where}[{number}]")
    elif expected != got:
        yield where, _short(expected), _short(got)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for element in value if isinstance(value, list) else ():
        content = element.get("MsgContent", {}) if isinstance(element, dict) else {}
        yield from (str(content[name]) for name in ("Text", "Data") if name in content)


def _short(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
