"""Jobs that have a process of their own: real workers, real children, real signals."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Worker
from rq.command import send_kill_horse_command, send_stop_job_command
from rq.serializers import JSONSerializer

from deskbell import ApiCall
from deskbell.testing import api_call
from tests.conftest import WorkplaceFactory
from tests.processes import is_alive
from tests.waiting import DEADLINE_SECONDS, until
from tests.workers.running import Workplace, fetch, jobs_in, logged, running_worker, traceback_of

JOBS = """
import asyncio, os, re, signal, subprocess, sys, threading
from redis import Redis
from rq import get_current_job
from deskbell import ApiCall, Discard, Jobs, Retry, Settings

jobs = Jobs()
URL = os.environ["DESKBELL_REDIS_URL"]

def note(name: str) -> int:
    with Redis.from_url(URL) as redis:
        return redis.rpush(name, f"{os.getpid()} {get_current_job().meta['attempt']}")

def hang() -> None:
    with Redis.from_url(URL, socket_timeout=None) as redis:
        redis.blpop(["go"], 60)

@jobs.on(ApiCall, queue="crm", node="x", isolation="process")
def alone(event: ApiCall, settings: Settings) -> None:
    print("printed")
    note("alone")

@jobs.on(ApiCall, queue="crm", node="x", isolation="process")
async def alone_async(event: ApiCall) -> None:
    await asyncio.sleep(0)
    note("alone_async")

@jobs.on(ApiCall, queue="crm", node="x")
async def together(event: ApiCall) -> None:
    note("together")

@jobs.on(ApiCall, queue="crm", node="dies", isolation="process")
def dies(event: ApiCall) -> None:
    if note("dies") == 1:
        how = event.variables["How"]
        os._exit(7) if how == "7" else os.kill(os.getpid(), signal.Signals[how])

@jobs.on(ApiCall, queue="crm", node="hangs", isolation="process", timeout=3600)
def hangs(event: ApiCall) -> None:
    if note("hangs") == 1:
        grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        with Redis.from_url(URL) as redis:
            redis.rpush("grandchild", grandchild.pid)
        hang()

@jobs.on(ApiCall, queue="crm", node="slow", isolation="process", timeout=1, attempts=1)
def slow(event: ApiCall) -> None:
    note("slow")
    re.match("(a+)+$", "a" * 60 + "b")  # no signal and no thread gets in between

@jobs.on(ApiCall, queue="crm", node="raises", isolation="process", attempts=3)
def raises(event: ApiCall) -> None:
    note("raises")
    raise {"Discard": Discard("too old"), "Retry": Retry(after=77), "OSError": OSError("away")}[event.variables["What"]]
"""
QUICKLY = {"ABANDONED_SECONDS": "5", "GRACE_SECONDS": "1"}


@pytest.fixture
def put(open_workplace: WorkplaceFactory) -> Callable[..., tuple[Workplace, ApiCall]]:
    """A factory of a workplace with an event on it that is fanned out."""

    def put_one(node: str, **variables: str) -> tuple[Workplace, ApiCall]:
        workplace, event = open_workplace(jobs_in(JOBS)), api_call(node, **variables)
        workplace.put_jobs(event)
        return workplace, event

    return put_one


Put = Callable[..., tuple[Workplace, ApiCall]]


def pids(redis: Redis, name: str) -> list[int]:
    """The processes that a job has run in."""
    return [int(line.split()[0]) for line in redis.lrange(name, 0, -1)]


def attempts(redis: Redis, name: str) -> list[Any]:
    """The attempts that a job has made."""
    return [line.split()[1] for line in redis.lrange(name, 0, -1)]


def refusals(redis: Redis, command: str) -> int:
    """How many of a command Redis has refused."""
    stats: Any = redis.info("commandstats").get(f"cmdstat_{command}", {})
    return sum(int(stats.get(name, 0)) for name in ("rejected_calls", "failed_calls"))


def test_one_worker_runs_jobs_together_and_each_that_asks_for_it_in_a_process_of_its_own(
    put: Put, valkey_url: str, tmp_path: Path
) -> None:
    """`def` and `async def`; the attempt is counted once, what is logged there carries the worker's name."""
    workplace, event = put("x")

    with running_worker(tmp_path, JOBS, valkey_url, "crm", "--burst") as worker:
        worker.wait(DEADLINE_SECONDS)
    redis = workplace.redis
    [together], [alone], [alone_async] = (pids(redis, name) for name in ("together", "alone", "alone_async"))

    assert all(workplace.job(event, name).is_finished for name in ("alone", "alone_async", "together"))
    assert together == worker.pid
    assert len({together, alone, alone_async}) == 3
    assert attempts(redis, "alone") == attempts(redis, "alone_async") == [b"1"]
    assert not is_alive(alone)
    assert {line["outcome"] for line in logged(tmp_path, "attempt")} == {"done"}
    assert "printed" in (tmp_path / "worker.log").read_text().splitlines()
    assert worker.returncode == 0


