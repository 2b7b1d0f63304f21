"""Lifespans of jobs: in a worker, in a job's own process, and under a stock worker."""

import os
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from deskbell.testing import api_call
from deskbell.testing.stack import signals_kept
from tests import forked
from tests.conftest import WorkplaceFactory
from tests.processes import ALONE, environment
from tests.waiting import DEADLINE_SECONDS
from tests.workers.running import jobs_in, running_worker

JOBS = """
import asyncio, os
from redis import Redis
from deskbell import ApiCall, Jobs, Settings

jobs = Jobs()
loop = None

def note(what: str) -> None:
    with Redis.from_url(os.environ["DESKBELL_REDIS_URL"]) as redis:
        redis.rpush("done", f"{what} {os.getpid()}")

@jobs.lifespan
async def shared(settings: Settings):
    global loop
    async with asyncio.TaskGroup():
        loop = asyncio.get_running_loop()
        note("open")
        yield
        note("close")

@jobs.on(ApiCall, queue="crm", node="x")
async def on_the_loop(event: ApiCall) -> None:
    assert asyncio.get_running_loop() is loop
    note("job")

@jobs.on(ApiCall, queue="crm", node="x")
def in_a_thread(event: ApiCall) -> None:
    assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "ran"), loop).result() == "ran"
    note("job")

@jobs.on(ApiCall, queue="crm", node="alone", isolation="process")
async def alone(event: ApiCall) -> None:
    assert asyncio.get_running_loop() is loop
    note("job")

@jobs.on(ApiCall, queue="crm", node="alone", isolation="process")
def alone_in_order(event: ApiCall) -> None:
    assert loop
    note("job")
"""


def done(redis: Redis) -> dict[str, list[str]]:
    """What each process has done, in order."""
    found: dict[str, list[str]] = {}
    lines: Any = redis.lrange("done", 0, -1)
    for line in lines:
        what, pid = line.decode().split()
        found.setdefault(pid, []).append(what)
    return found


def test_a_worker_opens_what_its_jobs_share_before_the_first_and_closes_it_after_the_last(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, on the loop that runs the coroutines; a job with a process of its own has its own around it."""
    monkeypatch.setenv("DESKBELL_REDIS_URL", valkey_url)
    workplace = open_workplace(jobs_in(JOBS))
    workplace.put_jobs(api_call("x"))
    workplace.put_jobs(api_call("alone"))
    workplace.redis.delete("done")

    with running_worker(tmp_path, JOBS, valkey_url, "crm", "--burst") as worker:
        worker.wait(DEADLINE_SECONDS)

    found = done(workplace.redis)
    assert found.pop(str(worker.pid)) == ["open", "job", "job", "close"]
    assert list(found.values()) == [["open", "job", "close"]] * 2
    assert worker.returncode == 0


def test_a_stock_worker_opens_it_for_each_job(
    open_workplace: WorkplaceFactory, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no event loop between jobs."""
    monkeypatch.setenv("DESKBELL_REDIS_URL", valkey_url)
    workplace = open_workplace(jobs_in(JOBS))
    workplace.put_jobs(api_call("alone"))
    workplace.redis.delete("done")

    worker = SimpleWorker(["crm"], connection=workplace.redis, job_class=workplace.job_class, serializer=JSONSerializer)
    with signals_kept():
        worker.work(burst=True)

    assert done(workplace.redis) == {str(os.getpid()): ["open", "job", "close"] * 2}


def test_a_worker_whose_lifespan_does_not_start_does_not_come_up(valkey_url: str, redis: Redis, tmp_path: Path) -> None:
    """One sentence, status 1, and RQ knows no such worker."""
    (tmp_path / "acme.py").write_text(
        "from deskbell import Event, Jobs\njobs = Jobs()\n"
        "@jobs.on(Event)\ndef note(event: Event) -> None: ...\n"
        "@jobs.lifespan\nasync def database():\n    raise OSError('no database')\n    yield\n"
    )
    settings = {"DESKBELL_JOBS": "acme:jobs", "DESKBELL_REDIS_URL": valkey_url}

    ended = forked.run("worker", *ALONE, env=environment(**settings), cwd=tmp_path)

    assert ended.returncode == 1
    assert ended.stderr == "deskbell: the lifespan acme.database failed at acme.py:7 with OSError: no database\n"
    assert redis.scard("rq:workers") == 0
