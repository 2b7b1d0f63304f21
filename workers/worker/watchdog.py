"""A watchdog for the worker's event loop: a job that blocks it costs no other job an attempt.

1. The job and the line are logged while the loop stands still (see `shared/runtime/loop_lag.py`), and counted on Redis.
2. Meanwhile the leases of all jobs are renewed from here; else they would be reaped, and run elsewhere with an attempt
   less.
3. When a job has blocked for longer than it may take, a signal raises RQ's time-out inside it, as RQ's own alarm does.
4. Before a process is ended whose loop does not run at all, the successes of other jobs are acknowledged, and those
   under way are released, their attempts uncounted.
"""

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq.timeouts import JobTimeoutException
from rq.worker import WorkerStatus

from shared.logs import get_log
from shared.redis.connections import connect_async
from shared.runtime.blocks import BLOCKED_KEY, LAST_BLOCKS_KEY, entry_of
from shared.runtime.loop_lag import Block, LoopLag, Task
from shared.settings.config import Settings
from workers.worker.execution import Execution, current_execution, to_renew
from workers.worker.leases import Leases
from workers.worker.outcomes import Outcomes

_RENEWALS = 6  # in the time of a lease
_LAST_SECONDS = 2.0


class _OwnedTask(asyncio.Task[Any]):
    """A task that knows the job that it was made in, if any."""

    __slots__ = ("owner",)
    owner: Execution | None


@dataclass(eq=False)
class Watchdog:
    """Watches the running event loop of a worker; the loop's tasks are made through it."""

    outcomes: Outcomes
    redis: Redis  # not the loop's
    settings: Settings

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._renewed_at = 0.0
        self._holder: Execution | None = None
        self._timed_out_at = 0.0
        self._target: Execution | None = None
        self._before = signal.signal(signal.SIGALRM, self._raise_timeout)
        self._loop.set_task_factory(self._make_task)  # type: ignore[arg-type]  # it takes any options
        self._lag = LoopLag(self._loop, _describe, self._on_block, owner=self._owner, before_exit=self._before_exit)
        self.lost, self.take_lag = self._lag.lost, self._lag.take_worst

    def close(self) -> None:
        """Watch no more."""
        self._lag.close()
        signal.signal(signal.SIGALRM, self._before)

    def save(self) -> None:
        """Ack what has succeeded and release the rest when the loop is blocked and cannot; in another thread.

        It takes two seconds at most. The job that blocks the loop keeps its lease until that expires: its attempt
        counts.
        """
        thread = threading.Thread(target=self._save, args=(self._holder if self._lag.seconds else None,), daemon=True)
        thread.start()
        thread.join(_LAST_SECONDS)

    def _make_task(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any) -> Task:
        task = _OwnedTask(coroutine, loop=loop, **options)
        context = options.get("context")
        task.owner = context.get(current_execution) if context else current_execution.get(None)
        return task

    def _owner(self, task: Task | None) -> Execution | None:
        return getattr(task, "owner", None)

    def _on_block(self, block: Block) -> None:
        """Handle one check that found the loop blocked, or running again; in the watching thread."""
        execution: Execution | None = block.holder
        if block.is_first:
            self._holder, self._timed_out_at, self._renewed_at = execution, 0.0, time.monotonic()
        if block.is_first or block.is_over:
            self._record(block, execution)
        if block.is_over:
            return
        if time.monotonic() - self._renewed_at > self.outcomes.leases.seconds / _RENEWALS:
            self._renewed_at = time.monotonic()
            with suppress(RedisError, OSError):  # the loop will find out as well what was lost, and that Redis is away
                self._write(lambda leases: leases.renew(to_renew(self.outcomes.executions), WorkerStatus.BUSY))
        if execution and block.seconds - self._timed_out_at > execution.lease.timeout:
            self._timed_out_at, self._target = block.seconds, execution
            signal.pthread_kill(self._thread_id, signal.SIGALRM)

    def _raise_timeout(self, _: int, __: FrameType | None) -> None:
        """On the loop's thread: raise in the job that blocks, unless another job's step has begun meanwhile."""
        target, self._target = self._target, None
        if target and self._owner(asyncio.current_task(self._loop)) is target:
            raise JobTimeoutException("Task exceeded maximum timeout value, and blocked the event loop")

    def _record(self, block: Block, execution: Execution | None) -> None:
        """Write for `deskbell doctor` that a block begins or is over, and for `/metrics` that it is over."""
        with suppress(RedisError, OSError):
            self.redis.hset(LAST_BLOCKS_KEY, *entry_of(block))
            if block.is_over and execution:
                self.redis.hincrby(BLOCKED_KEY, execution.name, 1)

    def _before_exit(self, block: Block) -> None:
        """Before the process is ended. When no job is known to block, attempts count: it might block each time."""
        if block.holder:
            self.save()

    def _save(self, but: Execution | None) -> None:
        running = [execution for execution in list(self.outcomes.executions.values()) if execution.state == "running"]
        left = [execution.lease for execution in running if execution is not but]

        async def write(leases: Leases) -> None:
            await leases.ack(self.outcomes.unacked)
            await leases.release(left, have_begun=True)

        try:
            self._write(write)
        except (RedisError, OSError) as error:
            get_log().error("jobs_not_released", count=len(left), error=error)
        else:
            get_log().info("jobs_released", count=len(left))

    def _write(self, write: Callable[[Leases], Awaitable[Any]]) -> None:
        """Write from another thread, through a connection and a loop of its own."""

        async def connect_and_write() -> None:
            async with connect_async(self.settings, seconds=_LAST_SECONDS, retries=0) as redis:
                await write(self.outcomes.leases.through(redis))

        asyncio.run(connect_and_write())


def _describe(execution: Execution | None) -> Mapping[str, str]:
    return {"job": execution.name, "job_id": execution.lease.job_id} if execution else {}
