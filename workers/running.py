"""The jobs under way in one worker: `async def` on its event loop, `def` in threads.

A job ends once: with its function, or before it, when its time is up, when it is stopped, or when its execution has
become somebody else's. A function that goes on all the same is a straggler: it holds its thread, or its place on the
loop, and its result counts no more.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from rq.job import _current_job  # RQ has no public way to say which job runs
from rq.timeouts import JobTimeoutException

from shared.functions import drop, is_awaited
from shared.threads import DaemonThreads
from workers.calls import Call, timeout_of
from workers.guarded import AllowListedJob
from workers.lease import Lease
from workers.unrun import await_result, check_ran

_BACKSTOP_SECONDS = 1.0  # at least, between a cancellation and giving a coroutine up


class StoppedError(Exception):
    """Raised in place of a job's own outcome when a person has stopped it."""


class KilledError(Exception):
    """Raised in place of a job's own outcome at RQ's command `kill-horse`."""


@dataclass(frozen=True, slots=True)
class FailureDecision:
    """What was decided of a job that failed; however often Redis refuses to write it, it is decided once.

    Attributes:
        retries_left: RQ's count, as the failure leaves it.
        retry_intervals: likewise.
        meta: likewise.
        text: the traceback.
        is_stopped: whether a person has stopped the job.
        has_failed: False of a job that was not begun, since it was not its turn.
    """

    retries_left: int | None
    retry_intervals: list[int] | None
    meta: dict[str, Any]
    text: str
    is_stopped: bool = False
    has_failed: bool = True


class Run:
    """A claimed job under way.

    Attributes:
        claim: the claim.
        job: the RQ job.
        call: what is called.
        state: `running`; `ended` with an outcome that is not on Redis yet; `settling` by RQ's code; or `over`.
        cut_off: why it does not end by itself, if so.
        task: the coroutine's.
        timer: what comes when it does not end.
        lost: the seconds that others had blocked the loop for when its time was reckoned.
        decision: what was decided when it failed.
    """

    __slots__ = ("__weakref__", "call", "claim", "cut_off", "decision", "job", "lost", "state", "task", "timer")

    def __init__(self, claim: Lease, job: AllowListedJob) -> None:
        self.claim = claim
        self.job = job
        self.call: Call | None = None
        self.state: Literal["running", "ended", "settling", "over"] = "running"
        self.cut_off: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.lost = 0.0
        self.decision: FailureDecision | None = None


current_run: ContextVar[Run | None] = ContextVar("deskbell_run", default=None)
"""Set in the context of a job: the tasks that it makes are its own."""


