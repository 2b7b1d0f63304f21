"""A watchdog of the event loop: a thread measures its lag, and reports a block while it lasts.

1. The thread schedules a callback on the loop, and checks every tenth of a second whether it has run.
2. While it has not, the thread sees which task holds the loop, and at which line. After a quarter of a second it logs
   `loop_blocked`; when the callback has run, `loop_unblocked` with the whole length.
3. The time in which the loop could not run is added up by the task that held it: whatever waited meanwhile is not late
   by its own fault.
4. A process whose loop has been blocked for a minute answers no request, handles no signal and renews no lease, while a
   supervisor sees a process that is alive. It is ended, so that the supervisor starts another.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from shared.frames import frames_of_thread, location_in
from shared.logs import Level, flush_logs, get_log

NOTICE_SECONDS = 0.25
"""How long a loop is blocked before that is logged."""

STUCK_SECONDS = 60.0
"""How long a loop may be blocked."""

STUCK_STATUS = 70
"""The exit status of a process that was ended for it."""

_CHECK_SECONDS = 0.1
_LAST_SECONDS = 3.0  # between the decision to end the process and its end

Task = asyncio.Task[Any]


@dataclass(frozen=True, slots=True)
class Block:
    """A blocked loop, as one check found it.

    Attributes:
        seconds: for how long by now; without the time in which the whole process was frozen or had no processor.
        holder: the owner of the task that holds it; None when there is none, or several in turn.
        at: where that is, the integrator's line if there is one: "acme/jobs.py:12 in enquire".
        fields: what it is, for a log line.
        is_first: whether this is the first check that found this block.
        is_over: whether the loop runs again.
    """

    seconds: float
    holder: Any
    at: str
    fields: Mapping[str, str]
    is_first: bool = False
    is_over: bool = False


class LoopLag:
    """Watches one event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        describe: Callable[[Any], Mapping[str, str]],
        on_block: Callable[[Block], None],
        *,
        owner: Callable[[Task | None], Any] = lambda task: task,
        before_exit: Callable[[Block], None] | None = None,
    ) -> None:
        """Watch a loop; to be called on its thread.

        Args:
            loop: the loop.
            describe: fields for the log that name the holder; like the other functions, called in the watching thread.
            on_block: called at each check of a loop that has been blocked for `NOTICE_SECONDS` or longer, and once when
                it runs again.
            owner: gives the owner of a task; by default the task itself.
            before_exit: called before the process is ended, which comes three seconds later at the latest.
        """
        self._loop = loop
        self._describe = describe
        self._on_block = on_block
        self._before_exit = before_exit
        self._owner = owner
        self._thread_id = threading.get_ident()
        self._stop = threading.Event()
        self._asked_at: float | None = None
        self._holders: frozenset[Any] = frozenset()
        self._blocked_seconds = 0.0
        self._block: Block | None = None
        self._lost = 0.0
        self._worst = 0.0
        self._lost_by: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self._thread = threading.Thread(target=self._watch, name="deskbell-loop-lag", daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> float:
        """How long the loop has been blocked by now; 0 when it runs."""
        return self._blocked_seconds if self._blocked_seconds >= NOTICE_SECONDS else 0.0

    def lost(self, owner: Any) -> float:
        """The seconds until now in which others than an owner kept the loop from running; to be called on its thread.

        Unlike a block's seconds, they count the time in which the process was frozen: nothing could run then.
        """
        holder, seconds = (None, 0.0) if self._asked_at is None else self._pending()
        own = self._lost_by.get(owner, 0.0) + (seconds if holder is owner else 0.0) if owner else 0.0
        return self._lost + seconds - own

    def take_worst(self) -> float:
        """The longest that a callback has waited for the loop since this was asked last, in seconds."""
        worst, self._worst = self._worst, 0.0
        return worst

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()

    def _pending(self) -> tuple[Any, float]:
        late = time.monotonic() - self._asked_at if self._asked_at is not None else 0.0
        return self._holder(), late if late > _CHECK_SECONDS else 0.0

    def _holder(self) -> Any:
        """The owner that was found by every check, if it was the same one."""
        holders = self._holders
        return next(iter(holders)) if len(holders) == 1 else None

    def _has_run(self) -> None:
        """Runs on the loop, which is not blocked then."""
        self._worst = max(self._worst, time.monotonic() - (self._asked_at or time.monotonic()))
        holder, seconds = self._pending()
        self._lost += seconds
        if holder:
            self._lost_by[holder] = self._lost_by.get(holder, 0.0) + seconds
        self._asked_at = None

    def _watch(self) -> None:
        before, worked_before = time.monotonic(), time.process_time()
        while not self._stop.wait(_CHECK_SECONDS):
            now, worked = time.monotonic(), time.process_time()
            # A longer pause in which the process did not work: it was frozen. In which it did: the loop's thread let no
            # other thread run.
            self._blocked_seconds += min(now - before, _CHECK_SECONDS + worked - worked_before)
            before, worked_before = now, worked
            try:
                self._check()
            except Exception as error:  # noqa: BLE001 - a caller's function must not end the watch
                get_log().error("loop_lag_failed", error=error)

    def _check(self) -> None:
        if self._asked_at is None:
            self._end_block()
            self._ask()
            return
        self._holders |= {self._owner(asyncio.current_task(self._loop))}
        if self._blocked_seconds >= NOTICE_SECONDS:
            self._report()

    def _ask(self) -> None:
        self._holders, self._blocked_seconds, self._asked_at = frozenset(), 0.0, time.monotonic()
        try:
            self._loop.call_soon_threadsafe(self._has_run)
        except RuntimeError:  # the loop is closed
            self._stop.set()

    def _report(self) -> None:
        frames, holder = frames_of_thread(self._thread_id), self._holder()
        is_first = self._block is None
        self._block = block = Block(
            self._blocked_seconds, holder, location_in(frames), self._describe(holder), is_first
        )
        self._on_block(block)
        if is_first:
            self._write_line("warning", "loop_blocked", block)
        if self._blocked_seconds >= STUCK_SECONDS:
            self._end_process(block, [frame.whole for frame in frames])

    def _end_block(self) -> None:
        """Report that it is over, with the line and the task that were seen last."""
        if self._block is None:
            return
        block, self._block = self._block, None
        over = Block(self._blocked_seconds, block.holder, block.at, block.fields, is_over=True)
        self._on_block(over)
        self._write_line("info", "loop_unblocked", over)

    def _end_process(self, block: Block, where: list[str]) -> None:
        timer = threading.Timer(_LAST_SECONDS, os._exit, (STUCK_STATUS,))
        timer.daemon = True
        timer.start()
        self._write_line("error", "loop_stuck", block, where=where)
        try:
            if self._before_exit:
                self._before_exit(block)
        finally:
            flush_logs()
            os._exit(STUCK_STATUS)

    def _write_line(self, level: Level, event: str, block: Block, **more: object) -> None:
        fields = {**block.fields, "at": block.at, "seconds": round(block.seconds, 3), **more}
        get_log().log(level, event, **fields)
