"""A job that blocks its worker's event loop: the others pay nothing for it.

Real processes; a job holds its loop until the test lets it go, through Redis.
"""

import asyncio
import math
import signal
from collections.abc import Callable, Coroutine
from contextlib import closing
from contextvars import copy_context
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from redis import Redis
from rq.timeouts import JobTimeoutException

from deskbell.testing import api_call
from shared.runtime.blocks import BLOCKED_KEY, LAST_BLOCKS_KEY, LastBlock, read_blocks
from shared.runtime.loop_lag import STUCK_STATUS
from tests.conftest import WorkplaceFactory
from tests.waiting import DEADLINE_SECONDS, until
from tests.workers.running import Workplace, jobs_in, logged, running_worker, status_of
from workers.worker.execution import current_execution
from workers.worker.watchdog import Watchdog

JOBS = """
import asyncio, os, threading
import shared.runtime.loop_lag
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from rq import get_current_job
from deskbell import ApiCall, Jobs

jobs = Jobs()
URL = os.environ["DESKBELL_REDIS_URL"]

def note(name: str) -> int:
    with Redis.from_url(URL) as redis:
        return redis.rpush(name, get_current_job().meta["attempt"])

def hold() -> None:
    with Redis.from_url(URL, socket_timeout=None) as redis:
        redis.blpop(["go"], 30)

@jobs.on(ApiCall, queue="crm", node="blocks")
async def blocks(event: ApiCall) -> None:
    if note("blocks") == 1:
        hold()

@jobs.on(ApiCall, queue="crm", node="gathers")
async def gathers(event: ApiCall) -> None:
    async def part() -> None:
        note("gathers")
        hold()
    await asyncio.gather(part())

@jobs.on(ApiCall, queue="crm", node="innocent", timeout=1)
async def innocent(event: ApiCall) -> None:
    note("innocent")
    async with AsyncRedis.from_url(URL, socket_timeout=None) as redis:
        await redis.blpop(["go:innocent"], 30)

@jobs.on(ApiCall, queue="crm", node="innocent_thread")
def innocent_thread(event: ApiCall) -> None:
    if note("innocent") == 1:
        threading.Event().wait()
"""


@pytest.fixture
def workplace(open_workplace: WorkplaceFactory) -> Workplace:
    """The queues of the job types of the worker process."""
    return open_workplace(jobs_in(JOBS))


def put(workplace: Workplace, node: str) -> str:
    """Put a job on the queue; its id."""
    event = workplace.put_jobs(api_call(node))
    return f"{event.id}-{node}"


def signs_of_life(redis: Redis, job_id: str) -> Callable[[], set[Any]]:
    """The signs of life of a job's execution that were seen so far."""
    seen: set[Any] = set()

    def look() -> set[Any]:
        for key in redis.scan_iter(f"rq:execution:{job_id}:*"):
            seen.add(redis.hget(key, "last_heartbeat"))
        return seen

    return look


def logged_of_jobs(folder: Path, event: str) -> list[dict[str, Any]]:
    """The lines of an event that name a job: on a busy machine a loop may stand still without one, too."""
    return [line for line in logged(folder, event) if "job" in line]


def blocks_of_jobs(redis: Redis) -> list[LastBlock]:
    """The last block of each job type."""
    return [block for block in read_blocks(redis.hgetall(LAST_BLOCKS_KEY)) if block.who.startswith("job ")]


@pytest.mark.parametrize("node", ["blocks", "gathers"])
def test_a_block_is_logged_while_it_lasts_and_counted(
    node: str, workplace: Workplace, valkey_url: str, tmp_path: Path
) -> None:
    """With the job type, also when a task of the job's own blocks, and the integrator's line."""
    job_id, redis = put(workplace, node), workplace.redis

    with running_worker(tmp_path, JOBS, valkey_url, "crm"):
        [line] = until(lambda: logged_of_jobs(tmp_path, "loop_blocked"))
        [begun] = until(lambda: blocks_of_jobs(redis))
        redis.rpush("go", "")
        until(lambda: redis.hget(BLOCKED_KEY, node))
        [over] = until(lambda: logged_of_jobs(tmp_path, "loop_unblocked"))

    assert (line["job"], line["job_id"]) == (over["job"], over["job_id"]) == (node, job_id)
    assert line["at"].endswith(f"/acme_jobs.py:{JOBS[: JOBS.index('redis.blpop')].count(chr(10)) + 1} in hold")
    assert redis.hgetall(BLOCKED_KEY) == {node.encode(): b"1"}
    [ended] = blocks_of_jobs(redis)
    assert (begun.who, begun.at, begun.is_over) == (f"job {node}", line["at"], False)
    assert (ended.who, ended.is_over, ended.seconds >= begun.seconds) == (begun.who, True, True)


