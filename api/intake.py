"""Keeping events: from a computed reply to a job on Redis, or to the spool.

1. `once` lets one request of a delivery through; its duplicates in this process wait for what it gets.
2. `keep` puts the event among those waiting and waits for the flusher.
3. The flusher takes all that wait and sends them in one call of `accept.lua`. While that call is under way the
   next batch gathers: the busier the api, the fewer calls and fsyncs per event (group commit).
4. The script answers for each event that it was kept, or with the answer given to that delivery before.
5. Redis away, slow or full: the batch goes to the spool, in one transaction, and so do those after it until Redis is
   back and the spool is drained (`api.drainer`).
6. Only then does the answer go out. Neither Redis nor the spool: CannotKeepError, and nothing is claimed.
"""

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pydantic_core import to_json
from redis.asyncio import Redis as AsyncRedis

from api.acceptance import MOST_BYTES, MOST_EVENTS, Acceptance, Entry, Mark, Remembered
from api.drainer import Drainer
from api.lateness import Lateness
from api.metrics import Metrics
from api.spool import Spool
from shared.config import Settings
from shared.endings import end
from shared.errors import CannotKeepError
from shared.events import Event, Outcome, Reply, new_event_id
from shared.logs import get_log
from shared.queues import FAN_OUT


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
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class State:
    """Where events are kept at present.

    Attributes:
        redis: "ok", or why it takes none: the type of the error.
        spool: "ok", or why the disk takes none.
        waiting: events on the disk that wait for Redis.
        oldest: Unix seconds at which the first of them was kept; None when there is none.
        forgotten: what Redis was found to lack though it had acknowledged it, a sentence; "" if nothing.
        refusal: what a person must do before Redis takes any again; "" when it may pass by itself.
        refused_seconds: for how long that is so.
    """

    redis: str
    spool: str
    waiting: int
    oldest: float | None
    forgotten: str
    refusal: str
    refused_seconds: float


@dataclass(slots=True)
class _Waiting:
    entry: Entry
    result: "asyncio.Future[Kept]"


