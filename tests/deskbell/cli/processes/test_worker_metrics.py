"""`deskbell worker --metrics-port`: one port for all processes, with what they count themselves."""

import socket
from pathlib import Path

import httpx
from redis import Redis

from deskbell.testing import api_call
from tests import forked
from tests.conftest import WorkplaceFactory, open_workplace
from tests.processes import environment
from tests.waiting import until
from tests.workers.running import jobs_in, logged, running_worker

__all__ = ["open_workplace"]  # a fixture

JOBS = """
from prometheus_client import Counter

from deskbell import ApiCall, Jobs

jobs = Jobs()
pushed = Counter("acme_pushed", "What this integrator counts.")

@jobs.on(ApiCall, queue="crm")
def push(event: ApiCall) -> None:
    pushed.inc()
"""


def test_all_processes_are_told_on_one_port(
    open_workplace: WorkplaceFactory, redis: Redis, valkey_url: str, tmp_path: Path
) -> None:
    """The integrator's metrics are added up; each process has its own CPU and memory; the version is told."""
    workplace = open_workplace(jobs_in(JOBS.replace("prometheus_client", "unittest.mock").replace("Counter", "Mock")))
    options = ("--processes", "2", "--metrics-port", "0", "crm")
    with running_worker(tmp_path, JOBS, valkey_url, *options):
        (line,) = until(lambda: logged(tmp_path, "metrics_served"))
        until(lambda: len(logged(tmp_path, "process_started")) == 2)
        for _ in range(20):
            workplace.put_jobs(api_call("order"))
        until(lambda: redis.zcard("rq:finished:crm") == 20)
        url = f"http://127.0.0.1:{line['port']}/metrics"
        until(lambda: "acme_pushed_total 20.0" in httpx.get(url).text)
        text = httpx.get(url).text

    assert text.count("process_resident_memory_bytes{pid=") == 2
    assert "deskbell_worker_processes 2.0" in text
    assert "deskbell_worker_build_info{" in text
    assert "deskbell_build_info{" not in text


def test_a_port_that_is_taken_is_said(valkey_url: str, tmp_path: Path) -> None:
    """Before any process is started."""
    env = environment(DESKBELL_REDIS_URL=valkey_url, DESKBELL_JOBS="deskbell.jobs.none:jobs")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = forked.run("worker", "--metrics-port", port, env=env, cwd=tmp_path)

    assert ended.returncode == 2
    assert f"--metrics-port: cannot listen on 127.0.0.1:{port}: Address already in use" in ended.stderr
