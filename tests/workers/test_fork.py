"""The worker that forks a process for each job."""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Worker

from shared import ApiCall, Jobs
from shared.testing import api_call
from tests.waiting import until
from tests.workers.conftest import WorkplaceFactory
from tests.workers.working import Workplace, fetch, running_worker, traceback_of

JOBS = """
import os, threading
from redis import Redis
from rq import get_current_job
from shared import ApiCall, Discard, Jobs

jobs = Jobs()
URL = os.environ["DESKBELL_REDIS_URL"]

def note(name: str) -> int:
    with Redis.from_url(URL) as redis:
        return redis.rpush(name, f"{os.getpid()} {get_current_job().meta['attempt']}")

@jobs.on(ApiCall, queue="crm", isolation="process")
def alone(event: ApiCall) -> None:
    note("alone")

@jobs.on(ApiCall, queue="crm")
async def together(event: ApiCall) -> None:
    note("together")

@jobs.on(ApiCall, queue="crm", node="dies")
def dies(event: ApiCall) -> None:
    if note("dies") == 1:
        os._exit(7)

@jobs.on(ApiCall, queue="crm", node="hangs")
def hangs(event: ApiCall) -> None:
    if note("hangs") == 1:
        threading.Event().wait()

@jobs.on(ApiCall, queue="crm", node="away")
def away(event: ApiCall) -> None:
    note("away")
    with Redis.from_url(URL) as redis:
        redis.config_set("min-replicas-to-write", 1)
    if event.variables.get("Fails"):
        raise OSError

@jobs.on(ApiCall, queue="crm", node="discards")
def discards(event: ApiCall) -> None:
    raise Discard("too old")
"""


def elsewhere() -> Jobs:
    """The job types as the worker process has them, for the fan-out in this one."""
    jobs = Jobs()
    for name in ("alone", "together"):
        jobs.on(ApiCall, name=name, queue="crm", isolation="process" if name == "alone" else None)(_nothing)
    for name in ("dies", "hangs", "away", "discards"):
        jobs.on(ApiCall, name=name, queue="crm", node=name)(_nothing)
    return jobs


def _nothing(event: ApiCall) -> None: ...


def put(open_workplace: WorkplaceFactory, node: str) -> tuple[Workplace, ApiCall]:
    """A workplace, and an event on it that is fanned out."""
    workplace, event = open_workplace(elsewhere()), api_call(node)
    workplace.put_jobs(event)
    return workplace, event


