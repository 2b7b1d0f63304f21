import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis
from rq import Worker
from rq.scheduler import SCHEDULER_KEY_TEMPLATE
from rq.worker.base import BaseWorker

from shared import ApiCall, Jobs
from shared.queues import EVENTS
from shared.testing import api_call
from tests.workers.conftest import WorkplaceFactory
from tests.workers.working import end_group, running_worker, until

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


def workers(redis: Redis) -> dict[str, BaseWorker]:
    """The worker that serves each queue."""
    return {worker.queue_names()[0]: worker for worker in Worker.all(redis)}


def schedulers(redis: Redis) -> int:
    """How many processes put due retries back."""
    return sum(1 for _ in redis.scan_iter(SCHEDULER_KEY_TEMPLATE % "*"))


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


def test_a_burst_empties_events_first_and_then_what_was_fanned_out(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """Otherwise the other workers would find their queues empty and end before there is work."""
    workplace = open_workplace(Jobs())
    events = [api_call(), api_call()]
    for event in events:
        workplace.put_event(event)

    with running_worker(tmp_path, TWO_QUEUES, valkey_url, "--burst") as process:
        status = process.wait()

    assert status == 0
    assert sorted(workplace.redis.lrange("ran", 0, -1)) == [b"enquiry", b"enquiry", b"row", b"row"]
    assert [workplace.job(event, name).is_finished for event in events for name in ("enquiry", "row")] == [True] * 4


def test_a_burst_whose_worker_fails_says_so(redis: Redis, tmp_path: Path) -> None:
    """A server that is away is an exit status of 1, not a silence that looks like success."""
    assert redis.ping()

    with running_worker(tmp_path, TWO_QUEUES, f"unix://{tmp_path}/no.sock", "crm", "analytics", "--burst") as process:
        status = process.wait()

    assert status == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_burst_ends_its_workers_and_starts_no_others(
    number: signal.Signals, open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """The job in hand is finished, the rest waits where it is; the status says that something is left."""
    jobs = Jobs()

    @jobs.on(ApiCall, queue="crm")
    def wait(event: ApiCall) -> None: ...

    workplace = open_workplace(jobs)
    first, second = api_call(), api_call()
    for event in (first, second):
        workplace.put_jobs(event)

    with running_worker(tmp_path, WAITING, valkey_url, "crm", EVENTS, "--burst") as process:
        until(lambda: workplace.redis.llen("begun"))
        os.kill(process.pid, number)
        worker = workers(workplace.redis)["crm"]
        until(lambda: worker.shutdown_requested_date)
        workplace.redis.rpush("go", "")
        status = process.wait()

    assert status == 1
    assert workplace.redis.lrange("ended", 0, -1) == [first.id.encode()]
    assert workplace.queue("crm").job_ids == [f"{second.id}-wait"]
    assert not is_alive(worker)


def test_a_killed_worker_is_started_again_and_sigterm_ends_them_all(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """Work goes on after a kill; in the end no process is left, not even the scheduler of the killed one."""
    workplace = open_workplace(Jobs())
    redis = workplace.redis

    with running_worker(tmp_path, TWO_QUEUES, valkey_url) as process, ExitStack() as stack:
        until(lambda: len(workers(redis)) == schedulers(redis) == 3)
        first = workers(redis)
        for worker in first.values():
            stack.callback(end_group, pid_of(worker))
        killed = first["crm"]
        os.kill(pid_of(killed), signal.SIGKILL)
        until(lambda: killed.name not in {client["name"] for client in redis.client_list()})
        second = until(lambda: [worker for worker in Worker.all(redis) if is_successor(worker, killed)])[0]
        stack.callback(end_group, pid_of(second))
        workplace.put_event(api_call())
        until(lambda: redis.llen("ran") == 2)

        process.terminate()
        status = process.wait()

    assert status == 0
    assert not [worker for worker in (*first.values(), second) if is_alive(worker)]
    assert schedulers(redis) == 0


def is_successor(worker: BaseWorker, killed: BaseWorker) -> bool:
    """Whether a worker serves the queue of another that was killed."""
    return worker.name != killed.name and worker.queue_names() == killed.queue_names()
