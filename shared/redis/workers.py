"""Workers as they describe themselves on Redis: what each declares, and how busy it was at its last heartbeat."""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from redis import Redis

from shared.keys import DESKBELL

WORKER_KEY = f"{DESKBELL}worker:"
"""Prefix of a worker's record, as JSON; it expires with the worker as RQ knows it."""

SILENT_SECONDS = 20.0
"""Some heartbeats: a worker whose record is older has a blocked event loop, or cannot reach Redis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredJobType:
    """A job type as a worker declares it, as far as others need to know it.

    Attributes:
        starts, period_ms: its rate limit; 0 when it has none.
        concurrency: how many of its jobs may run at once in all workers; 0 when any number may.
        is_ordered: whether the jobs of a partition key run one after another.
        holds: whether a dead letter holds the jobs of its key back.
    """

    queue: str
    starts: int = 0
    period_ms: int = 0
    concurrency: int = 0
    is_ordered: bool = False
    holds: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    """One worker process.

    Attributes:
        name: RQ's name of it.
        version: of Deskbell; with the commit in parentheses where that is known.
        job_types: those it declares, by name.
        slots: how many jobs it performs at once.
        used: how many of them were taken.
        stragglers: functions that went on after their job's time; each holds a thread.
        lag: for how many seconds a callback has waited for its event loop, at most, since the heartbeat before.
        ahead: how many seconds its host's clock is ahead of Redis'.
        noted: when it wrote this, in Unix seconds by Redis' clock.
        kept_at: when a new process did not start, so that this one goes on after SIGHUP, in Unix seconds; else 0.
        shards: how many its setting names; 0 on one Redis.
    """

    name: str
    host: str
    pid: int
    version: str
    queues: tuple[str, ...]
    job_types: dict[str, DeclaredJobType]
    slots: int
    used: int = 0
    stragglers: int = 0
    lag: float = 0.0
    ahead: float = 0.0
    noted: float = 0.0
    kept_at: float = 0.0
    shards: int = 0

    @property
    def key(self) -> str:
        """Its key on Redis."""
        return WORKER_KEY + self.name

    @property
    def address(self) -> str:
        """The process, as a person finds it."""
        return f"{self.host}:{self.pid}"

    @property
    def age(self) -> float:
        """Seconds since it wrote this."""
        return max(0.0, time.time() - self.noted)

    def to_json(self) -> bytes:
        """This record as Redis has it."""
        return _RECORD.dump_json(self)


def read_workers(connection: Redis, names: Iterable[str]) -> dict[str, WorkerRecord]:
    """The records of workers, by name; a worker of RQ's own has none, and what cannot be read is left out."""
    keys = [WORKER_KEY + name for name in names]
    written: Any = connection.mget(keys) if keys else []
    return {record.name: record for record in read_records(written)}


def read_records(written: Iterable[bytes | None]) -> list[WorkerRecord]:
    """The records that are there, in what GET gives of their keys; of another release's, none."""
    found = []
    for text in written:
        with suppress(ValidationError):
            found.append(_RECORD.validate_json(text or b""))
    return found


_RECORD = TypeAdapter(WorkerRecord)