@pytest.mark.parametrize(("how", "cause"), [("7", "status 7"), ("SIGKILL", "SIGKILL"), ("SIGSEGV", "SIGSEGV")])
def test_a_process_that_dies_costs_its_job_an_attempt_and_takes_nothing_with_it(
    how: str, cause: str, put: Put, valkey_url: str, tmp_path: Path
) -> None:
    """As when the system has no memory left: the worker goes on, and the job is tried again."""
    workplace, event = put("dies", How=how)

    with running_worker(tmp_path, JOBS, valkey_url, "crm") as worker:
        until(lambda: workplace.job(event, "dies").is_finished)
        is_alive = worker.poll() is None

    [failed, done] = logged(tmp_path, "attempt")
    assert is_alive
    assert attempts(workplace.redis, "dies") == [b"1", b"2"]
    assert (failed["outcome"], failed["error"], failed["code"]) == ("retry", "ProcessDied", cause)
    assert done["outcome"] == "done"


def test_a_function_that_nothing_can_interrupt_is_killed_when_its_time_is_up(
    put: Put, valkey_url: str, tmp_path: Path
) -> None:
    """A `def` at last ends with its time-out: it is no straggler, and uses no processor any more."""
    workplace, event = put("slow")

    with running_worker(tmp_path, JOBS, valkey_url, "crm", "--concurrency", "1"):
        until(lambda: workplace.job(event, "slow").is_failed)
        [pid] = pids(workplace.redis, "slow")
        until(lambda: not is_alive(pid))

    assert "TimeoutError: the job took longer than 1 seconds" in traceback_of(workplace.job(event, "slow"))
    assert logged(tmp_path, "stragglers") == []


@pytest.mark.parametrize("end", ["stop", "kill-horse", "lost", "SIGTERM", "SIGINT to the group", "SIGKILL", "server"])
def test_a_child_and_what_it_has_started_end_when_its_job_does_not_go_on(
    end: str, put: Put, valkey_url: str, tmp_path: Path
) -> None:
    """Stopped, killed, lost, after the grace period of its worker, with its worker, and with the fork server."""
    workplace, event = put("hangs")
    redis, job_id = workplace.redis, f"{event.id}-hangs"

    with running_worker(tmp_path, JOBS, valkey_url, "crm", **QUICKLY) as worker:
        until(lambda: redis.llen("grandchild"))
        [child], grandchild = pids(redis, "hangs"), int(redis.lindex("grandchild", 0) or 0)
        [started] = until(lambda: logged(tmp_path, "fork_server_started"))
        [known] = Worker.all(redis)
        until(lambda: redis.pubsub_numsub(known.pubsub_channel_name)[0][1])
        ends: dict[str, Callable[[], Any]] = {
            "stop": lambda: send_stop_job_command(redis, job_id, serializer=JSONSerializer),
            "kill-horse": lambda: send_kill_horse_command(redis, known.name),
            "lost": lambda: redis.execute_command("FLUSHALL"),
            "SIGTERM": worker.terminate,
            "SIGINT to the group": lambda: os.killpg(worker.pid, signal.SIGINT),
            "SIGKILL": worker.kill,
            "server": lambda: os.kill(started["server_pid"], signal.SIGKILL),
        }
        ends[end]()
        until(lambda: not is_alive(child) and not is_alive(grandchild))
        if end in ("stop", "kill-horse", "server"):
            expected = "stopped" if end == "stop" else "finished"
            until(lambda: fetch(redis, job_id).get_status() == expected)
        if end in ("SIGTERM", "SIGINT to the group", "SIGKILL"):
            worker.wait(DEADLINE_SECONDS)
            until(lambda: not is_alive(started["server_pid"]))

    if end.startswith(("SIGTERM", "SIGINT")):
        assert (workplace.queue("crm").job_ids, worker.returncode) == ([job_id], 0)
        assert b'"attempt": 0' in (redis.hget(f"rq:job:{job_id}", "meta") or b"")
    if end in ("kill-horse", "server"):
        assert attempts(redis, "hangs") == [b"1", b"2"]


