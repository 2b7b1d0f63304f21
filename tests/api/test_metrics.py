"""`/metrics`: each metric once, of every process, from the start."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from redis import Redis
from rq.suspension import suspend

from deskbell import ApiCall, Callbacks, Jobs
from deskbell.testing import api_call
from shared.redis import history
from shared.version import version
from tests.conftest import ApiFactory, WorkplaceFactory
from tests.debian import program
from tests.processes import PATIENT, environment
from tests.redis_outages import a_server
from tests.serving import Api, running_api
from tests.waiting import until

CALLBACKS = """
from prometheus_client import REGISTRY, Counter, Enum, Gauge
from prometheus_client.metrics_core import GaugeMetricFamily
from deskbell import Callbacks

callbacks = Callbacks()
orders = Counter("acme_orders", "Orders asked for.", ["shop"])
open_orders = Gauge("acme_open_orders", "Orders at work.", multiprocess_mode="livesum")
state = Enum("acme_state", "Of the shop.", states=["open", "shut"])


class Stock:
    def collect(self):
        yield GaugeMetricFamily("acme_stock", "Read when asked.", value=7)


REGISTRY.register(Stock())


@callbacks.api_call("order")
async def order() -> dict[str, str]:
    orders.labels("main").inc()
    return {"OrderStatus": "open"}
"""


@contextmanager
def acme(url: str, folder: Path, *words: str) -> Iterator[Api]:
    """The api with an integrator's handler and metrics."""
    (folder / "acme.py").write_text(CALLBACKS)
    with running_api(url, folder, *words, DESKBELL_CALLBACKS="acme:callbacks", **PATIENT) as api:
        until(lambda: api.lines("ready") or "2" not in words)
        yield api


def scrape(api: Api) -> str:
    """The metrics, from either process: each connection is accepted by one or the other."""
    return httpx.get(f"{api.desk.url}/metrics", timeout=30).text


