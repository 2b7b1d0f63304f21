"""A handler, or a node that has none, with what was counted of it."""

from collections.abc import Iterable
from dataclasses import dataclass

from console.described import Lately
from deskbell.describe.drift import Drift
from deskbell.describe.handlers import Description
from shared.redis.history import Tally, quantile_ms, total
from shared.wire.commands import COMMANDS


@dataclass(frozen=True, slots=True)
class Row:
    """A handler, or a node or command that was counted and has none here.

    Attributes:
        name: the node's; of another command's handler the function's; "" of all that the api knew nothing of.
        handler: None where the console knows none.
        is_command: whether it is counted by its command, as calls are that name no node.
        outcomes: how many callbacks had each outcome, the most frequent first.
        half_ms, most_ms: within how many milliseconds half of them, and 99 %, were answered; None when there are none.
        drift: of a node with calls on record.
    """

    name: str
    handler: Description | None
    is_command: bool
    count: int
    outcomes: list[tuple[str, int]]
    half_ms: float | None
    most_ms: float | None
    drift: Drift | None


def rows_of(handlers: Iterable[Description], lately: Lately) -> list[Row]:
    """The handlers, in the order of their declaration, then what else was counted, by name."""
    rows, told = [], set()
    for handler in handlers:
        counted = [handler.name] if handler.is_node else handler.command
        told.update(counted)
        rows.append(_row(handler.name, handler, counted, lately))
    others = sorted(lately.tallies.keys() - told)
    return rows + [_row(name, None, [name], lately) for name in others]


def _row(name: str, handler: Description | None, counted: list[str], lately: Lately) -> Row:
    tally = total(lately.tallies.get(each, Tally()) for each in counted)
    half, most = quantile_ms(tally.ms, 0.5), quantile_ms(tally.ms, 0.99)
    drift = lately.told.drift.get(name) if handler and handler.is_node else None
    is_command = not handler.is_node if handler else name in COMMANDS
    return Row(name, handler, is_command, tally.count, tally.outcomes.most_common(), half, most, drift)
