"""What goes on beside a worker's jobs: signs of life, commands, and what RQ's own code leaves half done."""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError
from rq import Worker
from rq.command import send_shutdown_command, send_stop_job_command
from rq.job import Job, JobStatus
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from deskbell import ApiCall, Jobs, Settings
from deskbell.testing import api_call
from deskbell.testing.stack import signals_kept
from shared.redis.queues import PERFORM
from shared.runtime.threads import DaemonThreads
from shared.wire.events import new_event_id
from tests.conftest import WorkplaceFactory
from tests.logged import capture_logs
from tests.waiting import until
from tests.workers.claiming import counting_jobs, put_job
from tests.workers.failed_jobs import write_dead_letters
from tests.workers.running import Workplace, logged, running_worker
from workers.audit import AuditLog
from workers.worker.leases import Leases
from workers.worker.maintenance import Maintenance
from workers.worker.rq_outcomes import RQOutcomes
from workers.worker.worker import ConcurrentWorker

_PATIENCE_SECONDS = 20

IDLE = """
from deskbell import ApiCall, Jobs

jobs = Jobs()

@jobs.on(ApiCall)
def count(event: ApiCall) -> None: ...
"""


def failing_jobs() -> Jobs:
    """A job type `fail` that fails in passing."""
    jobs = Jobs()

    @jobs.on(ApiCall, attempts=3)
    def fail(event: ApiCall) -> None:  # noqa: ARG001
        raise OSError

    return jobs


def test_a_worker_whose_key_has_vanished_registers_anew(redis: Redis, valkey_url: str, tmp_path: Path) -> None:
    """RQ had removed it while it was frozen: `rq info` shows it again, with its queues and its birth."""
    with running_worker(tmp_path, IDLE, valkey_url, "default", "events", ABANDONED_SECONDS="5"):
        [before] = until(lambda: Worker.all(redis))
        with redis.pipeline() as pipeline:  # between the two, it might register
            pipeline.delete(before.key)
            pipeline.srem("rq:workers", before.key)
            pipeline.execute()
        [after] = until(lambda: [worker for worker in Worker.all(redis) if worker.birth_date])

        assert after.name == before.name
        assert after.queue_names() == ["default", "events"]
        assert redis.ttl(after.key) > 0


def test_a_worker_touches_its_heartbeat_file_as_long_as_it_lives(valkey_url: str, tmp_path: Path) -> None:
    """At each heartbeat: a health check uses the file's age alone."""
    file = tmp_path / "heartbeat"
    given = {"HEARTBEAT_FILE": str(file), "ABANDONED_SECONDS": "5"}
    with running_worker(tmp_path, IDLE, valkey_url, "default", **given):
        until(file.exists)
        os.utime(file, (0, 0))

        until(lambda: file.stat().st_mtime)


def test_a_heartbeat_file_that_cannot_be_written_is_logged_and_ends_nothing(
    redis: Redis, valkey_url: str, tmp_path: Path
) -> None:
    """It is no outage of Redis', whose errors have the same root."""
    with running_worker(tmp_path, IDLE, valkey_url, "default", HEARTBEAT_FILE=str(tmp_path / "missing" / "file")):
        until(lambda: logged(tmp_path, "heartbeat_failed"))

        assert Worker.all(redis)
        assert not logged(tmp_path, "redis_away")


def test_commands_are_read_after_one_that_is_unreadable(redis: Redis, valkey_url: str, tmp_path: Path) -> None:
    """A client that can publish cannot stop it."""
    with running_worker(tmp_path, IDLE, valkey_url, "default") as process:
        [worker] = until(lambda: Worker.all(redis))
        until(lambda: redis.pubsub_numsub(worker.pubsub_channel_name)[0][1])
        for command in ("[" * 200_000, "[]", b"\xff", '{"command": "stop-execution", "execution_id": []}'):
            redis.publish(worker.pubsub_channel_name, command)
        send_shutdown_command(redis, worker.name)
        exit_status = process.wait(_PATIENCE_SECONDS)

    assert exit_status == 0


DEAF = """
import asyncio, errno, os, pathlib, resource

resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))  # one that spins takes 100 MB more each second

from redis.asyncio.client import PubSub
from workers.worker.rq_commands import RQCommands

channels, listen, connect = [], RQCommands.listen, PubSub.connect

async def connect_and_note(channel):
    await connect(channel)
    channels.append(channel)

async def listen_and_lose(commands):
    losing = asyncio.create_task(lose())
    await listen(commands)

async def lose():
    while not channels:
        await asyncio.sleep(0.01)
    # What asyncio and uvloop do when the kernel gives up a socket whose peer has not answered.
    channels[0].connection._reader.set_exception(OSError(errno.ETIMEDOUT, "Connection timed out"))
    pathlib.Path(os.environ["DESKBELL_APP_DIR"], "lost").touch()

PubSub.connect, RQCommands.listen = connect_and_note, listen_and_lose
"""


