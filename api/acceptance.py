"""The call of Redis that accepts events, and how to find out later what became of one that was not answered.

Each call carries a mark: who sends it, and a number. Redis remembers the last number of each sender in the same script,
so a call whose answer never came can be settled however much later: it was taken, or it never will be.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis as AsyncRedis
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError
from rq.job import Job
from rq.utils import now, utcformat

from api.forgetting import Acknowledged
from api.lateness import Lateness
from shared.config import Settings
from shared.connections import connect
from shared.events import Outcome
from shared.queues import EVENTS, LOG_KEY, MARK_KEY, REPLY_KEY, events_job, queue

MOST_EVENTS = 128
"""Events in one call: a script holds up everybody else on Redis."""

MOST_BYTES = 1_000_000
"""Bytes after which a call is full."""

ID_LENGTH = 32
_STAMPED = ("created_at", "enqueued_at", "data", "description")
_MARK_SECONDS = 30 * 24 * 3600

_SETTLE = """
local taken = redis.call('GET', KEYS[1]) == ARGV[1]
redis.call('SET', KEYS[1], taken and ARGV[1] or 'closed', 'EX', ARGV[2])
return taken and 1 or 0
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as it is accepted.

    Attributes:
        identity: the delivery's identity.
        event_id: the event's id.
        answer: the envelope.
        data: the `data` of its RQ job.
        app_id, command, node: the event's.
        outcome: the reply's.
    """

    identity: str
    event_id: str
    answer: bytes
    data: bytes
    app_id: str
    command: str
    node: str
    outcome: Outcome

    @property
    def fields(self) -> tuple[str | bytes, ...]:
        """All but the identity, in the order in which `accept.lua` and the spool's files have them."""
        return (self.event_id, self.answer, self.data, self.app_id, self.command, self.node, self.outcome)

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.answer) + len(self.data)


@dataclass(frozen=True, slots=True)
class Mark:
    """Which call of the script: its sender's id, 32 hex digits, and its number, from 1."""

    sender: str
    number: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a delivery was answered before: the id of the event kept for it, and the envelope."""

    event_id: str
    answer: bytes


class TooFewReplicasError(Exception):
    """Raised when Redis took the events and fewer replicas than asked for have them."""


class Acceptance:
    """Sends events to Redis.

    Attributes:
        acknowledged: whether it still has them.
    """

    def __init__(self, redis: AsyncRedis, settings: Settings, lateness: Lateness) -> None:
        self.acknowledged = Acknowledged(redis)
        self._redis = redis
        self._lateness = lateness
        self._accept = redis.register_script(files("api").joinpath("accept.lua").read_text())
        self._settle = redis.register_script(_SETTLE)
        events = queue(EVENTS, connect(settings))
        self._keys = [events.key, events.redis_queues_keys, LOG_KEY]
        template = _job_template(events_job(events, "", {}))
        self._shared = [settings.dedup_seconds, settings.log_size]
        self._template = [len(template) * 2, *(part for pair in template.items() for part in pair)]
        self._seconds = settings.redis_timeout_ms / 1000
        self._replicas = settings.min_replicas
        self._wait_ms = max(1, settings.redis_timeout_ms // 2)

    async def send(
        self, entries: Sequence[Entry], mark: Mark, *, numbers: Sequence[int] = ()
    ) -> list[Remembered | None]:
        """Have Redis take events, all of them or none.

        Args:
            entries: the events; none of them asks Redis only whether it would.
            mark: what this call is known by afterwards.
            numbers: for events of the spool, the number of each, which rise up to the mark's.

        Returns:
            For each event None, or what was remembered of its delivery: the event itself, when it was sent before.

        Raises:
            Exception: Redis did not take them, or did not say so in time.
        """
        keys = [*self._keys, MARK_KEY + mark.sender]
        for entry in entries:
            keys += (REPLY_KEY + entry.identity, Job.key_for(entry.event_id))
        head = [*self._shared, utcformat(now()), mark.number, _MARK_SECONDS, *self._template]
        *found, before = await self._run(self._accept, keys, head + _arguments(entries, mark, numbers))
        if entries and not numbers:
            await self.acknowledged.note(mark.sender, mark.number, before)
        return [_read(each) for each in found]

    async def settle(self, mark: Mark) -> bool:
        """Whether Redis took the events of a call that was not answered; from now on it will not.

        Only the last call of its sender can be settled: a sender sends nothing after a call that was not answered.
        """
        return bool(await self._run(self._settle, [MARK_KEY + mark.sender], [mark.number, _MARK_SECONDS]))

    async def reconnect(self) -> None:
        """Let the next call find its server anew: behind one name there may be another by now."""
        await self._redis.connection_pool.disconnect(inuse_connections=False)

    async def _run(self, script: AsyncScript, keys: list[str], arguments: list[Any]) -> Any:
        """What a script returns. Sent twice, it does the same as once."""
        return await self._lateness.fairly(lambda: self._run_once(script, keys, arguments), self._seconds)

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


def _arguments(entries: Sequence[Entry], mark: Mark, numbers: Sequence[int]) -> list[Any]:
    arguments: list[Any] = []
    for entry, number in zip(entries, numbers or [mark.number] * len(entries), strict=True):
        arguments += (number, *entry.fields)
    return arguments


def _read(before: bytes | None) -> Remembered | None:
    """What the script's word for an event means."""
    return Remembered(before[:ID_LENGTH].decode(), before[ID_LENGTH:]) if before else None


def _job_template(job: Job) -> dict[str, Any]:
    """The fields of a job on `events` that are the same for every event, as RQ itself writes them."""
    fields: dict[str, Any] = job.to_dict()
    return {name: value for name, value in fields.items() if name not in _STAMPED}
