"""What reasons are looked for in, and words that several of them have."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from redis import Redis

from deskbell.queues.findings import Finding
from deskbell.queues.state import QueueState
from shared.redis.queues import EVENTS
from shared.sentences import Sentence, sentence

NAMED = 3
"""How many job types or workers a sentence names."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a reason is looked for in."""

    connection: Redis
    queue: QueueState
    abandoned_seconds: int


Reason = Callable[[Looked], Iterator[Finding]]


def counted(names: Iterable[str]) -> list[Sentence]:
    """How many there are of each job type, the most frequent first."""
    counts = Counter(name or EVENTS for name in names)
    return [sentence("{count} of {name}", count=count, name=name) for name, count in counts.most_common(NAMED)]


def clock(seconds: float) -> str:
    """A moment in Unix seconds, by the clock of UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"
