"""The jobs under way in one worker: `async def` on its event loop, `def` in threads, isolated ones in child processes.

A job ends once: with its function, or before it, when its time is up, when it is stopped, or when its lease is lost. A
function that goes on nevertheless is a straggler: it holds its thread, or its task, and its result is ignored.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from redis import Redis
from rq.job import _current_job  # RQ has no public way to set the current job
from rq.timeouts import JobTimeoutException

from shared.declarations.functions import drop, is_awaited
from shared.logs import get_log
from shared.runtime.threads import DaemonThreads
from workers.attempt import Attempt
from workers.fan_out import FanOut
from workers.isolation.children import Children
from workers.job import AllowListedJob
from workers.lease import Lease
from workers.unawaited import await_result, check_ran

_BACKSTOP_SECONDS = 1.0  # at least, between a cancellation and giving a coroutine up


class StoppedError(Exception):
    """Raised in place of a job's own outcome when a person has stopped it."""


class KilledError(Exception):
    """Raised in place of a job's own outcome at RQ's command `kill-horse`."""


@dataclass(slots=True, weakref_slot=True, eq=False)
class Execution:
    """A claimed job under way.

    Attributes:
        attempt: the attempt at a job that this is; None of an event's own job, and of a job that cannot be read.
        is_event: whether it is an event's own job; what is refused is none.
        fan_out: what that event becomes: nothing is called, the ack does it.
        timeout: seconds after which a coroutine is cancelled, or a thread given up.
        state: `running`; `ended` with an outcome that is not on Redis yet; `acking` or `writing` while it is written;
            or `over`.
        cut_off: why it was ended before its function, if it was.
        timer: gives the job up when its time has come.
        lost: the seconds that others had blocked the loop for when its time began.
        is_decided: whether it failed, and it was decided whether to try again: that happens once.
    """

    lease: Lease
    job: AllowListedJob
    attempt: Attempt | None = None
    is_event: bool = False
    fan_out: FanOut | None = None
    timeout: float = 0.0
    state: Literal["running", "ended", "acking", "writing", "over"] = "running"
    cut_off: BaseException | None = None
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    lost: float = 0.0
    is_decided: bool = False

    @property
    def name(self) -> str:
        """The job type's name, such as a log line may hold; "" of an event's own job."""
        return self.attempt.name if self.attempt else ""


current_execution: ContextVar[Execution | None] = ContextVar("deskbell_execution", default=None)
"""Set in the context of a job, so that the tasks that it makes are known to be its own."""


