"""Running jobs in a test: workers in this process, and worker processes."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from redis import Redis
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer

from deskbell import Event, Jobs, Settings
from deskbell.testing.stack import signals_kept
from shared.redis.queues import EVENTS, FAN_OUT, PERFORM, events_job, queue
from tests.forked import Forked
from tests.processes import ALONE, unmeasured
from tests.waiting import DEADLINE_SECONDS
from workers.attempt import Performer
from workers.fan_out import fan_out_with
from workers.perform import perform_with
from workers.worker.worker import ConcurrentWorker

AnEvent = TypeVar("AnEvent", bound=Event)

LOG = "worker.log"
"""The file that worker processes log to, in the folder of the integrator's module."""


class Workplace:
    """The queues of a test, and workers for them that end when a queue is empty."""

    def __init__(self, redis: Redis, jobs: Jobs, settings: Settings) -> None:
        self.redis = redis
        self.jobs = jobs
        self.performer = Performer(jobs, settings)

    def put_event(self, event: Event) -> Job:
        """Put an event on its queue, as the api does."""
        events = self.queue(EVENTS)
        return events.enqueue_job(events_job(events, event.command, event.to_wire(), event.id))

    def put_jobs(self, event: AnEvent) -> AnEvent:
        """Put an event on its queue and have it fanned out; gives the event."""
        self.put_event(event)
        self.work(EVENTS)
        return event

    def work(self, *names: str, concurrency: int = 64) -> None:
        """Run a worker until its queues are empty; it begins by queueing the retries that are due."""
        with signals_kept():
            worker = ConcurrentWorker(names or ["default"], self.performer, self.redis, concurrency=concurrency)
            worker.run(burst=True)

    def make_due(self, name: str = "default") -> None:
        """Let the time pass that scheduled retries wait for."""
        registry = self.queue(name).scheduled_job_registry
        for job_id in registry.get_job_ids():
            self.redis.zadd(registry.key, {job_id: 1})

    def queue(self, name: str = "default") -> Queue:
        """RQ's queue."""
        return queue(name, self.redis)

    def job(self, event: Event, name: str) -> Job:
        """The job of a type for an event, as Redis has it."""
        return fetch(self.redis, f"{event.id}-{name.replace('.', '-')}")

    @property
    def job_class(self) -> type[Job]:
        """RQ jobs that call the entry points for these job types, not for those of the environment."""
        entry_points: dict[str, Any] = {
            FAN_OUT: partial(fan_out_with, self.jobs),
            PERFORM: partial(perform_with, self.performer),
        }

        class WorkplaceJob(Job):
            @property
            def func(self) -> Any:
                return entry_points[str(self.func_name)]

        return WorkplaceJob


def fetch(redis: Redis, job_id: str) -> Job:
    """A job as Redis has it."""
    return Job.fetch(job_id, connection=redis, serializer=JSONSerializer)


def status_of(redis: Redis, job_id: str) -> str:
    """A job's status."""
    return str(fetch(redis, job_id).get_status().value)


def jobs_in(source: str) -> Jobs:
    """The job types of a module that worker processes run, for the fan-out in this one."""
    module: dict[str, Any] = {}
    with patch.dict(os.environ, DESKBELL_REDIS_URL="redis://127.0.0.1:1"):  # which nothing here connects to
        exec(source, module)  # noqa: S102 - a test's own text
    jobs: Jobs = module["jobs"]
    return jobs


def unfinished(redis: Redis, *names: str) -> int:
    """How many jobs of queues wait, run or are to be tried again, at one moment: they go from one to another."""
    with redis.pipeline() as pipeline:
        for name in names:
            pipeline.llen(f"rq:queue:{name}")
            for registry in ("wip", "scheduled"):
                pipeline.zcard(f"rq:{registry}:{name}")
        return sum(pipeline.execute())


def traceback_of(job: Job) -> str:
    """What RQ keeps with a dead letter."""
    result = job.latest_result()
    assert result
    assert result.exc_string
    return str(result.exc_string)


@contextmanager
def running_worker(folder: Path, source: str, redis_url: str, *arguments: str, **settings: str) -> Iterator[Forked]:
    """Run `deskbell worker` as a process of its own; what it leaves running is ended.

    With `--processes` that is the supervisor, else the worker itself, as a supervisor starts it.

    Args:
        folder: where the integrator's module is written to.
        source: the module, with its job types in `jobs`.
        redis_url: the server.
        *arguments: queues and options.
        **settings: further settings.
    """
    (folder / "acme_jobs.py").write_text(source)
    given = {
        "DESKBELL_REDIS_URL": redis_url,
        "DESKBELL_JOBS": "acme_jobs:jobs",
        "DESKBELL_APP_DIR": str(folder),
        **{f"DESKBELL_{name}": value for name, value in settings.items()},
    }
    if "--processes" in arguments:
        words, env = arguments, unmeasured(**given)
    else:
        words, env = (*ALONE, *arguments), os.environ | given
    with (folder / LOG).open("ab") as log, Forked(("worker", *words), env, folder, stdout=log) as process:
        try:
            yield process
        finally:
            process.terminate()  # so that a supervisor ends its workers, whose sessions are their own
            with suppress(subprocess.TimeoutExpired):
                process.wait(DEADLINE_SECONDS / 2)
            end_group(process.pid)


def logged(folder: Path, event: str) -> list[dict[str, Any]]:
    """The lines of an event that the worker processes of a folder have logged, as far as they are whole."""
    whole = (folder / LOG).read_text().rpartition("\n")[0]
    found = [json.loads(text) for text in whole.splitlines() if text.startswith("{") and event in text]
    return [line for line in found if line["event"] == event]


def end_group(pid: int) -> None:
    """Kill a process of the test with all that it started in its session."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS says the second of a group that is gone
        return