class Intake:
    """Keeps events on Redis, many in one call; on the disk while Redis does not take them."""

    def __init__(self, redis: AsyncRedis, settings: Settings, metrics: Metrics, lateness: Lateness) -> None:
        self._acceptance = Acceptance(redis, settings, lateness)
        self._spool = Spool(settings, metrics, lateness)
        self._drainer = Drainer(self._acceptance, self._spool, metrics, settings.redis_timeout_ms / 2000)
        self._mark = _first_mark()
        self._in_flight: dict[str, asyncio.Future[Kept]] = {}
        self._waiting: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None
        self._log = get_log()

    async def start(self) -> None:
        """Begin to send what waits, of an earlier life too; on the running event loop."""
        await self._spool.open()
        self._drainer.start()
        self._flusher = asyncio.create_task(self._flush_forever())

    async def close(self) -> None:
        """Stop sending. Every request has been answered; what the spool holds waits there for the next start."""
        await end(self._flusher)
        await self._drainer.close()
        await self._spool.close()

    @property
    def state(self) -> State:
        """Where events are kept at present."""
        outage, spool = self._drainer.outage, self._spool
        return State(
            redis=outage.cause or "ok",
            spool=spool.problem or "ok",
            waiting=spool.all_waiting,
            oldest=spool.oldest,
            forgotten=self._acceptance.acknowledged.missing,
            refusal=outage.refusal,
            refused_seconds=outage.refused_seconds,
        )

    def doubt_redis(self) -> None:
        """Something else asked of Redis has failed: find out soon whether it takes events."""
        self._drainer.ask()

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
        """Put an event with its reply on Redis, or on the disk.

        A caller that is cancelled before it was sent takes it back.

        Args:
            event: what came in.
            reply: what it is to be answered.
            identity: the delivery's identity.

        Returns:
            What to answer, and the event kept: this one, or the one kept before for the same delivery.

        Raises:
            CannotKeepError: neither took the event.
        """
        entry = Entry(
            identity=identity,
            event_id=event.id,
            answer=reply.envelope,
            data=_job_data(event, reply),
            app_id=event.app_id,
            command=event.command,
            node=event.node,
            outcome=reply.outcome,
        )
        waiting = _Waiting(entry, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._wake.set()
        return await waiting.result

    async def _flush_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await asyncio.sleep(0)  # let the requests that came in with this one join the batch
                await self._flush_safely(self._take())

    async def _flush_safely(self, batch: list[_Waiting]) -> None:
        """What nobody foresaw fails these callbacks, and must not end the flusher: it is all that sends anything."""
        try:
            await self._flush(batch)
        except Exception as error:  # noqa: BLE001 - a defect of ours
            self._log.error("flusher_failed", error=error)
            _fail(batch)

    def _take(self) -> list[_Waiting]:
        """The next batch. What was given up meanwhile is left out: its failure has been answered."""
        batch: list[_Waiting] = []
        size = taken = 0
        for waiting in self._waiting:
            if len(batch) == MOST_EVENTS or size > MOST_BYTES:
                break
            taken += 1
            if not waiting.result.done():
                batch.append(waiting)
                size += waiting.entry.size
        del self._waiting[:taken]
        return batch

    async def _flush(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        drainer = self._drainer
        queues_up = bool(self._spool.waiting) and not drainer.is_open and not await drainer.has_caught_up()
        if queues_up and await self._spooled(batch):
            return
        if drainer.is_open:
            await self._spool_or_fail(batch)
        else:
            await self._send_or_spool(batch)

    async def _send_or_spool(self, batch: list[_Waiting]) -> None:
        self._mark = Mark(self._mark.sender, self._mark.number + 1)
        try:
            found = await self._acceptance.send([waiting.entry for waiting in batch], self._mark)
        except Exception as error:  # noqa: BLE001 - whatever it is, Redis has not said that it took them
            self._drainer.open(error)
            doubt, self._mark = self._mark, _first_mark()
            await self._spool_or_fail([waiting for waiting in batch if not waiting.result.done()], doubt)
        else:
            self._settle(batch, found)

    async def _spool_or_fail(self, batch: list[_Waiting], doubt: Mark | None = None) -> None:
        if await self._spooled(batch, doubt):
            return
        _fail(batch)

    async def _spooled(self, batch: list[_Waiting], doubt: Mark | None = None) -> bool:
        """Whether the disk took events, which have their results then."""
        try:
            found = await self._spool.keep([waiting.entry for waiting in batch], doubt)
        except CannotKeepError:
            return False
        self._settle(batch, found)
        return True

    def _settle(self, batch: list[_Waiting], found: Sequence[Remembered | None]) -> None:
        for waiting, before in zip(batch, found, strict=True):
            if not waiting.result.done():
                waiting.result.set_result(_kept(waiting.entry, before))


def _fail(batch: list[_Waiting]) -> None:
    for waiting in batch:
        if not waiting.result.done():
            waiting.result.set_exception(CannotKeepError("neither Redis nor the disk took the event"))


def _first_mark() -> Mark:
    """The mark of a sender that has sent nothing yet: one whose call was not answered sends no other."""
    return Mark(new_event_id(time.time()), 0)


def _job_data(event: Event, reply: Reply) -> bytes:
    """RQ's `data`: function, instance, arguments, keyword arguments. What JSON cannot say (1e999) becomes text.

    A zlib stream as RQ writes it, with a window of 4 kB: the usual one asks for 256 kB of memory at each call, which
    the system maps and clears anew, and takes six times as long for the same size.
    """
    data = to_json([FAN_OUT, None, [event.to_wire(reply)], {}], inf_nan_mode="strings")
    compressor = zlib.compressobj(level=3, wbits=12, memLevel=4)
    return compressor.compress(data) + compressor.flush()


def _kept(entry: Entry, before: Remembered | None) -> Kept:
    # Our own id remembered: the connection broke after the script had run, and it was sent again.
    if before is None or before.event_id == entry.event_id:
        return Kept(entry.event_id, entry.answer, entry.outcome)
    return Kept(before.event_id, before.answer, "duplicate")