def test_a_worker_is_stopped_in_time_while_its_fork_server_still_imports(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """Modules that take long to import must not turn a graceful shutdown into a forced exit."""
    redis = open_workplace(jobs_in(JOBS)).redis
    source = f"""{JOBS}
if any("fork_server" in word for word in sys.orig_argv):
    with Redis.from_url(URL) as redis:
        redis.rpush("importing", os.getpid())
    hang()
"""

    with running_worker(tmp_path, source, valkey_url, "crm", **QUICKLY) as worker:
        until(lambda: redis.llen("importing"))
        server = int(redis.lindex("importing", 0) or 0)
        worker.terminate()
        worker.wait(DEADLINE_SECONDS)

    assert worker.returncode == 0
    until(lambda: not is_alive(server))


def test_the_job_of_a_killed_worker_runs_again_within_the_time_set(put: Put, valkey_url: str, tmp_path: Path) -> None:
    """The lease is the same as of any other job."""
    workplace, event = put("hangs")
    start = partial(running_worker, tmp_path, JOBS, valkey_url, "crm", **QUICKLY)

    with start() as killed:
        until(lambda: workplace.redis.llen("grandchild"))
        with start():
            until(lambda: len(Worker.all(workplace.redis)) == 2)
            killed.kill()
            until(lambda: workplace.job(event, "hangs").is_finished)

    assert attempts(workplace.redis, "hangs") == [b"1", b"2"]


@pytest.mark.parametrize(
    ("what", "status", "cause", "seconds"),
    [
        ("Discard", "failed", "Discard at {place}", None),
        ("Retry", "scheduled", None, 77),
        ("OSError", "scheduled", None, 2),
    ],
)
def test_what_a_child_raises_counts_as_what_any_job_raises(
    what: str, status: str, cause: str | None, seconds: int | None, put: Put, valkey_url: str, tmp_path: Path
) -> None:
    """What steers keeps its class, the frames are the integrator's, and the text is Python's own."""
    workplace, event = put("raises", What=what)

    with running_worker(tmp_path, JOBS, valkey_url, "crm", "--burst") as worker:
        worker.wait(DEADLINE_SECONDS)

    job, [line] = workplace.job(event, "raises"), logged(tmp_path, "attempt")
    place = f"{tmp_path.name}/acme_jobs.py:{JOBS[: JOBS.index('raise {')].count(chr(10)) + 1} in raises"
    assert (job.get_status().value, line["error"]) == (status, what)
    assert line["where"][-1].endswith("/" + place.removeprefix(f"{tmp_path.name}/").replace(" in ", " "))
    if cause:
        assert job.get_meta()["cause"] == cause.format(place=place)
        assert "in raises" in traceback_of(job)
        assert traceback_of(job).rstrip().endswith("Discard: too old")
    if seconds:
        [due] = workplace.queue("crm").scheduled_job_registry.get_job_ids()
        assert due == job.id
        assert job.retry_intervals
        assert job.retry_intervals[0] <= seconds


@pytest.mark.parametrize("what", ["", "OSError"])
def test_what_a_child_came_to_in_an_outage_costs_no_further_attempt(
    what: str, put: Put, valkey_url: str, tmp_path: Path
) -> None:
    """Writes are refused for some seconds: the outcome is written once, afterwards (B2)."""
    workplace, event = put("raises" if what else "x", **({"What": what} if what else {}))
    redis, name = workplace.redis, "raises" if what else "alone"
    source = JOBS.replace(
        f'    note("{name}")\n', f'    note("{name}")\n    Redis.from_url(URL).config_set("min-replicas-to-write", 1)\n'
    )
    redis.config_resetstat()

    with running_worker(tmp_path, source, valkey_url, "crm", ABANDONED_SECONDS="5"):
        try:
            until(lambda: redis.llen(name))
            until(lambda: refusals(redis, "exec" if what else "evalsha") >= 2)
        finally:
            redis.config_set("min-replicas-to-write", 0)
        until(lambda: not redis.zcard("rq:wip:crm"))

    job = workplace.job(event, name)
    assert redis.llen(name) == 1
    assert job.get_status().value == ("scheduled" if what else "finished")
    assert not what or job.retries_left == 1, "of three attempts one is made, and RQ has taken the second"


@pytest.mark.parametrize("how_often", ["once", "always"])
def test_a_process_that_cannot_be_had_is_asked_for_again_before_it_costs_an_attempt(
    how_often: str, put: Put, valkey_url: str, tmp_path: Path
) -> None:
    """The system has too many processes, or no memory, for a moment: the job has not begun."""
    workplace, event = put("x")
    source = (
        JOBS
        + f"""
fork, refusals = os.fork, []

def refuse() -> int:
    refusals.append("")
    if len(refusals) == 1 or "{how_often}" == "always":
        raise BlockingIOError
    return fork()

os.fork = refuse
"""
    )

    with running_worker(tmp_path, source, valkey_url, "crm", "--concurrency", "1"):
        until(lambda: logged(tmp_path, "attempt"))
        if how_often == "once":
            until(lambda: workplace.job(event, "alone").is_finished)

    first = logged(tmp_path, "attempt")[0]
    assert logged(tmp_path, "not_forked")[0]["error"] == "BlockingIOError"
    assert (first["outcome"], first["attempt"]) == ("done" if how_often == "once" else "retry", 1)
    assert first.get("error") == (None if how_often == "once" else "ProcessDied")
