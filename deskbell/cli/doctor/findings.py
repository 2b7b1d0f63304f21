"""What the checks look at, and what is said when one could not be made."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from redis import Redis

from deskbell.queues.findings import Finding, unknown
from deskbell.queues.state import QueueState
from shared.jobs.jobs import Jobs
from shared.keys import HOME, SHARD
from shared.sentences import sentence
from shared.settings.config import Settings


@dataclass(slots=True)
class Checked:
    """What the checks look at, and what they have seen so far.

    Attributes:
        api_redis_url: Redis as the api's user; None when it is not known to be another than this command's.
        jobs: the job types, once they are loaded; None on a host that has none.
        queues: the queues, once they are read.
        takes_events: whether Redis took the api's script.
        notes_tokens: whether the api can note when a token was used.
        looks_here: whether this host is looked at, too, with its own disk.
        shard: of a cluster, where it is not this process' own.
    """

    settings: Settings
    api_redis_url: str | None = None
    jobs: Jobs | None = None
    queues: list[QueueState] | None = None
    redis: Redis | None = None
    takes_events: bool = False
    notes_tokens: bool = True
    looks_here: bool = True
    shard: int | None = None

    @property
    def is_api(self) -> bool:
        """Whether this host runs the api: one that has no apps, and job types, runs workers alone."""
        return bool(self.settings.apps) or not self.settings.jobs

    @property
    def is_home(self) -> bool:
        """Whether what concerns all shards is here; on one Redis it is."""
        shard = SHARD if self.shard is None else self.shard
        return shard in (None, HOME)

    @property
    def connection(self) -> Redis:
        """The connection, in checks of Redis."""
        assert self.redis
        return self.redis


Check = Callable[[Checked], Iterator[Finding]]
"""Looks for one thing; its docstring's first line is what could not be read where Redis refuses."""


def could_not_read(check: Callable[..., Any], error: Exception) -> Finding:
    """What is said of a check that Redis did not let through: a user may see less than the workers' may."""
    what = getattr(check, "func", check).__doc__ or ""
    looked_for = sentence(what.splitlines()[0])
    return unknown(sentence("{what} Redis did not tell: {error}", what=looked_for, error=describe(error)))


def describe(error: BaseException) -> str:
    """An error of Redis in words: its type, and what the server said."""
    text = str(error).partition("\n")[0].partition(" script: ")[0].rstrip(".")  # which of ours it was helps nobody
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
