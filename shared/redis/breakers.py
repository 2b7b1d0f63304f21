"""Queues that a circuit breaker has paused, read from what the workers' `limits.lua` writes."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json
from redis import Redis

from shared.keys import DESKBELL

PAUSED_KEY = f"{DESKBELL}paused"
"""A hash: for each job type whose jobs keep failing, what its breaker has noted, as JSON."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The pause of a queue for one job type; a queue may have several.

    Attributes:
        job_type: the name of the type whose jobs failed in a row.
        since: when the queue was paused, UTC.
        until: when a job is tried next, UTC; in the past while one is tried (half open).
        cause: the cause of the last failure.
    """

    queue: str
    job_type: str
    since: datetime
    until: datetime
    cause: str


def read_pauses(written: Mapping[Any, Any]) -> list[Pause]:
    """The pauses, by queue, in what HGETALL gives of `PAUSED_KEY`; those that are over are left out."""
    found, now_ms = [], time.time() * 1000
    for job_type, text in written.items():
        fields = from_json(text)
        if now_ms < max(fields["until"], fields.get("probe_until", 0)):
            since, until = (datetime.fromtimestamp(fields[name] / 1000, UTC) for name in ("since", "until"))
            name = job_type.decode().replace("-", ".")  # its slug: a dash stands for a dot
            found.append(Pause(fields["queue"], name, since, until, fields["cause"]))
    return sorted(found, key=lambda pause: (pause.queue, pause.job_type))


def paused_queues(connection: Redis) -> list[Pause]:
    """The queues that are paused now, by name."""
    return read_pauses(connection.hgetall(PAUSED_KEY))
