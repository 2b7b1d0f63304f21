"""RQ's own tools and workers, beside ours, on the same queues."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rq import Worker

from deskbell.testing import api_call
from tests.conftest import WorkplaceFactory
from tests.waiting import DEADLINE_SECONDS, until
from tests.workers.running import Workplace, end_group, jobs_in, running_worker

JOBS = """
import os
from redis import Redis
from rq import get_current_job
from deskbell import ApiCall, Discard, Event, Jobs

jobs = Jobs()
redis = Redis.from_url(os.environ["DESKBELL_REDIS_URL"])

@jobs.on(Event, queue="crm")
def note(event: Event) -> None:
    redis.rpush("ran", f"{event.id} {get_current_job().worker_name}")

@jobs.on(ApiCall, queue="crm", node="discarded")
async def give_up(event: ApiCall) -> None:
    if redis.incr("gave up") == 1:
        raise Discard("not today")
"""


@pytest.fixture
def workplace(open_workplace: WorkplaceFactory) -> Workplace:
    """The queues of the job types of the worker processes."""
    return open_workplace(jobs_in(JOBS))


def rq(url: str, *words: str) -> str:
    """What RQ's command line prints."""
    command = [sys.executable, "-P", "-m", "rq.cli", *words, "--url", url]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=DEADLINE_SECONDS).stdout


@contextmanager
def stock_worker(folder: Path, url: str) -> Iterator[None]:
    """Run `rq worker events crm`, forking, with a scheduler, as RQ's documentation shows."""
    environment = os.environ | {
        "DESKBELL_REDIS_URL": url,
        "DESKBELL_JOBS": "acme_jobs:jobs",
        "DESKBELL_APP_DIR": str(folder),
    }
    command = [sys.executable, "-P", "-m", "rq.cli", "worker", "events", "crm", "--serializer", "json", "--url", url]
    with subprocess.Popen([*command, "--quiet"], env=environment, start_new_session=True) as process:
        try:
            yield
        finally:
            end_group(process.pid)


def ran(redis: Any) -> list[tuple[str, str]]:
    """The events whose jobs ran, and on which worker."""
    lines: list[bytes] = redis.lrange("ran", 0, -1)
    return [(line.decode().split()[0], line.decode().split()[1]) for line in lines]


def test_a_stock_worker_shares_the_queues(workplace: Workplace, valkey_url: str, tmp_path: Path) -> None:
    """Each job runs once, on the one or the other, and RQ lists both."""
    redis = workplace.redis
    events = [api_call() for _ in range(60)]

    with (
        running_worker(tmp_path, JOBS, valkey_url, "--concurrency", "2"),
        stock_worker(tmp_path, valkey_url),
    ):
        until(lambda: len(Worker.all(redis)) == 2)
        for event in events:
            workplace.put_event(event)
        until(lambda: len(ran(redis)) == len(events))
        until(lambda: not redis.zcard("rq:wip:crm") and not redis.zcard("rq:wip:events"))
        names = {worker.name for worker in Worker.all(redis)}

    assert sorted(event for event, _ in ran(redis)) == sorted(event.id for event in events)
    assert {worker for _, worker in ran(redis)} <= names
    assert all(workplace.job(event, "note").is_finished for event in events)


def test_rqs_command_line_shows_suspends_and_requeues(workplace: Workplace, valkey_url: str, tmp_path: Path) -> None:
    """`rq info` lists the worker, `rq suspend` stops it until `rq resume`, `rq requeue` puts a dead letter back."""
    redis, command = workplace.redis, partial(rq, valkey_url)
    event = workplace.put_jobs(api_call("discarded"))

    with running_worker(tmp_path, JOBS, valkey_url, "crm", "events") as process:
        until(lambda: redis.zcard("rq:failed:crm"))
        info = command("info", "--by-queue")
        command("suspend")
        until(lambda: Worker.all(redis)[0].get_state() == "suspended")
        suspended = command("info")
        waiting_event = api_call()
        workplace.put_event(waiting_event)
        command("requeue", "--all", "--queue", "crm", "--serializer", "rq.serializers.JSONSerializer")
        waiting = workplace.queue("crm").job_ids + workplace.queue("events").job_ids
        command("resume")
        until(lambda: workplace.job(event, "give_up").is_finished)
        [worker] = Worker.all(redis)

    assert "1 workers, " in info
    assert "crm" in info
    assert "suspended" in suspended
    assert waiting == [f"{event.id}-give_up", waiting_event.id]
    assert worker.pid == process.pid
