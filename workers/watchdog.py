"""A job that blocks its worker's event loop: what becomes of it, and that the other jobs pay nothing for it.

1. The job and the line are logged while the loop stands still (see `shared/loop_lag.py`), and counted on Redis.
2. Meanwhile the leases of all jobs are renewed from here; else they would run elsewhere, one attempt the poorer.
3. When a job has blocked for longer than it may take, a signal raises RQ's time-out inside it, as RQ's own alarm does.
4. Before a process is ended whose loop does not turn at all, the successes of other jobs are settled, and those under
   way are put back, their attempts uncounted.
"""

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq.timeouts import JobTimeoutException

from shared.blocks import BLOCKED_KEY, LAST_BLOCKS_KEY, entry_of
from shared.logs import get_log
from shared.loop_lag import Block, LoopLag, Task
from workers.calls import timeout_of
from workers.executions import Ledger, script
from workers.lease import Lease
from workers.running import Run, current_run

_RENEWALS = 6  # in the time of a lease
_LAST_SECONDS = 2.0


class _OwnedTask(asyncio.Task[Any]):
    """A task that knows the job that it was made in, if any."""

    __slots__ = ("owner",)
    owner: Run | None


class Watchdog:
    """Watches the loop of a worker; the loop's tasks are made through it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        runs: Mapping[str, Run],
        unsettled: Callable[[], list[Lease]],
        ledger: Ledger,
        redis: Redis,
        known_seconds: int,
    ) -> None:
        """Watch a loop; on its thread, the main one.

        Args:
            loop: the loop.
            runs: the jobs under way, by execution.
            unsettled: gives those that have succeeded, and are not settled yet.
            ledger: the worker's.
            redis: a connection that is not the loop's.
            known_seconds: how long Redis knows the worker without a sign of life.
        """
        self._loop = loop
        self._thread_id = threading.get_ident()
        self._runs = runs
        self._unsettled = unsettled
        self._ledger = ledger
        self._redis = redis
        self._known_seconds = known_seconds
        self._renew_script, self._settle_script, self._put_back_script = (
            redis.register_script(script(name, ledger.limits)) for name in ("renew", "settle", "put_back")
        )
        self._renewed_at = 0.0
        self._holder: Run | None = None
        self._struck = 0.0
        self._target: Run | None = None
        self._before = signal.signal(signal.SIGALRM, self._raise)
        loop.set_task_factory(self._make_task)  # type: ignore[arg-type]  # it takes any options
        self.lag = LoopLag(loop, _describe, self._look, owner=self._owner, last=self._end)

    def close(self) -> None:
        """Watch no more."""
        self.lag.close()
        signal.signal(signal.SIGALRM, self._before)

    def save(self, *, but: Run | None) -> None:
        """Write on Redis what this process, whose loop does not turn, can no longer write; in any other thread.

        It takes two seconds at most.

        Args:
            but: a job that is to be recovered when its lease has run out, the attempt counted.
        """
        thread = threading.Thread(target=self._save, args=(but,), daemon=True)
        thread.start()
        thread.join(_LAST_SECONDS)

    @property
    def holder(self) -> Run | None:
        """The job that blocks the loop now."""
        return self._holder if self.lag.seconds else None

    def _make_task(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any) -> Task:
        task = _OwnedTask(coroutine, loop=loop, **options)
        context = options.get("context")
        task.owner = context.get(current_run) if context else current_run.get(None)
        return task

    def _owner(self, task: Task | None) -> Run | None:
        return getattr(task, "owner", None)

    def _look(self, block: Block) -> None:
        """In the watching thread."""
        run: Run | None = block.holder
        if block.is_first:
            self._holder, self._struck, self._renewed_at = run, 0.0, time.monotonic()
        if block.is_first or block.is_over:
            self._note(block, run)
        if block.is_over:
            return
        if time.monotonic() - self._renewed_at > self._ledger.lease_seconds / _RENEWALS:
            self._renewed_at = time.monotonic()
            self._renew()
        if run and block.seconds - self._struck > timeout_of(run.claim):
            self._struck, self._target = block.seconds, run
            signal.pthread_kill(self._thread_id, signal.SIGALRM)

    def _raise(self, _: int, __: FrameType | None) -> None:
        """On the loop's thread: when the step that blocked has ended meanwhile, another job's may have begun."""
        target, self._target = self._target, None
        if target and self._owner(asyncio.current_task(self._loop)) is target:
            raise JobTimeoutException("Task exceeded maximum timeout value, and blocked the event loop")

    def _renew(self) -> None:
        claims = [run.claim for run in list(self._runs.values()) if run.state != "settling"]
        with suppress(RedisError, OSError):  # what was lost, and that Redis is away, the loop will find out as well
            self._renew_script(args=self._ledger.renewal(claims, self._known_seconds))

    def _note(self, block: Block, run: Run | None) -> None:
        """Let `deskbell doctor` know as it begins and when it is over, and `/metrics` when it is over."""
        with suppress(RedisError, OSError):
            self._redis.hset(LAST_BLOCKS_KEY, *entry_of(block))
            if block.is_over and run and run.call:
                self._redis.hincrby(BLOCKED_KEY, run.call.name, 1)

    def _end(self, block: Block) -> None:
        """Before the process is ended. If no job is to blame, attempts count: one that does it each time must end."""
        if block.holder:
            self.save(but=block.holder)

    def _save(self, but: Run | None) -> None:
        left = [run.claim for run in list(self._runs.values()) if run.state == "running" and run is not but]
        try:
            if done := self._unsettled():
                self._settle_script(args=self._ledger.settlement(done))
            if left:
                self._put_back_script(args=self._ledger.put_back(left, have_begun=True))
        except (RedisError, OSError) as error:
            get_log().error("not_put_back", count=len(left), error=error)
        else:
            get_log().info("put_back", count=len(left))


def _describe(run: Run | None) -> Mapping[str, str]:
    return {"job": run.call.name, "job_id": run.claim.job_id} if run and run.call else {}
