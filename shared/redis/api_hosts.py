"""The hosts of the api as Redis last heard of them: what waits in the spool of one that is gone is nowhere else."""

import time
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError
from redis import Redis

from shared.keys import DESKBELL
from shared.redis.clock import ahead_of

API_HOSTS_KEY = f"{DESKBELL}apis"
"""A hash: for each host and spool folder of an api what it last said, as JSON."""

SILENT_SECONDS = 60.0
"""An api that has said nothing for so long is gone: it speaks every ten seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiHost:
    """An api on one host, all its processes together.

    Attributes:
        folder: its spool's.
        events: how many waited in its spool.
        oldest: since when the first of them did, in Unix seconds; None when none did.
        noted: when it said so, in Unix seconds by Redis' clock.
        has_ended: whether that was its last word: a process of it was told to end, and did.
        size: how many bytes the events in its spool take.
        ahead: how many seconds its clock is ahead of Redis'.
        kept_at: when a new process did not start, so that an old one goes on after SIGHUP, in Unix seconds; else 0.
        shards: how many its setting names; 0 on one Redis.
    """

    host: str
    folder: str
    events: int
    oldest: float | None
    noted: float
    has_ended: bool
    size: int = 0
    ahead: float = 0.0
    kept_at: float = 0.0
    shards: int = 0

    @property
    def field(self) -> str:
        """Its field in the hash."""
        return f"{self.host}:{self.folder}"

    @property
    def age(self) -> float:
        """Seconds since it said so."""
        return max(0.0, time.time() - self.noted)

    @property
    def is_gone(self) -> bool:
        """Whether no api runs there any more, as far as Redis knows."""
        return self.has_ended or self.age > SILENT_SECONDS

    @property
    def oldest_seconds(self) -> float:
        """For how long the first event in its spool has waited; 0 when none does."""
        return max(0.0, time.time() - self.oldest) if self.oldest else 0.0

    def to_json(self) -> bytes:
        """This host as Redis has it."""
        return _HOST.dump_json(self)


def read_api_hosts(written: Any) -> list[ApiHost]:
    """The hosts that HGETALL gives; what somebody else has written is left out."""
    found = []
    for text in written.values():
        try:
            found.append(_HOST.validate_json(text))
        except ValidationError:
            continue
    return sorted(found, key=lambda each: each.field)


def read_hosts(redis: Redis) -> list[ApiHost]:
    """The hosts that Redis has; `noted` is by this host's clock, so that their age is right where that clock is wrong.

    Raises:
        RedisError: Redis does not answer.
    """
    ahead = round(ahead_of(redis))
    return [replace(each, noted=each.noted + ahead) for each in read_api_hosts(redis.hgetall(API_HOSTS_KEY))]


_HOST = TypeAdapter(ApiHost)
