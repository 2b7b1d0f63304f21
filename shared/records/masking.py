"""Masks what is personal in an event and in the text of a failure, as it is masked on record.

Which values may be shown, the record of the event says: the api, which knows the declarations, has made it. Of an event
that is not on record any more none is shown. What must be shown nevertheless is asked for by another option.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.records.packing import PUBLIC_FIELDS
from shared.records.query import Call
from shared.wire.json_values import text
from shared.wire.protocol import API_CALL

HIDDEN = "(personal)"
"""What stands in a text in the place of a personal value."""

_SHORTEST = 3  # characters of a value that is looked for in a text: shorter ones stand in any
_OPEN = PUBLIC_FIELDS | {"CallbackCommand", "EventTime"}


@dataclass(frozen=True, slots=True)
class Masked:
    """An event as it may be shown.

    Attributes:
        event: the event, with the length of each personal value in its place.
        hidden: those values, the longest first.
    """

    event: dict[str, Any]
    hidden: tuple[str, ...]

    def without(self, failure: str) -> str:
        """The text of a failure without those values, where it quotes them as they are."""
        for value in self.hidden:
            failure = failure.replace(value, HIDDEN)
        return failure


def mask(event: Mapping[str, Any], call: Call | None) -> Masked:
    """An event, as it stands on the wire, without what is personal in it.

    Args:
        event: the event.
        call: its record; None when it is not on record.
    """
    public = {name for name, value in {**call.asked, **call.answered}.items() if type(value) is str} if call else set()
    shown, hidden = dict(event), list[str]()

    def masked(values: Any, may_be_shown: set[str] | frozenset[str]) -> Any:
        if not isinstance(values, Mapping):
            return _length(values, hidden) if values else values
        return {
            name: value if name in may_be_shown or value in ("", None) else _length(value, hidden)
            for name, value in values.items()
        }

    packet = shown.get("packet")
    if isinstance(packet, Mapping) and shown.get("command") == API_CALL:
        shown["packet"] = masked(packet, _OPEN | {"Body"}) | {"Body": masked(packet.get("Body"), public)}
    else:
        shown["packet"] = masked(packet, _OPEN)
    if isinstance(reply := shown.get("reply"), Mapping):
        parts = {name: masked(reply.get(name), public) for name in ("variables", "fields")}
        info = reply.get("info")
        shown["reply"] = {
            **reply,
            **parts,
            "info": info if call and call.info and type(call.info) is str else masked(info, public),
        }
    shown["client_ip"] = masked(shown.get("client_ip"), public)
    return Masked(shown, tuple(sorted(set(hidden), key=lambda each: (-len(each), each))))


def _length(value: Any, hidden: list[str]) -> str:
    hidden += (each for each in _texts(value) if len(each) >= _SHORTEST)
    return f"({len(_text(value))} characters)"


def _texts(value: Any) -> Iterator[str]:
    """A value as a text, and every text within it."""
    yield _text(value)
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _text(value: Any) -> str:
    try:
        return text(value)
    except ValueError:  # a number of more digits than Python writes
        return ""