def test_a_worker_whose_idle_socket_the_kernel_has_closed_reads_commands_again(
    redis: Redis, valkey_url: str, tmp_path: Path
) -> None:
    """redis-py takes the kernel's ETIMEDOUT for the end of a wait, and would answer "nothing" at once, for ever."""
    with running_worker(tmp_path, IDLE + DEAF, valkey_url, "default") as process:
        until((tmp_path / "lost").exists)
        [worker] = Worker.all(redis)

        def ends() -> bool:
            send_shutdown_command(redis, worker.name)
            return process.poll() is not None

        until(ends)

    assert process.returncode == 0


def test_a_job_whose_outcome_is_being_written_is_not_taken_for_lost(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ's code has ended its lease, and the worker renews its leases before it learns that."""
    workplace = open_workplace(failing_jobs(), abandoned_seconds=5)
    job_id = put_job(workplace, "fail")
    renew_really, fail_really, renewed = Leases.renew, RQOutcomes.fail, threading.Event()

    async def renew(self: Leases, *arguments: Any) -> Any:
        answer = await renew_really(self, *arguments)
        renewed.set()
        return answer

    def fail(self: RQOutcomes, *arguments: Any) -> None:
        fail_really(self, *arguments)
        renewed.clear()
        assert renewed.wait(_PATIENCE_SECONDS)

    monkeypatch.setattr(Leases, "renew", renew)
    monkeypatch.setattr(RQOutcomes, "fail", fail)
    with capture_logs() as logs:
        workplace.work()

    assert "lease_lost" not in [line["event"] for line in logs]
    assert workplace.queue().scheduled_job_registry.get_job_ids() == [job_id]


def test_a_job_that_a_stopping_worker_has_released_is_not_taken_for_lost(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker renews its leases once more between the release and its end."""
    jobs = Jobs()

    @jobs.on(ApiCall)
    async def hang(event: ApiCall) -> None:  # noqa: ARG001
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    workplace = open_workplace(jobs, abandoned_seconds=5, grace_seconds=0)
    job_id = put_job(workplace, "hang")
    renew_really, release_really, renewed = Leases.renew, Leases.release, threading.Event()

    async def renew(self: Leases, *arguments: Any) -> Any:
        answer = await renew_really(self, *arguments)
        renewed.set()
        return answer

    async def release(self: Leases, *arguments: Any, **options: Any) -> int:
        count = await release_really(self, *arguments, **options)
        renewed.clear()
        await asyncio.to_thread(renewed.wait, _PATIENCE_SECONDS)
        return count

    monkeypatch.setattr(Leases, "renew", renew)
    monkeypatch.setattr(Leases, "release", release)
    with capture_logs() as logs:
        workplace.work()

    assert "lease_lost" not in [line["event"] for line in logs]
    assert workplace.queue().job_ids == [job_id]


def test_a_job_whose_outcome_is_being_written_is_not_released(
    open_workplace: WorkplaceFactory, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the worker is told to end at that moment: the attempt was made, and counts."""
    workplace = open_workplace(failing_jobs(), grace_seconds=0)
    job_id = put_job(workplace, "fail")
    fail_really, may_write = RQOutcomes.fail, threading.Event()

    def fail(self: RQOutcomes, *arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        assert may_write.wait(_PATIENCE_SECONDS)
        fail_really(self, *arguments)

    monkeypatch.setattr(RQOutcomes, "fail", fail)
    with signals_kept():
        ConcurrentWorker(["default"], workplace.performer, redis).run()
    queued = workplace.queue().job_ids
    may_write.set()

    assert queued == []
    until(lambda: workplace.queue().scheduled_job_registry.get_job_ids() == [job_id])
    assert json.loads(redis.hget(f"rq:job:{job_id}", "meta") or b"")["attempt"] == 1


def test_a_coroutine_that_is_stopped_is_cancelled_where_it_waits(
    open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """`rq`'s stop-job reaches the function itself: it can clean up, and does not go on."""
    jobs, events = Jobs(), []

    @jobs.on(ApiCall, timeout=60)
    async def wait(event: ApiCall) -> None:
        try:
            await asyncio.to_thread(stop, redis, f"{event.id}-wait")
            await asyncio.sleep(_PATIENCE_SECONDS)
        except asyncio.CancelledError:
            events.append("cancelled")
            raise
        events.append("went on")

    workplace = open_workplace(jobs)
    job_id = put_job(workplace, "wait")

    workplace.work()

    assert events == ["cancelled"]
    assert redis.hget(f"rq:job:{job_id}", "status") == JobStatus.STOPPED.value.encode()


def stop(redis: Redis, job_id: str) -> None:
    """Send RQ's command to stop a job, when its worker listens."""
    [worker] = Worker.all(redis)
    channel = worker.pubsub_channel_name
    until(lambda: redis.pubsub_numsub(channel)[0][1])
    send_stop_job_command(redis, job_id, serializer=JSONSerializer)


def behind(workplace: Workplace, first: Job) -> Job:
    """A job that waits for another to end."""
    return workplace.queue().enqueue(
        PERFORM, args=["count", api_call("2").to_wire()], description="count", depends_on=first
    )


def test_a_dependent_that_rq_has_left_ready_is_queued_after_the_outcome(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ gives up at once when another thread queues the same: the dependent runs all the same, and now."""
    jobs, counted = counting_jobs()
    workplace = open_workplace(jobs)
    first = workplace.queue().enqueue(PERFORM, args=["count", api_call("1").to_wire()], description="count")
    second = behind(workplace, first)
    monkeypatch.setattr(Queue, "enqueue_ready_jobs_by_queue", lambda *_: None)

    workplace.work()

    assert len(counted) == 2
    assert second.is_finished


async def maintained(
    worker: BaseWorker, jobs: Jobs, *steps: Callable[[Maintenance], Awaitable[None]], **settings: Any
) -> None:
    """Take steps of a worker's maintenance."""
    threads = DaemonThreads()
    maintenance = Maintenance(worker, jobs, Settings(**settings), threads)
    try:
        for step in steps:
            await step(maintenance)
    finally:
        threads.close()


def test_a_dependent_that_a_dead_worker_has_left_ready_is_queued(
    open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """Within a second or so, with the retries that are due: RQ's maintenance would come to it in ten minutes."""
    jobs = counting_jobs()[0]
    workplace = open_workplace(jobs)
    first = workplace.queue().enqueue(PERFORM, args=["count", api_call("1").to_wire()], description="count")
    second = behind(workplace, first)
    with redis.pipeline() as pipeline:
        workplace.queue().ready_job_registry.register_jobs([second], pipeline)
        pipeline.execute()
    worker = ConcurrentWorker(["default"], workplace.performer, redis)

    asyncio.run(maintained(worker, jobs, Maintenance.schedule, Maintenance.close))

    assert second.id in workplace.queue().job_ids
    assert redis.zcard(workplace.queue().ready_job_registry.key) == 0


def test_dead_letters_that_are_too_old_are_discarded_and_recorded(
    open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """By the time at which their events came; without the setting they stay."""
    jobs = counting_jobs()[0]
    worker = ConcurrentWorker(["crm"], open_workplace(jobs).performer, redis)
    ids = write_dead_letters(redis, 3)
    old, young = f"{new_event_id(time.time() - 3 * 86400 - 60)}-crm-contact", ids[0]
    redis.rename(f"rq:job:{ids[2]}", f"rq:job:{old}")
    redis.zadd("rq:failed:crm", {old: -1})
    redis.zrem("rq:failed:crm", ids[2])

    asyncio.run(maintained(worker, jobs, Maintenance.maintain))
    kept = redis.zcard("rq:failed:crm")
    with capture_logs() as lines:
        asyncio.run(maintained(worker, jobs, Maintenance.maintain, Maintenance.maintain, dead_days=3))

    (entry,) = AuditLog(redis).latest(5)
    assert kept == 3
    assert sorted(redis.zrange("rq:failed:crm", 0, -1)) == sorted([young.encode(), ids[1].encode()])
    assert not redis.exists(f"rq:job:{old}")
    assert (entry.action, entry.selection, entry.done) == ("discard", "DESKBELL_DEAD_DAYS=3 crm", 1)
    assert [(line["queue"], line["count"]) for line in lines if line["event"] == "dead_letters_expired"] == [("crm", 1)]


def test_maintenance_that_fails_frees_its_own_lock_and_no_other(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """Else two workers clean one queue at once, or none does for 15 minutes."""
    jobs = counting_jobs()[0]
    worker = ConcurrentWorker(["theirs", "ours"], open_workplace(jobs).performer, redis)
    theirs, ours = worker.queues
    theirs.acquire_maintenance_lock()
    redis.set(ours.finished_job_registry.key, "what no cleanup can read")

    with pytest.raises(ResponseError):
        asyncio.run(maintained(worker, jobs, Maintenance.maintain))

    assert [bool(redis.exists(queue.registry_cleaning_key)) for queue in (theirs, ours)] == [True, False]
