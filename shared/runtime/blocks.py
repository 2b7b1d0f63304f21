"""Records of blocked event loops, on Redis: a count for each job type, the last block of each handler and job type."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json, to_json

from shared.keys import DESKBELL
from shared.runtime.loop_lag import Block

BLOCKED_KEY = f"{DESKBELL}blocked"
"""A hash: for each job type that has blocked a worker's event loop, how often."""

LAST_BLOCKS_KEY = f"{DESKBELL}blocked:last"
"""A hash: for each handler and job type that has blocked an event loop, its last block as JSON."""

_OTHERS = "code that is no handler's and no job's"


@dataclass(frozen=True, slots=True)
class LastBlock:
    """A block, as it was noted.

    Attributes:
        who: whose code it was: "handler order_status", "job crm.contact".
        seconds: how long the loop had been blocked when this was noted.
        noted: when that was, UTC.
        is_over: whether the loop ran again.
    """

    who: str
    at: str
    seconds: float
    noted: datetime
    is_over: bool


def entry_of(block: Block) -> tuple[str, bytes]:
    """A block as the field and the value that `LAST_BLOCKS_KEY` has for it."""
    names = (f"{kind} {block.fields[kind]}" for kind in ("handler", "job") if kind in block.fields)
    value = {"at": block.at, "seconds": round(block.seconds, 1), "noted": time.time(), "is_over": block.is_over}
    return next(names, _OTHERS), to_json(value)


def read_blocks(written: Mapping[Any, Any]) -> list[LastBlock]:
    """The blocks that HGETALL gives of `LAST_BLOCKS_KEY`, the latest first."""
    found = [_read(who.decode(), **from_json(text)) for who, text in written.items()]
    return sorted(found, key=lambda block: block.noted, reverse=True)


def _read(who: str, *, at: str, seconds: float, noted: float, is_over: bool) -> LastBlock:
    return LastBlock(who, at, seconds, datetime.fromtimestamp(noted, UTC), is_over)
