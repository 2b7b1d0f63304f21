"""The script that accepts events on Redis, as an idempotent producer: each call carries a sequence number.

A call names its producer and a number that rises. In the same script Redis remembers the last number of each producer,
so a call whose answer never came, one in doubt, can be resolved however much later: Redis took it, or never will.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from redis.asyncio import Redis as AsyncRedis
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError
from rq.job import Job
from rq.utils import now, utcformat

from api.acceptance.lost_writes import LostWriteDetector
from api.lateness import Lateness
from shared.logs import get_log
from shared.records.packing import Packing, Record
from shared.records.script import record_limits, record_text
from shared.redis.connections import connect
from shared.redis.pipelining import TooFewReplicasError
from shared.redis.queues import EVENTS, MARK_KEY, REPLY_KEY, events_job, job_template, queue
from shared.redis.scripts import script_text
from shared.settings.config import Settings
from shared.wire.events import Outcome, new_event_id

MOST_EVENTS = 128
"""Events in one call: a script holds up everybody else on Redis."""

MOST_BYTES = 1_000_000
"""Bytes after which a call is full."""

ID_LENGTH = 32
_NUMBER_SECONDS = 30 * 24 * 3600

_RESOLVE = """
local taken = redis.call('GET', KEYS[1]) == ARGV[1]
redis.call('SET', KEYS[1], taken and ARGV[1] or 'closed', 'EX', ARGV[2])
return taken and 1 or 0
"""


class Entry(NamedTuple):
    """An event as it is accepted."""

    identity: str
    event_id: str
    answer: bytes
    data: bytes
    app_id: str
    command: str
    node: str
    outcome: Outcome
    record: Record | None = None  # which the spool does not hold

    @property
    def fields(self) -> tuple[str | bytes, ...]:
        """What the spool's files have of it beside the identity, in their order."""
        return self[1:-1]

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.answer) + len(self.data)


class Kept(NamedTuple):
    """The answer to a delivery: the id of the event that was kept for it, and the envelope."""

    event_id: str
    answer: bytes


@dataclass(frozen=True, slots=True)
class SequenceNumber:
    """Which call of the script: its producer's id, 32 hex digits, and its number, from 1."""

    producer: str
    number: int

    @classmethod
    def of_new_producer(cls) -> Self:
        """The number of a producer that has sent nothing yet."""
        return cls(new_event_id(time.time()), 0)

    def next(self) -> "SequenceNumber":
        """The number of the producer's next call."""
        return SequenceNumber(self.producer, self.number + 1)


class AcceptScript:
    """Sends events to Redis.

    Attributes:
        lost_writes: detects that Redis lacks what it acknowledged.
    """

    def __init__(self, redis: AsyncRedis, settings: Settings, lateness: Lateness, packing: Packing) -> None:
        self.lost_writes = LostWriteDetector(redis)
        self._redis = redis
        self._lateness = lateness
        self._accept = redis.register_script(record_text() + script_text("api.acceptance", "accept"))
        self._resolve = redis.register_script(_RESOLVE)
        events = queue(EVENTS, connect(settings))
        self._packing = packing
        self._records_fail = False
        self._keys = [events.key, events.redis_queues_keys]
        template = job_template(events_job(events, "", {}))
        del template["description"]  # `accept.lua` writes the event's own
        fields = [part for pair in template.items() for part in pair]
        limits = record_limits(settings)
        self._constants = [settings.dedup_seconds, _NUMBER_SECONDS, *limits, len(fields), *fields]
        self._seconds = settings.redis_timeout_ms / 1000
        self._replicas = settings.min_replicas
        self._wait_ms = max(1, settings.redis_timeout_ms // 2)

    async def accept(
        self, entries: Sequence[Entry], sequence: SequenceNumber, *, numbers: Sequence[int] = ()
    ) -> list[Kept | None]:
        """Have Redis take events, all of them or none.

        Args:
            entries: the events; none of them asks Redis only whether it would.
            sequence: what this call is known by afterwards.
            numbers: for events of the spool, the number of each, which rise up to that of the call.

        Returns:
            For each event None, or what was kept before of its delivery: the event itself, when it was sent before.

        Raises:
            Exception: Redis did not take them, or did not say so in time.
        """
        keys = [*self._keys, MARK_KEY + sequence.producer]
        arguments = [utcformat(now()), sequence.number, *self._constants]
        for entry, number in zip(entries, numbers or [sequence.number] * len(entries), strict=True):
            keys += (REPLY_KEY + entry.identity, Job.key_for(entry.event_id))
            record = entry.record or self._packing.of_data(entry.data)
            description = f"{entry.command} {entry.node}" if entry.node else entry.command  # never a value
            arguments += (number, entry.event_id, entry.answer, entry.data, description, *record)
        *found, before, problem = await self._run(self._accept, keys, arguments)
        if problem and not self._records_fail:
            get_log().warning("records_not_written", problem=problem.decode(errors="replace"))
        self._records_fail = bool(problem)
        if entries and not numbers:
            await self.lost_writes.acknowledge(sequence.producer, sequence.number, before)
        return [Kept(each[:ID_LENGTH].decode(), each[ID_LENGTH:]) if each else None for each in found]

    async def resolve(self, in_doubt: SequenceNumber) -> bool:
        """Whether Redis took the events of a call that was not answered; from now on it will not.

        Only the last call of its producer can be resolved: a producer sends nothing after a call in doubt.
        """
        keys, arguments = [MARK_KEY + in_doubt.producer], [in_doubt.number, _NUMBER_SECONDS]
        return bool(await self._run(self._resolve, keys, arguments))

    async def reconnect(self) -> None:
        """Make the next call resolve its server again: the name may lead to another one by now."""
        await self._redis.connection_pool.disconnect(inuse_connections=False)

    async def _run(self, script: AsyncScript, keys: list[str], arguments: list[Any]) -> Any:
        """Run a script. It is idempotent: sent twice, it does the same as once."""
        return await self._lateness.send(lambda: self._run_once(script, keys, arguments), self._seconds)

    async def _run_once(self, script: AsyncScript, keys: list[str], arguments: list[Any]) -> Any:
        async with asyncio.timeout(self._seconds):
            if not self._replicas:
                return await script(keys, arguments)
            try:
                return await self._run_and_wait(script, keys, arguments)
            except NoScriptError:
                await self._redis.script_load(script.script)
                return await self._run_and_wait(script, keys, arguments)

    async def _run_and_wait(self, script: AsyncScript, keys: list[str], arguments: list[Any]) -> Any:
        """On one connection, since WAIT waits for what its own connection has written."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.evalsha(script.sha, len(keys), *keys, *arguments)
            pipeline.execute_command("WAIT", self._replicas, self._wait_ms)
            result, replicas = await pipeline.execute()
        if replicas < self._replicas:
            raise TooFewReplicasError
        return result
