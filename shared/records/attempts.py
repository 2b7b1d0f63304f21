"""Records of attempts at jobs, which a worker writes together every few seconds.

A worker that is killed loses those of some seconds. What Redis does not take is kept for the next time, so that an
attempt may stand twice after an outage.
"""

import time
from collections import deque

from pydantic_core import to_json
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from shared.records.packing import ATTEMPT, MOST_CHARACTERS, Record, digest_of_event
from shared.records.script import write_arguments, write_text
from shared.settings.config import Settings

_MOST_WAITING = 20_000
_MOST_AT_ONCE = 200  # a script holds up everybody else on Redis


class AttemptRecords:
    """Collects what has become of attempts, and writes it."""

    def __init__(self) -> None:
        self._waiting: deque[Record] = deque(maxlen=_MOST_WAITING)

    def add(self, event_id: str, job: str, number: int, outcome: str, ms: float, cause: str = "") -> None:
        """An attempt has ended; from any thread.

        Args:
            event_id: of the event.
            job: the job type.
            number: of the attempt, from 1; 0 when it was not counted.
            outcome: as the log has it.
            ms: how long it took.
            cause: what it failed by, which holds nothing that a customer wrote.
        """
        attempt = [ATTEMPT, event_id, round(time.time() * 1000), job, number, outcome, ms, cause[:MOST_CHARACTERS]]
        self._waiting.append(Record(to_json(attempt), digest_of_event(event_id)))

    async def write(self, redis: AsyncRedis, settings: Settings) -> None:
        """Put on record what has ended; while Redis is away that is kept, up to some thousand attempts."""
        script = redis.register_script(write_text())
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_AT_ONCE))]
            try:
                await script(args=write_arguments(batch, settings))
            except (RedisError, OSError):
                self._waiting.extendleft(reversed(batch[: _MOST_WAITING - len(self._waiting)]))
                return