def series(text: str) -> Counter[str]:
    """How often each series stands there."""
    return Counter(line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#"))


def check(text: str) -> None:
    """Let promtool judge, and look for what it lets pass."""
    command = [program("promtool", "prometheus"), "check", "metrics"]
    judged = subprocess.run(command, input=text, text=True, capture_output=True, check=False)

    assert (judged.returncode, judged.stdout + judged.stderr) == (0, "")
    assert [name for name, times in series(text).items() if times > 1] == []
    pids = re.findall(r'^(\w+){.*pid="', text, re.MULTILINE)
    assert all(name.startswith("process_") for name in pids), set(pids)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_each_metric_is_told_once_and_begins_with_0(
    redis: Redis, valkey_url: str, tmp_path: Path, processes: str
) -> None:
    """Ours, the process's and the integrator's, with one process and with two, on the first scrape and later ones."""
    assert redis.ping()
    with acme(valkey_url, tmp_path, "--processes", processes) as api:
        first = [scrape(api) for _ in range(6)]
        for number in range(6):
            with httpx.Client(base_url=api.desk.url, timeout=30) as api.desk.http:
                assert api.desk.call("order", Number=str(number)).status_code == 200
        later = [scrape(api) for _ in range(6)]

    for text in {*first, *later}:
        check(text)
    for text in first:
        for line in (
            'deskbell_callbacks_total{command="Chatbot.InterfaceInvocation",outcome="answered"} 0.0',
            'deskbell_refused_total{cause="cannot_keep"} 0.0',
            'deskbell_spool_failures_total{cause="full"} 0.0',
            'deskbell_drained_total{result="sent"} 0.0',
            'deskbell_drift_total{kind="missing",node="order"} 0.0',
            'deskbell_handler_stuck{handler="order"} 0.0',
            'deskbell_jobs_waiting{queue="events"} 0.0',
            "deskbell_clock_skew_seconds 0.0",
            "deskbell_redis_away 0.0",
            "deskbell_spool_events 0.0",
            "deskbell_spooled_total 0.0",
        ):
            assert f"\n{line}\n" in text, line
    for text in later:
        assert 'deskbell_callbacks_total{command="Chatbot.InterfaceInvocation",outcome="answered"} 6.0' in text
        assert 'acme_orders_total{shop="main"} 6.0' in text
        assert "acme_open_orders 0.0" in text
        assert "acme_stock 7.0" in text
        assert 'acme_state{acme_state="open"} 1.0' in text
        assert re.search(r'^deskbell_build_info{commit="\w*",version="\d[^"]*"} 1\.0$', text, re.MULTILINE)
        assert len(re.findall(r"^process_cpu_seconds_total", text, re.MULTILINE)) == int(processes)


def test_nothing_is_told_of_processes_that_are_gone(redis: Redis, valkey_url: str, tmp_path: Path) -> None:
    """After SIGHUP and after a kill each gauge still stands there once, and counters go on."""
    assert redis.ping()
    with acme(valkey_url, tmp_path, "--processes", "2") as api:
        assert api.desk.call("order").status_code == 200
        scrape(api)
        api.process.send_signal(signal.SIGHUP)
        until(lambda: api.lines("replaced"))
        api.desk.http.close()
        until(lambda: told_pids(scrape(api)) == {*api.pids()[2:4]})  # the others have ended, too
        replaced = [scrape(api) for _ in range(6)]
        os.kill(api.pids()[-1], signal.SIGKILL)
        until(lambda: len(api.pids()) == 5)
        until(lambda: told_pids(scrape(api)) == {*api.pids()[2:3], *api.pids()[4:]})
        killed = [scrape(api) for _ in range(6)]

    for text in {*replaced, *killed}:
        check(text)
        assert 'deskbell_callbacks_total{command="Chatbot.InterfaceInvocation",outcome="answered"} 1.0' in text


def told_pids(text: str) -> set[int]:
    """The processes that a scrape reports."""
    return {int(pid) for pid in re.findall(r'^process_open_fds{pid="(\d+)"}', text, re.MULTILINE)}


def test_every_process_tells_what_all_of_them_have_on_the_disk(tmp_path: Path) -> None:
    """`/readyz` and `/metrics`, whichever process is asked; and that an acknowledged event is on the disk alone."""
    with acme("redis://127.0.0.1:1/0", tmp_path, "--processes", "2") as api:
        for number in range(6):
            with httpx.Client(base_url=api.desk.url, timeout=30) as api.desk.http:
                assert api.desk.call("order", Number=str(number)).status_code == 200
        ready = [httpx.get(f"{api.desk.url}/readyz", timeout=30).json() for _ in range(6)]
        told = [scrape(api) for _ in range(6)]

    assert [(each["status"], each["spool"]["events"]) for each in ready] == [("spooling", 6)] * 6
    assert {each["durability"]["worth"] for each in ready} == {
        "An acknowledged event is on the disk of this host, and nowhere else, until Redis takes it."
    }
    for text in told:
        check(text)
        assert "\ndeskbell_spool_events 6.0\n" in text
        assert "\ndeskbell_redis_away 1.0\n" in text


def test_no_process_says_that_events_are_on_redis_while_another_keeps_them_on_the_disk(tmp_path: Path) -> None:
    """A Redis that is full answers who only reads: a process that nobody has called asks when it is asked."""
    with a_server() as server:
        server.start()
        with server.connect() as redis, acme(server.url, tmp_path, "--processes", "2") as api:
            redis.config_set("maxmemory", "1mb")
            with httpx.Client(base_url=api.desk.url, timeout=30) as api.desk.http:  # one connection, so one process
                assert [api.desk.call("order", Number=str(number)).status_code for number in range(3)] == [200] * 3
            ready = [httpx.get(f"{api.desk.url}/readyz", timeout=30).json() for _ in range(10)]

            def asked() -> set[str]:
                return {httpx.get(f"{api.desk.url}/readyz", timeout=30).json()["redis"] for _ in range(10)}

            until(lambda: asked() == {"OutOfMemoryError"})

    assert {(each["status"], each["durability"]["worth"][:46]) for each in ready} == {
        ("spooling", "An acknowledged event is on the disk of this h")
    }


FORKED = """
import os
from api.metrics import Metrics
from prometheus_client.multiprocess import mark_process_dead

def tell(value):
    metrics = Metrics(["slow", "quick"])
    metrics.stuck.labels("slow").set(value)
    return metrics

pid = os.fork()
if not pid:
    tell(1)
    os._exit(0)
os.waitpid(pid, 0)
metrics = tell(0)
print(metrics.living(metrics.stuck))
mark_process_dead(pid)
print(metrics.living(metrics.stuck))
"""


def test_a_handler_that_is_stuck_in_one_process_is_told_by_all_until_that_one_has_ended(tmp_path: Path) -> None:
    """What `/readyz` reads of the others."""
    command = [sys.executable, "-P", "-c", FORKED]
    told = subprocess.run(
        command, env=environment(PROMETHEUS_MULTIPROC_DIR=str(tmp_path)), capture_output=True, text=True, check=True
    )

    assert told.stdout.splitlines() == ["{('slow',): 1.0, ('quick',): 0.0}", "{('slow',): 0.0, ('quick',): 0.0}"]


def test_an_api_tells_of_the_jobs_and_workers_of_all_hosts(
    start_api: ApiFactory, open_workplace: WorkplaceFactory
) -> None:
    """They lie on Redis: attempts by outcome, how long they took and waited, dead letters, the oldest, the workers."""
    jobs = Jobs()
    seen: list[str] = []
    desk = start_api()

    @jobs.on(ApiCall, queue="crm", attempts=1, name="crm.push")
    def push(event: ApiCall) -> None:
        seen.append(desk.http.get("/metrics").text)
        if event.node == "fails":
            raise OSError

    workplace = open_workplace(jobs)
    for node in ("order", "fails"):
        workplace.put_jobs(api_call(node))
    before = desk.http.get("/metrics").text
    workplace.work("crm", concurrency=1)
    suspend(workplace.redis)
    text = desk.http.get("/metrics").text

    check(text)
    assert 'deskbell_jobs_waiting{queue="crm"} 2.0' in before
    assert "\ndeskbell_workers_suspended 0.0\n" in before
    assert "\ndeskbell_workers_suspended 1.0\n" in text
    assert re.search(r'^deskbell_redis_persistence{kind="\w+"} 1\.0$', text, re.MULTILINE)
    assert re.search(r"^deskbell_redis_memory_bytes \d\.\d+e\+\d+$", text, re.MULTILINE)
    assert re.search(r"^deskbell_spool_disk_free_bytes \d+\.\d", text, re.MULTILINE)
    assert 'deskbell_workers{queue="crm",version=""} 0.0' in before
    assert re.search(r'^deskbell_oldest_waiting_seconds{queue="crm"} 0\.\d+$', before, re.MULTILINE)
    assert f'deskbell_workers{{queue="crm",version="{version()}"}} 1.0' in seen[0]
    assert 'deskbell_worker_slots{queue="crm"} 1.0' in seen[0]
    assert 'deskbell_jobs{queue="crm",state="running"} 1.0' in seen[0]
    assert 'deskbell_jobs{queue="crm",state="dead"} 1.0' in text
    for outcome in ("done", "dead"):
        assert f'deskbell_job_attempts_total{{job_type="crm.push",outcome="{outcome}"}} 1.0' in text
    assert 'deskbell_job_attempt_seconds_count{job_type="crm.push"} 2.0' in text
    assert 'deskbell_job_wait_seconds_count{job_type="crm.push"} 2.0' in text
    assert 'deskbell_job_done_seconds_count{job_type="crm.push"} 1.0' in text


def test_callbacks_are_counted_by_node_on_redis(
    start_api: ApiFactory, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the nodes that handlers have, or else of the command: a caller cannot make more series."""
    monkeypatch.setattr(history, "WRITE_SECONDS", 0.01)
    callbacks = Callbacks()

    @callbacks.api_call("order")
    def order() -> None: ...

    desk = start_api(callbacks)
    desk.call("order")
    desk.call("invented")

    until(lambda: redis.hget(history.TOTALS_KEY, "callback\t\toutcome\tno_handler"))
    text = desk.http.get("/metrics").text
    assert 'deskbell_node_callbacks_total{node="order",outcome="answered"} 1.0' in text
    assert 'deskbell_node_callbacks_total{node="",outcome="no_handler"} 1.0' in text
    assert 'deskbell_node_answer_seconds_count{node="order"} 1.0' in text