class Running:
    """Starts jobs, and tells how each ended."""

    def __init__(
        self,
        threads: DaemonThreads,
        ended: Callable[[Run, BaseException | None], None],
        lost: Callable[[Run], float],
        wake: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            threads: where `def` functions run.
            ended: called once for each job, on the event loop, with what it raised.
            lost: the seconds, ever, in which the loop could not run because of others than a job.
            wake: called when a function has ended whose job was not ours any more.
        """
        self._threads = threads
        self._ended = ended
        self._lost = lost
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._left: set[Run] = set()
        self.stragglers = 0

    @property
    def are_left(self) -> bool:
        """Whether functions are under way, within their time, whose jobs are not ours any more."""
        return bool(self._left)

    def start(self, run: Run, call: Call) -> None:
        """Call what a job calls."""
        context = copy_context()
        context.run(_current_job.set, run.job)
        context.run(current_run.set, run)
        if call.is_async:
            self._start_task(run, context, partial(self._call, run, call))
        else:
            self._begin_time(run, call)
            self._threads.start(partial(context.run, _call, run, call), partial(self._thread_done, run, context))

    def cut_off(self, run: Run, reason: BaseException) -> None:
        """End a job before its function does: a coroutine is cancelled, and may take a moment; a thread is left."""
        if run.state != "running" or run.cut_off:
            return
        run.cut_off = reason
        if run.task:
            run.task.cancel()
            self._timer(run, self._patience(run), self._give_up)
        else:
            self._give_up(run)

    def drop(self, run: Run) -> None:
        """Forget a job that is not ours any more; a thread may go on for as long as the job may take."""
        was_running, run.state = run.state == "running", "over"
        if not was_running:
            return
        self._left.add(run)
        if run.task:
            run.task.cancel()
            self._timer(run, self._patience(run), self._give_up)

    def _start_task(self, run: Run, context: Context, rest: Callable[[], Coroutine[Any, Any, None]]) -> None:
        run.task = self._loop.create_task(self._await(run, rest), context=context)
        run.task.add_done_callback(partial(self._cancelled, run))

    def _cancelled(self, run: Run, task: asyncio.Task[None]) -> None:
        """A task that is cancelled before its first step never comes to the end of `_await`."""
        if task.cancelled():
            self._end(run, run.cut_off or asyncio.CancelledError())

    def _begin_time(self, run: Run, call: Call) -> None:
        run.lost = self._lost(run)
        self._timer(run, call.timeout, self._time_is_up)

    async def _call(self, run: Run, call: Call) -> None:
        await call.ready()
        self._begin_time(run, call)
        if not call.has_begun:
            await self._threads.run(partial(call.begin, run.job))
        await await_result(call.function(**call.arguments))

    async def _await(self, run: Run, rest: Callable[[], Coroutine[Any, Any, None]]) -> None:
        error: BaseException | None = None
        try:
            await rest()
        except asyncio.CancelledError as cancelled:
            error = run.cut_off or cancelled
            error.__cause__ = cancelled if error is not cancelled else None
        except BaseException as raised:  # noqa: BLE001 - SystemExit, too, would end the loop and all its jobs
            error = raised
        self._end(run, error)

    def _thread_done(self, run: Run, context: Context, result: Any, error: BaseException | None) -> None:
        if error or not is_awaited(result):
            self._end(run, error)
        elif run.state == "running":  # a plain wrapper around an `async def`
            self._start_task(run, context, partial(await_result, result))
        else:
            drop(result)
            self._end(run, None)

    def _end(self, run: Run, error: BaseException | None) -> None:
        self._clear(run)
        if run in self._left:
            self._left.discard(run)
            self._wake()
        elif run.state != "running":
            self.stragglers -= 1
        else:
            run.state = "ended"
            self._ended(run, error)

    def _time_is_up(self, run: Run) -> None:
        lost = self._lost(run)
        if lost > run.lost:  # others blocked the loop meanwhile
            more, run.lost = lost - run.lost, lost
            self._timer(run, more, self._time_is_up)
            return
        if run in self._left:
            self._give_up(run)
            return
        seconds = run.call.timeout if run.call else 0
        if run.task:
            self.cut_off(run, TimeoutError(f"the job took longer than {seconds:g} seconds"))
        else:
            self.cut_off(run, JobTimeoutException(f"Task exceeded maximum timeout value ({seconds:g} seconds)"))

    def _patience(self, run: Run) -> float:
        """What the job's own time-out leaves a coroutine that was cancelled."""
        return max(_BACKSTOP_SECONDS, timeout_of(run.claim) - (run.call.timeout if run.call else 0))

    def _give_up(self, run: Run) -> None:
        """Let a job end whose function does not."""
        self.stragglers += 1
        self._clear(run)
        if run in self._left:
            self._left.discard(run)
            return
        reason = run.cut_off
        if run.task and isinstance(reason, TimeoutError):
            reason = JobTimeoutException(f"Task exceeded maximum timeout value ({timeout_of(run.claim)} seconds)")
        run.state = "ended"
        self._ended(run, reason)

    def _timer(self, run: Run, seconds: float, then: Callable[[Run], None]) -> None:
        self._clear(run)
        run.timer = self._loop.call_later(seconds, then, run)

    def _clear(self, run: Run) -> None:
        if run.timer:
            run.timer.cancel()
            run.timer = None


def _call(run: Run, call: Call) -> Any:
    if not call.has_begun:
        call.begin(run.job)
    result = call.function(**call.arguments)
    if not is_awaited(result):
        check_ran(result)
        return None
    return result