def test_only_a_worker_that_forks_runs_what_needs_a_process_of_its_own(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """The other takes what is behind it in the queue, and leaves it where it is."""
    workplace, event = put(open_workplace, "x")
    start = partial(running_worker, tmp_path, JOBS, valkey_url, "crm", "--burst")

    with start() as together:
        together.wait(30)
    left = workplace.queue("crm").job_ids
    with start("--fork") as fork:
        fork.wait(30)

    assert left == [f"{event.id}-alone"]
    assert workplace.job(event, "alone").is_finished
    [together_pid] = [line.split()[0] for line in workplace.redis.lrange("together", 0, -1)]
    [alone] = workplace.redis.lrange("alone", 0, -1)
    assert together_pid == str(together.pid).encode()
    assert alone.split()[0] != str(fork.pid).encode()
    assert alone.split()[1] == b"1", "the attempt is counted once"
    assert fork.returncode == 0


def test_a_job_that_ends_its_process_is_tried_again(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """RQ sees its process die, and schedules it; the worker goes on."""
    workplace, event = put(open_workplace, "dies")

    with running_worker(tmp_path, JOBS, valkey_url, "crm", "--fork"):
        until(lambda: workplace.job(event, "dies").is_finished)

    assert [line.split()[1] for line in workplace.redis.lrange("dies", 0, -1)] == [b"1", b"2"]
    assert workplace.redis.zcard("rq:wip:crm") == 0


def test_a_dead_letter_of_a_forked_job_says_why(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """As of any other job."""
    workplace, event = put(open_workplace, "discards")

    with running_worker(tmp_path, JOBS, valkey_url, "crm", "--fork", "--burst") as process:
        process.wait(30)

    assert "too old" in traceback_of(fetch(workplace.redis, f"{event.id}-discards"))
    assert workplace.queue("crm").failed_job_registry.get_job_ids() == [f"{event.id}-discards"]


def test_the_job_of_a_killed_worker_that_forks_runs_again_within_the_time_set(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """The lease is the same as of the worker that performs many, and either recovers it."""
    workplace, event = put(open_workplace, "hangs")
    start = partial(running_worker, tmp_path, JOBS, valkey_url, "crm", ABANDONED_SECONDS="5")

    with start("--fork") as killed:
        until(lambda: workplace.redis.llen("hangs"))
        [worker] = Worker.all(workplace.redis)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        job_pid = int((workplace.redis.lindex("hangs", 0) or b"0 0").split()[0])
        with start():
            until(lambda: workplace.job(event, "hangs").is_finished)
        os.kill(job_pid, signal.SIGKILL)

    assert worker.pid == killed.pid
    assert [line.split()[1] for line in workplace.redis.lrange("hangs", 0, -1)] == [b"1", b"2"]


def test_a_damaged_job_does_not_stop_a_worker_that_forks(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """It is a dead letter that can be listed; the next one runs."""
    workplace, event = put(open_workplace, "x")
    broken = f"{event.id}-alone"
    workplace.redis.hset(f"rq:job:{broken}", mapping={"created_at": "yesterday", "data": b"\xff"})
    workplace.redis.lpush("rq:queue:crm", "gone")

    with running_worker(tmp_path, JOBS, valkey_url, "crm", "--fork", "--burst") as process:
        process.wait(30)

    assert fetch(workplace.redis, broken).is_failed
    assert workplace.job(event, "together").is_finished
    assert process.returncode == 0


def refuse_until_one_of(redis: Redis, command: str) -> None:
    """Have Redis refuse what writes, until it has refused such a command."""
    redis.config_resetstat()
    redis.config_set("min-replicas-to-write", 1)
    until(lambda: refusals_of(redis, command))
    redis.config_set("min-replicas-to-write", 0)


def refusals_of(redis: Redis, command: str) -> int:
    """How many of a command Redis has refused."""
    stats: Any = redis.info("commandstats").get(f"cmdstat_{command}", {})
    return sum(int(stats.get(name, 0)) for name in ("rejected_calls", "failed_calls"))


def test_a_worker_that_forks_outlives_an_outage(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """RQ's own ends when a sign of life is refused: between jobs, and while one runs, whose lease is renewed again."""
    workplace, event = put(open_workplace, "x")
    redis = workplace.redis

    with running_worker(tmp_path, JOBS, valkey_url, "crm", "--fork", ABANDONED_SECONDS="5") as process:
        until(lambda: workplace.job(event, "alone").is_finished)
        refuse_until_one_of(redis, "hset")
        workplace.put_jobs(api_call("hangs"))
        until(lambda: redis.llen("hangs"))
        refuse_until_one_of(redis, "evalsha")
        members: Any = redis.zrange("rq:wip:crm", 0, -1)
        hanging = members[0]
        before = redis.zscore("rq:wip:crm", hanging) or 0
        until(lambda: (redis.zscore("rq:wip:crm", hanging) or 0) > before)
        after = api_call("after")
        for line in redis.lrange("hangs", 0, -1):
            os.kill(int(line.split()[0]), signal.SIGKILL)
        workplace.put_jobs(after)
        until(lambda: workplace.job(after, "alone").is_finished)
        is_alive = process.poll() is None

    assert is_alive


@pytest.mark.parametrize("fails", ["", "yes"])
def test_what_a_forked_job_came_to_in_an_outage_is_written_after_it(
    fails: str, open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """Though its lease has run out meanwhile: what ended well does not run again, what failed is tried again later."""
    workplace, event = open_workplace(elsewhere()), api_call("away", Fails=fails)
    redis = workplace.redis
    workplace.put_jobs(event)

    redis.config_resetstat()

    with running_worker(tmp_path, JOBS, valkey_url, "crm", "--fork", ABANDONED_SECONDS="5"):
        until(lambda: redis.llen("away") and refusals_of(redis, "exec"))
        until(lambda: not list(redis.scan_iter("rq:execution:*-away:*")))
        redis.config_set("min-replicas-to-write", 0)
        until(lambda: not redis.zcard("rq:wip:crm"))

    assert workplace.job(event, "away").is_finished == (not fails)
    assert workplace.job(event, "away").is_scheduled == bool(fails)
    assert redis.llen("away") == 1
