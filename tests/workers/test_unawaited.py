"""What a job's function returns that has still to run."""

import subprocess
import sys
from pathlib import Path

import pytest

from deskbell.testing import api_call
from tests.conftest import WorkplaceFactory
from tests.waiting import DEADLINE_SECONDS
from tests.workers.running import jobs_in, logged, running_worker, traceback_of

JOBS = """
import asyncio, concurrent.futures, functools, os
from redis import Redis
from deskbell import ApiCall, Jobs, Retry

jobs = Jobs()

def timed(function):
    @functools.wraps(function)
    def wrapper(event: ApiCall):
        return function(event=event)
    return wrapper

def note() -> None:
    with Redis.from_url(os.environ["DESKBELL_REDIS_URL"]) as redis:
        redis.rpush("ran", "")

async def work() -> None:
    await asyncio.sleep(0)
    note()

@jobs.on(ApiCall, attempts=8)
@timed
async def wrapped(event: ApiCall) -> None:
    await work()

@jobs.on(ApiCall, attempts=8)
async def returned(event: ApiCall):
    return work()

@jobs.on(ApiCall, attempts=8)
def handed_on(event: ApiCall):
    return concurrent.futures.ThreadPoolExecutor().submit(asyncio.run, work())

@jobs.on(ApiCall, attempts=8)
@timed
def generator(event: ApiCall):
    yield note()

@jobs.on(ApiCall, attempts=8)
@timed
async def async_generator(event: ApiCall):
    yield note()

@jobs.on(ApiCall, attempts=8)
async def mapped(event: ApiCall):
    return map(note, [()])

@jobs.on(ApiCall, attempts=8)
def decorated(event: ApiCall):
    return timed(work)

@jobs.on(ApiCall, attempts=8)
async def not_raised(event: ApiCall):
    return Retry(after=60)
"""


@pytest.mark.parametrize("worker", ["ours", "isolated", "stock"])
def test_what_a_job_returns_that_has_still_to_run_is_run_or_the_job_fails(
    worker: str, open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing counts as done that has not run; what nobody can run is a dead letter at once."""
    jobs = jobs_in(JOBS)
    workplace, event = open_workplace(jobs), api_call()
    workplace.put_jobs(event)

    if worker == "stock":
        (tmp_path / "acme_jobs.py").write_text(JOBS)
        for name, value in {"REDIS_URL": valkey_url, "JOBS": "acme_jobs:jobs", "APP_DIR": str(tmp_path)}.items():
            monkeypatch.setenv(f"DESKBELL_{name}", value)
        stock = [sys.executable, "-P", "-m", "rq.cli", "worker", "default", "--burst", "--serializer", "json"]
        subprocess.run([*stock, "--url", valkey_url, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    else:
        source = JOBS if worker == "ours" else JOBS.replace("attempts=8", 'attempts=8, isolation="process"')
        with running_worker(tmp_path, source, valkey_url, "default", "--burst") as process:
            process.wait(DEADLINE_SECONDS)

    states = {job_type.name: workplace.job(event, job_type.name).get_status().value for job_type in jobs.types}
    unrun = ["generator", "async_generator", "mapped", "decorated", "not_raised"]
    assert states == dict.fromkeys(["wrapped", "returned", "handed_on"], "finished") | dict.fromkeys(unrun, "failed")
    assert workplace.redis.llen("ran") == 3
    assert "NotRunError: the job returned a generator, of which nothing has run" in traceback_of(
        workplace.job(event, "generator")
    )


FORGETFUL = """
import asyncio
from deskbell import ApiCall, Jobs

jobs = Jobs()

async def work() -> None: ...

@jobs.on(ApiCall)
def plain(event: ApiCall) -> None:
    work()

@jobs.on(ApiCall)
async def on_loop(event: ApiCall) -> None:
    work()

@jobs.on(ApiCall, isolation="process")
async def apart(event: ApiCall) -> None:
    work()
"""


def test_a_coroutine_that_a_job_forgets_to_await_is_an_error_in_the_log(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """With the job and the line: the job looks done, and what it was to do has not run."""
    workplace, event = open_workplace(jobs_in(FORGETFUL)), api_call()
    workplace.put_jobs(event)

    with running_worker(tmp_path, FORGETFUL, valkey_url, "default", "--burst") as process:
        process.wait(DEADLINE_SECONDS)

    lines = {line["job_id"].partition("-")[2]: line for line in logged(tmp_path, "not_awaited")}
    assert set(lines) == {"plain", "on_loop", "apart"}
    assert {line["what"] for line in lines.values()} == {"coroutine 'work' was never awaited"}
    assert [lines[name]["at"].rpartition(":")[2] for name in ("plain", "on_loop", "apart")] == ["11", "15", "19"]
