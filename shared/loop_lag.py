"""The lag of an event loop, measured by a thread beside it: a watchdog timer that tells of a block while it lasts.

1. The thread asks the loop to turn, and looks every tenth of a second whether it has.
2. While it has not, the thread sees which task holds the loop, and at which line. After a quarter of a second it logs
   `loop_blocked`; when the loop turns again, `loop_unblocked` with the whole length.
3. The loop keeps count of the time in which it could not run, and because of whom: what waited meanwhile is not late by
   its own fault.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from shared.frames import place_of_thread
from shared.logs import get_log

NOTICE_SECONDS = 0.25
"""How long a loop stands still before that is told."""

_LOOK_SECONDS = 0.1

Holder = asyncio.Task[Any] | None
"""The task that holds the loop; None when that is no task, or one after another."""


@dataclass(frozen=True, slots=True)
class Block:
    """A loop that stands still, as seen at one look.

    Attributes:
        seconds: for how long by now. What the whole process was frozen or had no processor for is not counted.
        task: the task that holds it.
        at: where that is, the integrator's line if there is one: "acme/jobs.py:12 in enquire".
        fields: what it is, for a log line.
        is_first: whether this is the first look at this block.
        is_over: whether the loop turns again.
    """

    seconds: float
    task: Holder
    at: str
    fields: Mapping[str, str]
    is_first: bool = False
    is_over: bool = False


class LoopLag:
    """Watches one event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        describe: Callable[[Holder], Mapping[str, str]],
        look: Callable[[Block], None] | None = None,
    ) -> None:
        """Watch a loop; to be called on its thread.

        Args:
            loop: the loop.
            describe: fields for the log that say what a task is; called from the watching thread.
            look: called there at each look at a loop that has stood still for `NOTICE_SECONDS` or longer, and once when
                it turns again.
        """
        self._loop = loop
        self._describe = describe
        self._look_at = look
        self._thread_id = threading.get_ident()
        self._stop = threading.Event()
        self._asked_at: float | None = None
        self._holders: frozenset[Holder] = frozenset()
        self._standing = 0.0
        self._block: Block | None = None
        self._lost = 0.0
        self._lost_by: WeakKeyDictionary[asyncio.Task[Any], float] = WeakKeyDictionary()
        threading.Thread(target=self._watch, name="deskbell-loop-lag", daemon=True).start()

    @property
    def seconds(self) -> float:
        """How long the loop has stood still by now; 0 when it turns."""
        return self._standing if self._standing >= NOTICE_SECONDS else 0.0

    def lost(self, task: Holder) -> float:
        """The seconds until now in which the loop could not run because of others than a task; on the loop's thread.

        Unlike a block's, they count what the process was frozen for: nobody could run then.
        """
        holder, seconds = self._pending()
        own = self._lost_by.get(task, 0.0) + (seconds if holder is task else 0.0) if task else 0.0
        return self._lost + seconds - own

    def close(self) -> None:
        """Watch no more."""
        self._stop.set()

    def _pending(self) -> tuple[Holder, float]:
        late = time.monotonic() - self._asked_at if self._asked_at is not None else 0.0
        return self._holder(), late if late > _LOOK_SECONDS else 0.0

    def _holder(self) -> Holder:
        """The one task that was seen at every look."""
        holders = self._holders
        return next(iter(holders)) if len(holders) == 1 else None

    def _turned(self) -> None:
        """On the loop: it has turned."""
        holder, seconds = self._pending()
        self._lost += seconds
        if holder:
            self._lost_by[holder] = self._lost_by.get(holder, 0.0) + seconds
        self._asked_at = None

    def _watch(self) -> None:
        before, worked_before = time.monotonic(), time.process_time()
        while not self._stop.wait(_LOOK_SECONDS):
            now, worked = time.monotonic(), time.process_time()
            # A longer pause without work: the process was frozen. With work: the loop's thread let no other run.
            self._standing += min(now - before, _LOOK_SECONDS + worked - worked_before)
            before, worked_before = now, worked
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - whoever is told of a block must not end the watch
                get_log().error("loop_lag_failed", error=error)

    def _look(self) -> None:
        if self._asked_at is None:
            self._end_block()
            self._ask()
            return
        self._holders |= {asyncio.current_task(self._loop)}
        if self._standing >= NOTICE_SECONDS:
            self._tell()

    def _ask(self) -> None:
        self._holders, self._standing, self._asked_at = frozenset(), 0.0, time.monotonic()
        try:
            self._loop.call_soon_threadsafe(self._turned)
        except RuntimeError:  # the loop is closed
            self._stop.set()

    def _tell(self) -> None:
        holder = self._holder()
        at = place_of_thread(sys._current_frames().get(self._thread_id))  # noqa: SLF001 - documented, for debuggers
        is_first = self._block is None
        self._block = Block(self._standing, holder, at, self._describe(holder), is_first)
        if self._look_at:
            self._look_at(self._block)
        if is_first:
            get_log().warning("loop_blocked", **self._block.fields, at=at, seconds=round(self._standing, 3))

    def _end_block(self) -> None:
        """Tell that it is over; of the place and the task what was seen last."""
        if self._block is None:
            return
        block, self._block = self._block, None
        over = Block(self._standing, block.task, block.at, block.fields, is_over=True)
        if self._look_at:
            self._look_at(over)
        get_log().info("loop_unblocked", **over.fields, at=over.at, seconds=round(over.seconds, 3))
