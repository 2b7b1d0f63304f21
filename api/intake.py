"""Keeping events: from a computed reply to a job on Redis.

1. `once` lets one request of a delivery through; its duplicates in this process wait for what it gets.
2. `keep` puts the event among those waiting and waits for the flusher.
3. The flusher takes all that wait and sends them in one call of `accept.lua`. While that call is under way the
   next batch gathers: the busier the api, the fewer calls and fsyncs per event (group commit).
4. The script answers for each event that it was kept, or with the answer given to that delivery before.
5. Only then does the answer go out. Redis away, slow or full: CannotKeepError, and nothing is claimed.
"""

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from pydantic_core import to_json
from redis.asyncio import Redis as AsyncRedis
from rq.job import Job
from rq.utils import now, utcformat

from shared.config import Settings
from shared.errors import CannotKeepError
from shared.events import Event, Reply
from shared.logs import error_fields, get_log
from shared.queues import EVENTS, FAN_OUT, LOG_KEY, REPLY_KEY, connect, events_job, queue

_MOST_EVENTS = 128
_MOST_BYTES = 1_000_000
_ID_LENGTH = 32
_remembered_form = re.compile(rb'[0-9a-f]{%d}\{"ActionStatus":' % _ID_LENGTH)
_STAMPED = ("created_at", "enqueued_at", "data", "description")


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a delivery.

    Attributes:
        event_id: the id of the event kept for it, now or before.
        answer: the envelope to send, byte for byte the one sent before if there was one.
        outcome: the reply's outcome, or "duplicate".
    """

    event_id: str
    answer: bytes
    outcome: str


@dataclass(slots=True)
class _Waiting:
    event: Event
    identity: str
    outcome: str
    answer: bytes
    data: bytes
    result: "asyncio.Future[Kept]"


class Intake:
    """Keeps events on Redis, many in one call."""

    def __init__(self, redis: AsyncRedis, settings: Settings) -> None:
        self._redis = redis
        self._script = redis.register_script(files("api").joinpath("accept.lua").read_text())
        events = queue(EVENTS, connect(settings))
        self._keys = [events.key, events.redis_queues_keys, LOG_KEY]
        template = _job_template(events_job(events, "", {}))
        self._shared = [settings.dedup_seconds, settings.log_size]
        self._template = [len(template) * 2, *(part for pair in template.items() for part in pair)]
        self._in_flight: dict[str, asyncio.Future[Kept]] = {}
        self._waiting: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None
        self._log = get_log()

    def start(self) -> None:
        """Begin to send what waits; on the running event loop."""
        self._flusher = asyncio.create_task(self._flush_forever())

    async def close(self) -> None:
        """Stop sending. Nothing waits any more: every request has been answered."""
        if self._flusher:
            self._flusher.cancel()
            with suppress(asyncio.CancelledError):
                await self._flusher

    async def once(self, identity: str, accept: Callable[[], Awaitable[Kept]]) -> Kept:
        """Accept a delivery once in this process.

        Args:
            identity: the delivery's identity.
            accept: computes the reply and keeps the event.

        Raises:
            CannotKeepError: the event was not kept.
        """
        first = self._in_flight.get(identity)
        if first:
            await asyncio.wait({first})
            if first.cancelled():
                raise CannotKeepError("the first request of this delivery was not kept")
            return Kept(first.result().event_id, first.result().answer, "duplicate")
        self._in_flight[identity] = ours = asyncio.get_running_loop().create_future()
        try:
            kept = await accept()
        except BaseException:
            ours.cancel()
            raise
        else:
            ours.set_result(kept)
            return kept
        finally:
            del self._in_flight[identity]

    async def keep(self, event: Event, reply: Reply, identity: str) -> Kept:
        """Put an event with its reply on Redis. A caller that is cancelled before it was sent takes it back.

        Args:
            event: what came in.
            reply: what it is to be answered.
            identity: the delivery's identity.

        Returns:
            What to answer, and the event kept: this one, or the one kept before for the same delivery.

        Raises:
            CannotKeepError: Redis did not take the event.
        """
        waiting = _Waiting(
            event=event,
            identity=identity,
            outcome=reply.outcome,
            answer=reply.envelope,
            data=_job_data(event, reply),
            result=asyncio.get_running_loop().create_future(),
        )
        self._waiting.append(waiting)
        self._wake.set()
        return await waiting.result

    async def _flush_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await asyncio.sleep(0)  # let the requests that came in with this one join the batch
                await self._flush(self._take())

    def _take(self) -> list[_Waiting]:
        """The next batch. What was given up meanwhile is left out: its failure has been answered."""
        batch: list[_Waiting] = []
        size = taken = 0
        for waiting in self._waiting:
            if len(batch) == _MOST_EVENTS or size > _MOST_BYTES:
                break
            taken += 1
            if not waiting.result.done():
                batch.append(waiting)
                size += len(waiting.data) + len(waiting.answer)
        del self._waiting[:taken]
        return batch

    async def _flush(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        try:
            remembered = await self._script(keys=self._keys_of(batch), args=self._arguments_of(batch))
        except Exception as error:  # noqa: BLE001 - the flusher lives on; each request answers its own failure
            self._log.error("cannot_keep", events=len(batch), **error_fields(error))
            for waiting in batch:
                if not waiting.result.done():
                    waiting.result.set_exception(CannotKeepError("Redis did not take the event"))
            return
        for waiting, before in zip(batch, remembered, strict=True):
            if waiting.result.done():
                continue
            try:
                waiting.result.set_result(_kept(waiting, before))
            except ValueError:
                self._log.error("cannot_read_reply", event_id=waiting.event.id)
                waiting.result.set_exception(CannotKeepError("what is remembered for this delivery is not ours"))

    def _keys_of(self, batch: list[_Waiting]) -> list[str]:
        keys = list(self._keys)
        for waiting in batch:
            keys += (REPLY_KEY + waiting.identity, Job.key_for(waiting.event.id))
        return keys

    def _arguments_of(self, batch: list[_Waiting]) -> list[Any]:
        arguments: list[Any] = [*self._shared, utcformat(now()), *self._template]
        for waiting in batch:
            event = waiting.event
            arguments += (
                event.id,
                waiting.answer,
                waiting.data,
                event.app_id,
                event.command,
                event.node,
                waiting.outcome,
            )
        return arguments


def _job_template(job: Job) -> dict[str, Any]:
    """The fields of a job on `events` that are the same for every event, as RQ itself writes them."""
    fields: dict[str, Any] = job.to_dict()
    return {name: value for name, value in fields.items() if name not in _STAMPED}


def _job_data(event: Event, reply: Reply) -> bytes:
    """RQ's `data`: function, instance, arguments, keyword arguments. What JSON cannot say (1e999) becomes text.

    A zlib stream as RQ writes it, with a window of 4 kB: the usual one asks for 256 kB of memory at each call, which
    the system maps and clears anew, and takes six times as long for the same size.
    """
    data = to_json([FAN_OUT, None, [event.to_wire(reply)], {}], inf_nan_mode="strings")
    compressor = zlib.compressobj(level=3, wbits=12, memLevel=4)
    return compressor.compress(data) + compressor.flush()


def _kept(waiting: _Waiting, before: bytes | None) -> Kept:
    """What the script's word for an event means.

    Raises:
        ValueError: what is remembered is not the id and envelope that this script writes.
    """
    if before is not None and not _remembered_form.match(before):
        raise ValueError("not an id and an envelope")
    # Our own id remembered: the connection broke after the script had run, and it was sent again.
    if before is None or before[:_ID_LENGTH].decode() == waiting.event.id:
        return Kept(waiting.event.id, waiting.answer, waiting.outcome)
    return Kept(before[:_ID_LENGTH].decode(), before[_ID_LENGTH:], "duplicate")
