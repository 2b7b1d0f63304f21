"""Worker processes, kept to our two entry points.

Long, because one file holds what one module promises, each rule with a test that reads alone.
"""

import json
import os
import pickle
import signal
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from rq import Callback
from rq.job import Job
from rq.registry import StartedJobRegistry
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer
from rq.webhook import Webhook

from deskbell import ApiCall, Discard, Jobs
from deskbell.testing import api_call
from shared.redis.queues import EVENTS, PERFORM
from tests.conftest import WorkplaceFactory
from tests.logged import capture_logs
from tests.waiting import until
from tests.workers.claiming import counting_jobs
from tests.workers.running import Workplace, fetch, jobs_in, running_worker, traceback_of
from workers.job import AllowListedJob

SECRET = "planted-4711"

called: list[tuple[Any, ...]] = []


def planted(*arguments: Any) -> None:
    """What somebody who can write to Redis would have a worker call."""
    called.append(arguments)


@pytest.fixture(autouse=True)
def _nothing_called() -> None:
    called.clear()


def plant(workplace: Workplace, *data: Any, **fields: bytes | str | int) -> Job:
    """Put a job on the queue whose hash has the given data and fields, then one as it should be."""
    target = workplace.queue()
    job = target.create_job(PERFORM, args=["count", api_call().to_wire()], description="planted", failure_ttl=-1)
    target.enqueue_job(job)
    if data:
        fields["data"] = zlib.compress(json.dumps(data).encode())
    for name, value in fields.items():
        workplace.redis.hset(job.key, name, value)
    workplace.put_jobs(api_call("next"))
    return job


