import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis
from rq import Worker
from rq.worker.base import BaseWorker

from shared import ApiCall, Jobs
from shared.queues import EVENTS
from shared.testing import api_call
from tests.waiting import until
from tests.workers.conftest import WorkplaceFactory
from tests.workers.working import end_group, running_worker

TWO_QUEUES = """
import os
from redis import Redis
from shared import ApiCall, Jobs

jobs = Jobs()
redis = Redis.from_url(os.environ["DESKBELL_REDIS_URL"])

@jobs.on(ApiCall, queue="crm")
def enquiry(event: ApiCall) -> None:
    redis.rpush("ran", "enquiry")

@jobs.on(ApiCall, queue="analytics")
async def row(event: ApiCall) -> None:
    redis.rpush("ran", "row")
"""

WAITING = """
import os
from redis import Redis
from shared import ApiCall, Jobs

jobs = Jobs()
redis = Redis.from_url(os.environ["DESKBELL_REDIS_URL"])

@jobs.on(ApiCall, queue="crm")
def wait(event: ApiCall) -> None:
    redis.rpush("begun", event.id)
    redis.blpop(["go"], 20)
    redis.rpush("ended", event.id)
"""


def pid_of(worker: BaseWorker) -> int:
    """The worker's process, which is in charge of its own session."""
    assert worker.pid
    return worker.pid


def is_alive(worker: BaseWorker) -> bool:
    """Whether the worker's process is there."""
    try:
        os.kill(pid_of(worker), 0)
    except ProcessLookupError:
        return False
    return True


def test_a_burst_of_several_processes_empties_all_queues(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """What is fanned out while they run, too; each job runs once."""
    workplace = open_workplace(Jobs())
    events = [api_call() for _ in range(20)]
    for event in events:
        workplace.put_event(event)

    with running_worker(tmp_path, TWO_QUEUES, valkey_url, "--burst", "--processes", "2") as process:
        status = process.wait()

    assert status == 0
    assert sorted(workplace.redis.lrange("ran", 0, -1)) == [b"enquiry"] * 20 + [b"row"] * 20
    assert all(workplace.job(event, name).is_finished for event in events for name in ("enquiry", "row"))


def test_a_burst_whose_worker_fails_says_so(redis: Redis, tmp_path: Path) -> None:
    """A server that is away is an exit status of 1, not a silence that looks like success."""
    assert redis.ping()
    url = f"unix://{tmp_path}/no.sock"

    with running_worker(tmp_path, TWO_QUEUES, url, "--processes", "2", "--burst") as process:
        status = process.wait()

    assert status == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_burst_ends_its_workers_and_starts_no_others(
    number: signal.Signals, open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """The jobs in hand are finished, the rest waits where it is; the status says that something is left."""
    jobs = Jobs()

    @jobs.on(ApiCall, queue="crm")
    def wait(event: ApiCall) -> None: ...

    workplace = open_workplace(jobs)
    events = [api_call() for _ in range(3)]
    for event in events:
        workplace.put_jobs(event)
    arguments = ("crm", EVENTS, "--burst", "--processes", "2", "--concurrency", "1")

    with running_worker(tmp_path, WAITING, valkey_url, *arguments) as process:
        until(lambda: workplace.redis.llen("begun") == 2)
        workers = Worker.all(workplace.redis)
        os.kill(process.pid, number)
        until(lambda: all(worker.shutdown_requested_date for worker in workers))
        workplace.redis.rpush("go", "", "")
        status = process.wait()

    assert status == 1
    assert sorted(workplace.redis.lrange("ended", 0, -1)) == sorted(event.id.encode() for event in events[:2])
    assert workplace.queue("crm").job_ids == [f"{events[2].id}-wait"]
    assert not [worker for worker in workers if is_alive(worker)]


def test_a_killed_worker_is_started_again_and_sigterm_ends_them_all(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """Work goes on after a kill; in the end no process is left."""
    workplace = open_workplace(Jobs())
    redis = workplace.redis

    with running_worker(tmp_path, TWO_QUEUES, valkey_url, "--processes", "2") as process, ExitStack() as stack:
        until(lambda: len(Worker.all(redis)) == 2)
        first = Worker.all(redis)
        for worker in first:
            stack.callback(end_group, pid_of(worker))
        os.kill(pid_of(first[0]), signal.SIGKILL)
        [second] = until(lambda: [worker for worker in Worker.all(redis) if worker not in first])
        stack.callback(end_group, pid_of(second))
        workplace.put_event(api_call())
        until(lambda: redis.llen("ran") == 2)

        process.terminate()
        status = process.wait()

    assert status == 0
    assert not [worker for worker in (*first, second) if is_alive(worker)]


def test_supervised_workers_that_fork_perform_jobs_too(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """`--fork --processes 2`: RQ's fork-per-job worker, with our entry points."""
    workplace = open_workplace(Jobs())
    event = api_call()
    workplace.put_event(event)

    with running_worker(tmp_path, TWO_QUEUES, valkey_url, "--fork", "--processes", "2") as process:
        until(lambda: workplace.redis.llen("ran") == 2)
        until(lambda: workplace.job(event, "row").is_finished)
        process.terminate()
        status = process.wait()

    assert status == 0


def test_what_a_killed_worker_leaves_running_ends_with_it(redis: Redis, valkey_url: str, tmp_path: Path) -> None:
    """RQ's scheduler is a process of its own; left alone it would hold its locks, and the connections, for ever."""
    with running_worker(tmp_path, TWO_QUEUES, valkey_url, "--fork", "--processes", "2") as process:
        [key] = until(lambda: list(redis.scan_iter("rq:scheduler:*")))
        scheduler = int(redis.hget(key, "pid") or 0)

        os.kill(os.getpgid(scheduler), signal.SIGKILL)

        until(lambda: not redis.exists(key))
        process.terminate()
        process.wait()
