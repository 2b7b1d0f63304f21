"""A callback and what it led to, put together from the log lines of the api and of the workers.

A block is complete when all jobs of its event have ended. It is not waited for longer than a moment: what comes later
is shown by itself.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from deskbell.cli.dev.lines import Line

Entry = dict[str, Any]

WAIT_SECONDS = 1.0
"""How long a callback's jobs are waited for before its block is shown."""

_ENDS = ("done", "dead", "discarded")
_OF_A_HANDLER = ("handler_failed", "handler_result", "fallback_failed", "fallback_late")
_REMEMBERED = 1000


@dataclass
class Block:
    """What is known of one event.

    Attributes:
        since: when its first line came, by the clock of `Blocks`.
        callback: the api's line about it; None while, or if, there is none.
        problems: lines about its handler.
        jobs: the job types that it became jobs of; None while it was not fanned out.
        attempts: the last attempt at each job, by the name of its type.
    """

    event_id: str
    since: float
    callback: Entry | None = None
    problems: list[Entry] = field(default_factory=list)
    jobs: list[str] | None = None
    attempts: dict[str, Entry] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether nothing more is to come."""
        ended = {name for name, attempt in self.attempts.items() if attempt["outcome"] in _ENDS}
        return self.callback is not None and self.jobs is not None and ended.issuperset(self.jobs)


@dataclass(frozen=True, slots=True)
class Later:
    """An attempt at a job of an event whose block was shown before."""

    event_id: str
    attempt: Entry


class Blocks:
    """Puts blocks together."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: dict[str, Block] = {}
        self._shown: OrderedDict[str, None] = OrderedDict()
        self._ready: list[Block | Later] = []

    def add(self, line: Line) -> bool:
        """Take a line if it is about one event's callback, fan-out or jobs; whether it is."""
        entry = line.entry or {}
        kind, event_id = line.event, entry.get("event_id")
        if kind == "callback" and (event_id is None or entry.get("outcome") in ("duplicate", "verified")):
            self._ready.append(Block(str(event_id or ""), self._clock(), callback=entry, jobs=[]))
            return True
        if event_id is None or kind not in ("callback", "fan_out", "attempt", *_OF_A_HANDLER):
            return False
        if event_id in self._shown:
            if kind == "attempt":
                self._ready.append(Later(event_id, entry))
            return kind in ("attempt", "fan_out")
        block = self._open.setdefault(event_id, Block(event_id, self._clock()))
        if kind == "callback":
            block.callback = entry
        elif kind == "attempt":
            block.attempts[str(entry.get("job"))] = entry
        elif kind == "fan_out" and entry.get("outcome") != "failed":
            block.jobs = list(entry.get("jobs", []))
        else:
            block.problems.append(entry)
        return True

    def take(self) -> Iterator[Block | Later]:
        """What is to be shown now."""
        ready, self._ready = self._ready, []
        yield from ready
        late = self._clock() - WAIT_SECONDS
        for event_id, block in list(self._open.items()):
            if block.is_complete or block.since < late:
                del self._open[event_id]
                self._shown[event_id] = None
                yield block
        while len(self._shown) > _REMEMBERED:
            self._shown.popitem(last=False)
