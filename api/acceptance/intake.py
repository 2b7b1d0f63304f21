"""Group commit: keeps events on Redis, many in one call, or in the spool.

1. `keep` puts the event among those that wait for the flusher.
2. The flusher sends all that wait in one call of `accept.lua`. While that call is under way the next batch gathers: the
   busier the api, the fewer calls and fsyncs per event.
3. The script answers for each event that it was kept, or with what was kept before for the same delivery.
4. When Redis is away, slow or full, the batch goes to the spool in one transaction, and so do those after it until
   Redis is back and the spool is drained (`api.acceptance.drainer`).
5. Only then does the answer go out. When neither takes the event, `keep` raises CannotKeepError.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from pydantic_core import to_json
from redis.asyncio import Redis as AsyncRedis

from api.acceptance.accept import MOST_BYTES, MOST_EVENTS, AcceptScript, Entry, Kept, SequenceNumber
from api.acceptance.breaker import Breaker
from api.acceptance.drainer import Drainer
from api.acceptance.spool import Spool
from api.lateness import Lateness
from api.metrics import Metrics
from shared.errors import CannotKeepError
from shared.logs import get_log
from shared.records.packing import Packing
from shared.redis.queues import FAN_OUT, pack
from shared.runtime.tasks import cancel_and_wait
from shared.settings.config import Settings
from shared.traces.spans import carried
from shared.wire.events import Event, Reply

_Waiting = tuple[Entry, "asyncio.Future[Kept]"]


class Intake:
    """Keeps events on Redis, many in one call; on the disk while Redis does not take them.

    Attributes:
        breaker: whether Redis takes events.
        spool: those on the disk.
        lost_writes: detects that Redis lacks what it acknowledged.
    """

    def __init__(
        self, redis: AsyncRedis, settings: Settings, metrics: Metrics, lateness: Lateness, packing: Packing
    ) -> None:
        self.breaker = Breaker(metrics)
        self.spool = Spool(settings, metrics, lateness)
        self._script = AcceptScript(redis, settings, lateness, packing)
        self.lost_writes = self._script.lost_writes
        self._drainer = Drainer(redis, settings, self._script, self.spool, self.breaker, metrics)
        self._sequence = SequenceNumber.of_new_producer()
        self._packing = packing
        self._waiting: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to send what waits, of an earlier process too; on the running event loop."""
        await self.spool.open()
        self._drainer.start()
        self._flusher = asyncio.create_task(self._flush_forever())

    async def close(self) -> None:
        """Stop sending. Every request has been answered; what the spool holds waits there for the next start."""
        await cancel_and_wait(self._flusher)
        await self._drainer.close()
        await self.spool.close()

    async def keep(self, event: Event, reply: Reply, identity: str) -> Kept:
        """Put an event with its reply on Redis, or on the disk.

        A caller that is cancelled before the event was sent takes it back.

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
            record=self._packing.callback(event, reply),
        )
        result: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, result))
        self._wake.set()
        return await result

    async def _flush_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await asyncio.sleep(0)  # let the requests that came in with this one join the batch
                await self._flush_or_fail(self._next_batch())

    async def _flush_or_fail(self, batch: list[_Waiting]) -> None:
        """Flush a batch. An unforeseen error fails these callbacks and must not end the flusher, which sends all."""
        try:
            if batch:
                await self._flush(batch)
        except Exception as error:  # noqa: BLE001 - a defect of Deskbell's
            if not isinstance(error, CannotKeepError):
                get_log().error("flusher_failed", error=error)
            for _, result in _not_given_up(batch):
                result.set_exception(CannotKeepError("neither Redis nor the disk took the event"))

    def _next_batch(self) -> list[_Waiting]:
        """The next batch. What was given up meanwhile is left out: its failure has been answered."""
        waiting = _not_given_up(self._waiting)
        count = size = 0
        while count < min(len(waiting), MOST_EVENTS) and size <= MOST_BYTES:
            size += waiting[count][0].size
            count += 1
        self._waiting = waiting[count:]
        return waiting[:count]

    async def _flush(self, batch: list[_Waiting]) -> None:
        """Keep a batch: in the spool while the breaker is open, or behind what waits there; else on Redis."""
        if await self._drainer.must_queue_up():
            with suppress(CannotKeepError):  # without room on the disk the order is given up
                await self._keep_in_spool(batch)
                return
        in_doubt = None
        if not self.breaker.is_open:
            self._sequence = self._sequence.next()
            try:
                found = await self._script.accept([entry for entry, _ in batch], self._sequence)
            except Exception as error:  # noqa: BLE001 - whatever it is, Redis has not said that it took them
                self.breaker.trip(error)
                in_doubt, self._sequence = self._sequence, SequenceNumber.of_new_producer()
                batch = _not_given_up(batch)
            else:
                _hand_out(batch, found)
                return
        await self._keep_in_spool(batch, in_doubt)

    async def _keep_in_spool(self, batch: list[_Waiting], in_doubt: SequenceNumber | None = None) -> None:
        _hand_out(batch, await self.spool.keep([entry for entry, _ in batch], in_doubt))


def _not_given_up(batch: list[_Waiting]) -> list[_Waiting]:
    return [waiting for waiting in batch if not waiting[1].done()]


def _hand_out(batch: list[_Waiting], found: Sequence[Kept | None]) -> None:
    """Give each event that waits its result: what was kept before of its delivery, or the event itself."""
    for (entry, result), before in zip(batch, found, strict=True):
        if not result.done():
            result.set_result(before or Kept(entry.event_id, entry.answer))


def _job_data(event: Event, reply: Reply) -> bytes:
    """RQ's `data`: function, instance, arguments, keyword arguments. What JSON cannot say (1e999) becomes text."""
    return pack(to_json([FAN_OUT, None, [carried(event.to_wire(reply))], {}], inf_nan_mode="strings"))
