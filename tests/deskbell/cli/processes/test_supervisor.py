import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis
from rq import Worker
from rq.worker.base import BaseWorker

from deskbell import Jobs
from deskbell.testing import api_call
from shared.redis.queues import EVENTS
from tests.conftest import WorkplaceFactory
from tests.processes import environment, is_alive
from tests.waiting import until
from tests.workers.running import end_group, jobs_in, running_worker

TWO_QUEUES = """
import os
from redis import Redis
from deskbell import ApiCall, Jobs

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
from deskbell import ApiCall, Jobs

jobs = Jobs()
redis = Redis.from_url(os.environ["DESKBELL_REDIS_URL"], socket_timeout=None)

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


def test_a_burst_whose_worker_fails_says_so(redis: Redis, valkey_url: str, tmp_path: Path) -> None:
    """A server that refuses us is an exit status of 1, and not an empty output that looks like success."""
    assert redis.ping()
    url = valkey_url.replace("unix://", "unix://nobody:wrong@")

    with running_worker(tmp_path, TWO_QUEUES, url, "--processes", "2", "--burst") as process:
        status = process.wait()

    assert status == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_burst_ends_its_workers_and_starts_no_others(
    number: signal.Signals, open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """The jobs in hand are finished, the rest waits where it is; the status says that something is left."""
    workplace = open_workplace(jobs_in(WAITING))
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
    assert not [worker for worker in workers if is_alive(pid_of(worker))]


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
    assert not [worker for worker in (*first, second) if is_alive(pid_of(worker))]


RELOADED = """
import os
from redis import Redis
from deskbell import ApiCall, Jobs

jobs = Jobs()
redis = Redis.from_url(os.environ["DESKBELL_REDIS_URL"], socket_timeout=None)

@jobs.on(ApiCall, queue="crm", attempts=1)
def wait(event: ApiCall) -> None:
    redis.rpush("begun", "VERSION")
    redis.blpop(["go"], 20)
    redis.rpush("ended", os.environ["ACME_KEY"])
"""


@pytest.mark.parametrize("processes", ["1", "2"])
def test_sighup_replaces_workers_and_their_jobs_end_first(
    processes: str, open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """The new ones have the code and the settings of now; no job is cut off, none costs an attempt."""
    workplace = open_workplace(Jobs())
    redis = workplace.redis
    file = tmp_path / "worker.env"
    file.write_text("ACME_KEY=old\n")

    with running_worker(
        tmp_path, RELOADED, valkey_url, "--processes", processes, ENV_FILE=str(file), GRACE_SECONDS="30"
    ) as process:
        until(lambda: len(Worker.all(redis)) == int(processes))
        old = Worker.all(redis)
        workplace.put_event(api_call())
        until(lambda: redis.llen("begun") == 1)
        (tmp_path / "acme_jobs.py").write_text(RELOADED.replace("VERSION", "now"))
        file.write_text("ACME_KEY=new\n")
        process.send_signal(signal.SIGHUP)
        new = until(lambda: [each for each in Worker.all(redis) if each not in old][int(processes) - 1 :])
        redis.rpush("go", "")
        until(lambda: redis.llen("ended") == 1)
        until(lambda: not [each for each in old if is_alive(pid_of(each))])
        workplace.put_event(api_call())
        redis.rpush("go", "")
        until(lambda: redis.llen("ended") == 2)
        process.terminate()
        status = process.wait()

    assert new
    assert redis.lrange("begun", 0, -1) == [b"VERSION", b"now"]
    assert redis.lrange("ended", 0, -1) == [b"old", b"new"]
    assert workplace.queue("crm").failed_job_registry.count == 0
    assert status == 0


def test_a_worker_whose_supervisor_was_killed_ends(redis: Redis, valkey_url: str, tmp_path: Path) -> None:
    """Else a supervisor that is started again would make twice as many."""
    with running_worker(tmp_path, TWO_QUEUES, valkey_url, "--processes", "1") as process:
        [worker] = until(lambda: Worker.all(redis))
        process.kill()

        until(lambda: not is_alive(pid_of(worker)))

    assert Worker.all(redis) == []


def test_a_worker_started_by_a_script_ends_though_the_script_ignores_sigint(tmp_path: Path) -> None:
    """Its supervisor sends it SIGINT, also while it waits for Redis; SIGTERM is how the script tells that."""
    (tmp_path / "acme_jobs.py").write_text(TWO_QUEUES)
    settings = {"REDIS_URL": f"unix://{tmp_path}/no.sock", "JOBS": "acme_jobs:jobs", "APP_DIR": str(tmp_path)}
    variables = environment(**{f"DESKBELL_{name}": value for name, value in settings.items()})
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-u", "-P", "-m", "deskbell", "worker"]
    lines: list[str] = []

    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            lines.append(line)
            if '"process_started"' in line:
                process.terminate()

    assert process.returncode == 0
    assert "process_killed" not in "".join(lines)