@dataclass(eq=False)
class Executor:
    """Runs jobs, and reports how each ended."""

    executions: dict[str, Execution]
    connection: Redis
    threads: DaemonThreads
    children: Children
    ended: Callable[[Execution, BaseException | None], None]  # called once for each job, with what it raised
    lost: Callable[[Execution], float]  # the seconds, ever, in which others than a job kept the loop from running
    wake: Callable[[], None]  # called when a slot is free, or a function has ended whose job was not ours any more

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._left: set[Execution] = set()
        self.stragglers = 0

    def is_busy(self) -> bool:
        """Whether jobs are under way, or functions within their time whose jobs are not ours any more."""
        return bool(self.executions or self._left)

    def add(self, lease: Lease) -> Execution:
        """A job that has been claimed, and is to be started, or to become a dead letter."""
        job = AllowListedJob.of(lease, self.connection)
        execution = self.executions[lease.execution_id] = Execution(lease, job, timeout=lease.timeout)
        return execution

    def start(self, execution: Execution) -> None:
        """Call what a job calls."""
        attempt, context = execution.attempt, copy_context()
        assert attempt
        context.run(_current_job.set, execution.job)
        context.run(current_execution.set, execution)
        context.run(attempt.span.enter)
        if attempt.job_type.is_async or attempt.job_type.isolation:
            self._start_task(execution, context, partial(self._call, execution, attempt))
        else:
            self._begin_time(execution)
            done = partial(self._thread_done, execution, context)
            self.threads.start(partial(context.run, _call_in_thread, attempt, execution.job), done)

    def stop(self, reason: BaseException, *, job_id: str | None = None, execution_id: str | None = None) -> None:
        """End one job, or one execution, or with neither all of them, before their functions do."""
        for execution in list(self.executions.values()):
            lease = execution.lease
            if job_id in (None, lease.job_id) and execution_id in (None, lease.execution_id):
                self._cut_off(execution, reason)

    def lose(self, execution_id: str) -> None:
        """Forget a job whose lease was lost; a thread may go on for as long as the job may take."""
        execution = self.executions.get(execution_id)
        # An outcome that is being written may just have been written, which ends the lease, too.
        if execution and execution.state not in {"acking", "writing"}:
            del self.executions[execution_id]
            get_log().warning("lease_lost", job_id=execution.lease.job_id, queue=execution.lease.queue)
            self._drop(execution)
            self.wake()

    def drop_all(self) -> list[Lease]:
        """Let the jobs that run end without an outcome; their leases, which are not renewed any more."""
        running = [execution for execution in self.executions.values() if execution.state == "running"]
        for execution in running:
            del self.executions[execution.lease.execution_id]
            self._drop(execution)
        return [execution.lease for execution in running]

    def _drop(self, execution: Execution) -> None:
        was_running, execution.state = execution.state == "running", "over"
        if was_running:
            self._left.add(execution)
            self._cancel(execution)

    def _cut_off(self, execution: Execution, reason: BaseException) -> None:
        """End a job before its function does: a coroutine is cancelled, and may take a moment; a thread is left."""
        if execution.state != "running" or execution.cut_off:
            return
        execution.cut_off = reason
        if not self._cancel(execution):
            self._give_up(execution)

    def _cancel(self, execution: Execution) -> bool:
        """Cancel a coroutine; it has what the job's own time-out leaves of its hash's to come to its end."""
        if execution.task:
            execution.task.cancel()
            patience = max(_BACKSTOP_SECONDS, execution.lease.timeout - execution.timeout)
            self._set_timer(execution, patience, self._give_up)
        return bool(execution.task)

    def _start_task(
        self, execution: Execution, context: Context, rest: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        execution.task = self._loop.create_task(self._await(execution, rest), context=context)
        execution.task.add_done_callback(partial(self._cancelled, execution))

    def _cancelled(self, execution: Execution, task: asyncio.Task[None]) -> None:
        """A task that is cancelled before its first step never comes to the end of `_await`."""
        if task.cancelled():
            self._end(execution, execution.cut_off or asyncio.CancelledError())

    async def _call(self, execution: Execution, attempt: Attempt) -> None:
        if attempt.job_type.isolation:
            await self.children.ready()
        self._begin_time(execution)
        if not attempt.has_begun:
            await self.threads.run(partial(attempt.begin, execution.job))
        if attempt.job_type.isolation:
            await self.children.perform(execution.lease, attempt.job_type.name, attempt.wire)
        else:
            await await_result(attempt.function())

    async def _await(self, execution: Execution, rest: Callable[[], Coroutine[Any, Any, None]]) -> None:
        error: BaseException | None = None
        try:
            await rest()
        except asyncio.CancelledError as cancelled:
            error = execution.cut_off or cancelled
            error.__cause__ = cancelled if error is not cancelled else None
        except BaseException as raised:  # noqa: BLE001 - SystemExit, too, would end the loop and all its jobs
            error = raised
        self._end(execution, error)

    def _thread_done(self, execution: Execution, context: Context, result: Any, error: BaseException | None) -> None:
        if error or not is_awaited(result):
            self._end(execution, error)
        elif execution.state == "running":  # a plain wrapper around an `async def`
            self._start_task(execution, context, partial(await_result, result))
        else:
            drop(result)
            self._end(execution, None)

    def _end(self, execution: Execution, error: BaseException | None) -> None:
        self._clear_timer(execution)
        if execution in self._left:
            self._left.discard(execution)
            self.wake()
        elif execution.state != "running":
            self.stragglers -= 1
        else:
            self.ended(execution, error)

    def _begin_time(self, execution: Execution) -> None:
        execution.lost = self.lost(execution)
        self._set_timer(execution, execution.timeout, self._time_is_up)

    def _time_is_up(self, execution: Execution) -> None:
        lost, seconds = self.lost(execution), execution.timeout
        if lost > execution.lost:  # others blocked the loop meanwhile
            more, execution.lost = lost - execution.lost, lost
            self._set_timer(execution, more, self._time_is_up)
        elif execution in self._left:
            self._give_up(execution)
        elif execution.task:
            self._cut_off(execution, TimeoutError(f"the job took longer than {seconds:g} seconds"))
        else:
            self._cut_off(execution, _timeout(seconds))

    def _give_up(self, execution: Execution) -> None:
        """Let a job end whose function does not."""
        self.stragglers += 1
        self._clear_timer(execution)
        if execution in self._left:
            self._left.discard(execution)
            return
        reason = execution.cut_off
        if execution.task and isinstance(reason, TimeoutError):
            reason = _timeout(execution.lease.timeout)
        self.ended(execution, reason)

    def _set_timer(self, execution: Execution, seconds: float, then: Callable[[Execution], None]) -> None:
        self._clear_timer(execution)
        execution.timer = self._loop.call_later(seconds, then, execution)

    def _clear_timer(self, execution: Execution) -> None:
        if execution.timer:
            execution.timer.cancel()
            execution.timer = None


def to_renew(executions: Mapping[str, Execution]) -> list[Lease]:
    """The leases that are to be renewed: not those whose outcomes are being written, which may end at any moment."""
    return [each.lease for each in list(executions.values()) if each.state not in {"acking", "writing"}]


def _call_in_thread(attempt: Attempt, job: AllowListedJob) -> Any:
    attempt.begin(job)
    result = attempt.function()
    if not is_awaited(result):
        check_ran(result)
        return None
    return result


def _timeout(seconds: float) -> JobTimeoutException:
    return JobTimeoutException(f"Task exceeded maximum timeout value ({seconds:g} seconds)")