@pytest.mark.parametrize(
    "data",
    [
        ("os.mkdir", None, ["made"], {}),
        ("workers.supervisor.os.mkdir", None, ["made"], {}),
        ("workers.perform.perform ", None, ["count", {}], {}),
        ("perform", {"a": 1}, ["count", {}], {}),
        (PERFORM, "text", ["count", {}], {}),
        (PERFORM, {}, ["count", {}], {}),
        (PERFORM, False, ["count", {}], {}),
        (None, None, [], {}),
        ("", None, [], {}),
    ],
)
def test_a_worker_runs_our_two_functions_and_nothing_else(
    data: tuple[Any, ...], open_workplace: WorkplaceFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other function, and no method of an instance: the job is a dead letter, its retries unused."""
    jobs, counted = counting_jobs()
    workplace = open_workplace(jobs)
    monkeypatch.chdir(tmp_path)
    job = plant(workplace, *data, retries_left=3)

    with capture_logs() as logs:
        workplace.work()

    assert not Path("made").exists()
    assert workplace.queue().failed_job_registry.get_job_ids() == [job.id]
    assert "runs workers.fan_out.fan_out and workers.perform.perform, nothing else" in traceback_of(job)
    assert [line["job_id"] for line in logs if line["event"] == "job_refused"] == [job.id]
    assert len(counted) == 1, "the worker goes on"


def ending_jobs() -> Jobs:
    """A job type that ends well, and one that fails for good."""
    jobs = Jobs()

    @jobs.on(ApiCall)
    def succeed(event: ApiCall) -> None: ...

    @jobs.on(ApiCall)
    def fail(event: ApiCall) -> None:  # noqa: ARG001
        raise Discard("no")

    return jobs


def test_no_callback_that_a_hash_names_is_called(open_workplace: WorkplaceFactory) -> None:
    """RQ would import and call it when the job has ended well, failed, or was stopped."""
    workplace = open_workplace(ending_jobs())
    callback = Callback(planted)
    target = workplace.queue()
    succeeds, fails = [
        target.enqueue(
            PERFORM,
            args=[name, api_call().to_wire()],
            description=name,
            on_success=callback,
            on_failure=callback,
            on_stopped=callback,
        )
        for name in ("succeed", "fail")
    ]

    workplace.work()

    assert called == []
    assert succeeds.is_finished
    assert fails.is_failed
    guarded = AllowListedJob.fetch(fails.id, connection=workplace.redis, serializer=JSONSerializer)
    name = guarded._stopped_callback_name  # noqa: SLF001 - RQ's property imports what it names
    assert name == "tests.workers.worker.test_worker.planted"
    assert guarded.stopped_callback is None


@pytest.mark.usefixtures("reaps_at_once")
def test_no_callback_is_called_for_a_job_whose_worker_died(workplace: Workplace) -> None:
    """RQ's maintenance, too, calls the callbacks of what it finds abandoned."""
    default = workplace.queue()
    job = default.enqueue(PERFORM, args=["count", {}], description="x", on_failure=Callback(planted))
    workplace.redis.lpop(default.key)
    workplace.redis.hset(job.key, "status", "started")
    workplace.redis.zadd(default.started_job_registry.key, {f"{job.id}:execution": 1})

    workplace.work()

    assert called == []
    assert default.failed_job_registry.get_job_ids() == [job.id]


@contextmanager
def listener() -> Iterator[tuple[str, list[str]]]:
    """An HTTP server on a free port, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_no_webhook_that_a_hash_names_is_sent(open_workplace: WorkplaceFactory) -> None:
    """RQ would send the outcome to any URL, with the traceback: a way out of a closed network."""
    workplace = open_workplace(ending_jobs())
    with listener() as (url, asked):
        for name in ("succeed", "fail"):
            webhooks = [Webhook(url, "finished"), Webhook(url, "failed", method="POST")]
            workplace.queue().enqueue(PERFORM, args=[name, api_call().to_wire()], description=name, webhooks=webhooks)

        workplace.work()

        assert asked == []
    assert len(workplace.queue().finished_job_registry) == len(workplace.queue().failed_job_registry) == 1


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("field", ["data", "meta", "result"])
def test_pickle_in_a_job_hash_is_never_unpickled(field: str, open_workplace: WorkplaceFactory, tmp_path: Path) -> None:
    """Anyone who can write to Redis could otherwise run anything, in each worker and in its scheduler."""
    jobs, counted = counting_jobs()
    workplace = open_workplace(jobs)
    folder = tmp_path / "made"
    bomb = pickle.dumps(("os.getpid", None, (Bomb(folder),), {}))
    job = plant(workplace, **{field: bomb})
    default = workplace.queue()
    scheduled = default.create_job(PERFORM, description="x")
    default.schedule_job(scheduled, fetch(workplace.redis, job.id).created_at)
    workplace.redis.hset(scheduled.key, field, bomb)

    workplace.work()

    assert not folder.exists()
    assert (job.id in default.failed_job_registry) == (field == "data")
    assert len(counted) == (1 if field == "data" else 2), "the worker goes on"
    assert default.scheduled_job_registry.get_job_ids() == []


@pytest.mark.parametrize("data", [b"", b"\xff", b"no JSON", b"[]", b'["workers.perform.perform"]', b"{}", b"null"])
def test_a_job_whose_data_cannot_be_read_is_a_dead_letter_and_the_worker_goes_on(
    data: bytes, open_workplace: WorkplaceFactory
) -> None:
    """At once: it does not become readable by waiting, though its hash has retries left."""
    jobs, counted = counting_jobs()
    workplace = open_workplace(jobs)
    job = plant(workplace, data=data, retries_left=3)

    with capture_logs() as logs:
        workplace.work()

    assert workplace.queue().failed_job_registry.get_job_ids() == [job.id]
    assert [(line["job_id"], line["error"]) for line in logs if line["event"] == "job_refused"] == [
        (job.id, "DeserializationError")
    ]
    assert len(counted) == 1


def test_what_is_refused_is_logged_without_its_arguments(workplace: Workplace) -> None:
    """RQ's own line would hold the exception's text and the arguments."""
    plant(workplace, "os.system", None, [SECRET], {})

    with capture_logs() as logs:
        workplace.work()

    assert "ForeignFunctionError" in str(logs)
    assert SECRET not in str(logs)


def test_retries_that_are_due_are_queued_and_run(open_workplace: WorkplaceFactory) -> None:
    """A burst, too, begins with the retries whose time has come; the others stay."""
    jobs, ran = Jobs(), []

    @jobs.on(ApiCall)
    def twice(event: ApiCall) -> None:
        ran.append(event.id)
        if len(ran) == 1:
            raise OSError

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call())

    workplace.work()
    workplace.work()
    before_it_is_due = len(ran)
    workplace.make_due()
    workplace.work()

    assert (before_it_is_due, len(ran)) == (1, 2)
    assert workplace.job(event, "twice").is_finished


RETRYING = """
import os
from redis import Redis
from deskbell import ApiCall, Jobs, Retry

jobs = Jobs()

@jobs.on(ApiCall, queue="crm")
def twice(event: ApiCall) -> None:
    with Redis.from_url(os.environ["DESKBELL_REDIS_URL"]) as redis:
        if redis.rpush("ran", os.getpid()) == 1:
            raise Retry(after=1)
"""


def test_a_running_worker_queues_due_retries_by_itself(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """Each worker process schedules the retries of its queue; SIGTERM ends it with status 0."""
    workplace = open_workplace(jobs_in(RETRYING))
    event = workplace.put_jobs(api_call())

    with running_worker(tmp_path, RETRYING, valkey_url, "crm") as process:
        until(lambda: workplace.job(event, "twice").is_finished)
        process.terminate()
        status = process.wait()

    assert workplace.redis.llen("ran") == 2
    assert status == 0


HANGING_ONCE = """
import os, threading
from redis import Redis
from rq import get_current_job
from deskbell import ApiCall, Jobs

jobs = Jobs()

@jobs.on(ApiCall, queue="crm")
def hang_once(event: ApiCall) -> None:
    with Redis.from_url(os.environ["DESKBELL_REDIS_URL"]) as redis:
        if redis.rpush("ran", get_current_job().meta["attempt"]) == 1:
            threading.Event().wait()
"""


def test_a_job_whose_worker_is_killed_in_the_middle_is_run_again(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """RQ knows the job as started; when its heartbeat is missed, maintenance has it tried again, as attempt 2."""
    workplace = open_workplace(jobs_in(HANGING_ONCE))
    event = workplace.put_jobs(api_call())
    crm, job_id = workplace.queue("crm"), f"{event.id}-hang_once"

    with running_worker(tmp_path, HANGING_ONCE, valkey_url, "crm") as process:
        until(lambda: workplace.redis.llen("ran"))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    started = crm.started_job_registry.get_job_ids()
    crm.started_job_registry.cleanup(timestamp=time.time() + 3600)
    scheduled = crm.scheduled_job_registry.get_job_ids()
    workplace.make_due("crm")
    workplace.redis.delete(RQScheduler.get_locking_key("crm"))  # it expires a minute after its holder's death
    with running_worker(tmp_path, HANGING_ONCE, valkey_url, "crm", "--burst") as process:
        status = process.wait()

    assert started == scheduled == [job_id]
    assert workplace.redis.lrange("ran", 0, -1) == [b"1", b"2"]
    assert workplace.job(event, "hang_once").is_finished
    assert workplace.redis.llen(crm.intermediate_queue_key) == 0
    assert status == 0


@pytest.mark.usefixtures("reaps_at_once")
def test_a_job_that_a_killed_stock_worker_has_moved_is_run(open_workplace: WorkplaceFactory) -> None:
    """RQ moves a job to its intermediate list, and registers an execution before it marks the job as started."""
    jobs, counted = counting_jobs()
    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call())
    default, job_id = workplace.queue(), f"{event.id}-count"
    workplace.redis.lmove(default.key, default.intermediate_queue_key)
    workplace.redis.zadd(StartedJobRegistry(queue=default).key, {f"{job_id}:execution": 1})

    workplace.work()
    workplace.redis.set(default.intermediate_queue.get_first_seen_key(job_id), time.time() - 61)
    workplace.work()
    workplace.make_due()
    workplace.work()

    assert counted == [event.id]
    assert default.started_job_registry.get_job_ids() == []


def test_slow_jobs_in_all_slots_do_not_hold_up_the_fan_out(open_workplace: WorkplaceFactory) -> None:
    """An event takes no slot: its jobs are on their queues, where other workers find them."""
    jobs = Jobs()

    @jobs.on(ApiCall, node="slow")
    def slow(event: ApiCall) -> None:  # noqa: ARG001
        workplace.put_event(api_call("other"))
        until(lambda: workplace.queue("crm").count == 1)

    @jobs.on(ApiCall, node="other", queue="crm")
    def other(event: ApiCall) -> None: ...

    workplace = open_workplace(jobs)
    workplace.put_event(api_call("slow"))

    workplace.work(EVENTS, "default", concurrency=1)

    assert workplace.queue("crm").count == 1
    assert not workplace.queue().failed_job_registry.count
