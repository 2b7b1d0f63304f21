"""What the records tell of API calls: how they depart from what handlers declare, and which no handler takes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from redis import Redis

from deskbell.unknowns.seen import Seen
from shared.drift import handler_to_paste, input_drift
from shared.handlers.callbacks import Callbacks
from shared.handlers.handler import Handler
from shared.records.packing import MOST_VARIABLES
from shared.records.query import Call, Wanted, find_calls
from shared.redaction import loggable_fields
from shared.wire.commands import canonical, received
from shared.wire.protocol import API_CALL

MOST_CALLS = 2_500
"""Callbacks that are looked at, the newest."""

MOST_NODES = 100
"""Nodes that are told of."""

_MOST_RECORDS = 10_000  # those of attempts are among them
_MOST_NAMES = 200  # variables of a node
_UNANSWERED = ("no_handler", "receipt")  # a call that names no node gets the receipt


@dataclass(slots=True)
class Drift:
    """How the calls of a node depart from what its handler declares.

    Attributes:
        calls: how many were compared.
        missing: how many lacked an input that has no default, by its name.
        undeclared: how many brought a variable that nobody declares, by its name.
    """

    calls: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    undeclared: Counter[str] = field(default_factory=Counter)

    def add(self, handler: Handler, call: Call) -> None:
        """Compare a call."""
        self.calls += 1
        missing, undeclared = input_drift(handler, call.asked)
        if len(call.asked) < MOST_VARIABLES:  # else the record has not all of them
            self.missing.update(missing)
        _count(self.undeclared, undeclared)

    @property
    def names(self) -> int:
        """How many variables drift."""
        return len(self.missing) + len(self.undeclared)


@dataclass(slots=True)
class Unanswered:
    """Calls of a node that no handler takes.

    Attributes:
        node: "" of calls whose URL names none.
        count: how many there were.
        last: when the newest came, in Unix seconds.
        named: how many brought a variable, by its name.
        filled: how many brought it with a value.
    """

    node: str
    last: float
    count: int = 0
    named: Counter[str] = field(default_factory=Counter)
    filled: Counter[str] = field(default_factory=Counter)

    def add(self, call: Call) -> None:
        """Count a call."""
        self.count += 1
        _count(self.named, call.asked)
        _count(self.filled, [name for name, value in call.asked.items() if value not in ("", 0)])  # 0 is a length

    @property
    def source(self) -> str:
        """The handler to paste; a variable that not every call brought with a value has a default."""
        return handler_to_paste(self.node, {name: self.filled[name] == self.count for name in self.named})


@dataclass(slots=True)
class Told:
    """What the newest callbacks on record tell.

    Attributes:
        calls: how many were looked at.
        back_to: when the oldest of them was kept, in Unix seconds; None when they are all there are.
        drift: by node; of nodes that have a handler.
        unanswered: by node.
        seen: the names in them.
    """

    calls: int = 0
    back_to: float | None = None
    drift: dict[str, Drift] = field(default_factory=dict)
    unanswered: dict[str, Unanswered] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)


def read_told(redis: Redis, callbacks: Callbacks | None) -> Told:
    """What the records tell; without handlers, which calls were not answered when they came."""
    found = find_calls(redis, Wanted(limit=MOST_CALLS, most=_MOST_RECORDS))
    told = Told(len(found.calls), found.back_to)
    handlers: dict[tuple[str, str], Handler | None] = {}
    for call in found.calls:
        told.seen.add_call(call)
        if canonical(call.command) != API_CALL or not loggable_fields(node=call.node):
            continue
        which = call.app, call.node
        if callbacks and call.node and which not in handlers:
            handlers[which] = _handler(callbacks, call)
        if handler := handlers.get(which):
            told.drift.setdefault(call.node, Drift()).add(handler, call)
        elif call.outcome in _UNANSWERED and (call.node in told.unanswered or len(told.unanswered) < MOST_NODES):
            told.unanswered.setdefault(call.node, Unanswered(call.node, call.received)).add(call)
    return told


def _handler(callbacks: Callbacks, call: Call) -> Handler | None:
    """The handler that takes the calls of a node from an app."""
    return callbacks.find(received({"CallbackCommand": API_CALL}, app_id=call.app, node=call.node))


def _count(counts: Counter[str], names: Iterable[str]) -> None:
    counts.update(name for name in names if name in counts or len(counts) < _MOST_NAMES)