def test_time_that_another_job_blocks_the_loop_for_is_not_a_jobs_own(
    workplace: Workplace, valkey_url: str, tmp_path: Path
) -> None:
    """It ends well though the loop stood still past its time-out, and its lease is renewed meanwhile."""
    innocent, redis = put(workplace, "innocent"), workplace.redis

    with running_worker(tmp_path, JOBS, valkey_url, "crm", ABANDONED_SECONDS="5"):
        until(lambda: redis.llen("innocent"))
        blocks = put(workplace, "blocks")
        until(lambda: redis.llen("blocks"))
        renewals = [signs_of_life(redis, job_id) for job_id in (innocent, blocks)]
        until(lambda: all(len(seen()) > 4 for seen in renewals))
        redis.rpush("go:innocent", "")
        redis.rpush("go", "")
        until(lambda: not redis.zcard("rq:wip:crm"))

    assert status_of(redis, innocent) == status_of(redis, blocks) == "finished"
    assert redis.lrange("innocent", 0, -1) == [b"1"]


@pytest.mark.parametrize("end", ["SIGTERM", "stuck"])
def test_a_process_that_ends_because_of_a_block_releases_the_other_jobs(
    end: str, workplace: Workplace, valkey_url: str, tmp_path: Path
) -> None:
    """Their attempts uncounted; the one that blocks is reaped when its lease has expired, its attempt used up."""
    innocent, redis = put(workplace, "innocent_thread"), workplace.redis
    source = JOBS + ("shared.runtime.loop_lag.STUCK_SECONDS = 1\n" if end == "stuck" else "")

    with running_worker(tmp_path, source, valkey_url, "crm", GRACE_SECONDS="1") as process:
        until(lambda: redis.llen("innocent"))
        blocks = put(workplace, "blocks")
        until(lambda: redis.llen("blocks"))
        if end == "SIGTERM":
            process.terminate()
        exit_status = process.wait(DEADLINE_SECONDS)
    left = workplace.queue("crm").job_ids, [status_of(redis, job_id) for job_id in (innocent, blocks)]
    with running_worker(tmp_path, JOBS, valkey_url, "crm", "--burst") as process:
        process.wait(DEADLINE_SECONDS)

    assert exit_status == (STUCK_STATUS if end == "stuck" else 1)
    assert left == ([innocent], ["queued", "started"])
    assert redis.lrange("innocent", 0, -1) == [b"1", b"1"]


def test_the_signal_ends_the_job_that_it_is_meant_for_and_no_other(workplace: Workplace) -> None:
    """Between the watch's decision and the signal the block may have ended, and another job's step have begun."""
    guilty, innocent = (Mock(lease=Mock(timeout=seconds, job_id="1")) for seconds in (0, math.inf))
    guilty.name = "guilty"

    async def block() -> None:
        until(lambda: signal.SIGALRM in signal.sigpending())

    async def let_the_signal_in() -> str:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        except JobTimeoutException:
            return "struck"
        return "spared"

    async def block_and_let_it_in() -> str:
        await block()
        return await let_the_signal_in()

    async def run_as(execution: Mock, step: Coroutine[Any, Any, Any]) -> Any:
        context = copy_context()
        context.run(current_execution.set, execution)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        return await asyncio.get_running_loop().create_task(step, context=context)

    async def both() -> list[str]:
        watchdog = Watchdog(Mock(executions={}, leases=Mock(seconds=60)), workplace.redis, workplace.performer.settings)
        with closing(watchdog):
            await run_as(guilty, block())
            return [await run_as(innocent, let_the_signal_in()), await run_as(guilty, block_and_let_it_in())]

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    try:
        outcomes = asyncio.run(both())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    assert outcomes == ["spared", "struck"]
