"""How worker processes end, and what happens to their jobs: a signal, a second one, SIGKILL, frozen, hanging.

Each test runs a real process and ends it with a real signal.
"""

import asyncio
import json
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest
from rq import Worker
from rq.command import send_kill_horse_command, send_shutdown_command, send_stop_job_command
from rq.serializers import JSONSerializer

from deskbell.testing import api_call
from deskbell.testing.stack import signals_kept
from shared.redis.history import TOTALS_KEY, read_tallies
from tests.conftest import WorkplaceFactory
from tests.waiting import until
from tests.workers.running import Workplace, jobs_in, logged, running_worker, status_of
from workers.worker.shutdown import ShutdownSignals

JOBS = """
import asyncio, os, threading
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from rq import get_current_job
from deskbell import ApiCall, Jobs

jobs = Jobs()
URL = os.environ["DESKBELL_REDIS_URL"]

def began(redis: Redis, event: ApiCall) -> bool:
    return redis.rpush(f"began:{event.node}", get_current_job().meta["attempt"]) == 1

@jobs.on(ApiCall, queue="crm", node="brief")
async def brief(event: ApiCall) -> None:
    async with AsyncRedis.from_url(URL, socket_timeout=None) as redis:
        await redis.rpush(f"began:{event.node}", event.id)
        await redis.blpop([f"go:{event.node}"], 30)
        await redis.rpush(f"ended:{event.node}", event.id)

@jobs.on(ApiCall, queue="crm", node="hangs")
async def hangs(event: ApiCall) -> None:
    with Redis.from_url(URL) as redis:
        if began(redis, event):
            await asyncio.Event().wait()

@jobs.on(ApiCall, queue="crm", node="hangs_in_thread", timeout=3600)
def hangs_in_thread(event: ApiCall) -> None:
    with Redis.from_url(URL) as redis:
        if began(redis, event):
            threading.Event().wait()

@jobs.on(ApiCall, queue="crm", node="late", attempts=1, timeout=1)
def late(event: ApiCall) -> None:
    with Redis.from_url(URL) as redis:
        redis.rpush("late", os.getpid())
    threading.Event().wait()

@jobs.on(ApiCall, queue="crm", node="quick")
def quick(event: ApiCall) -> None:
    with Redis.from_url(URL) as redis:
        redis.rpush("quick", threading.active_count())

@jobs.on(ApiCall, queue="crm", node="blocks", timeout=600)
async def blocks(event: ApiCall) -> None:
    with Redis.from_url(URL, socket_timeout=None) as redis:
        if began(redis, event):
            redis.blpop(["go:blocks"], 30)
            redis.rpush("done", "first")
        else:
            redis.rpush("done", "second")

@jobs.on(ApiCall, queue="crm", node="plain")
def plain(event: ApiCall) -> None:
    with Redis.from_url(URL, socket_timeout=None) as redis:
        redis.rpush("began:plain", event.id)
        redis.blpop(["go:plain"], 30)
        redis.rpush("ended:plain", event.id)
"""
QUICKLY = {"ABANDONED_SECONDS": "5", "GRACE_SECONDS": "1"}


@pytest.fixture
def workplace(open_workplace: WorkplaceFactory) -> Workplace:
    """The queues of the job types of the worker process."""
    return open_workplace(jobs_in(JOBS))


def put(workplace: Workplace, node: str, count: int = 1) -> list[str]:
    """Put jobs on the queue; their ids."""
    events = [api_call(node) for _ in range(count)]
    for event in events:
        workplace.put_jobs(event)
    return [f"{event.id}-{node}" for event in events]


@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT", "command"])
def test_a_worker_told_to_stop_lets_its_jobs_end_and_claims_no_more(
    end: str, workplace: Workplace, valkey_url: str, tmp_path: Path
) -> None:
    """Within the grace period; then it exits 0, is known to RQ no longer, and the rest waits."""
    ids, redis = put(workplace, "brief", 3), workplace.redis
    settings = {"ABANDONED_SECONDS": "60", "GRACE_SECONDS": "20"}

    with running_worker(tmp_path, JOBS, valkey_url, "crm", "--concurrency", "2", **settings) as process:
        until(lambda: redis.llen("began:brief") == 2)
        if end == "command":
            [worker] = Worker.all(redis)
            until(lambda: redis.pubsub_numsub(worker.pubsub_channel_name)[0][1])
            send_shutdown_command(redis, worker.name)
        else:
            process.send_signal(getattr(signal, end))
        until(lambda: Worker.all(redis)[0].shutdown_requested_date)
        redis.rpush("go:brief", "", "")
        exit_status = process.wait(30)

    assert exit_status == 0
    assert [status_of(redis, job_id) for job_id in ids] == ["finished", "finished", "queued"]
    assert workplace.queue("crm").job_ids == ids[2:]
    assert Worker.all(redis) == []


@pytest.mark.parametrize("node", ["hangs", "hangs_in_thread"])
def test_what_does_not_end_in_the_grace_period_is_released_without_costing_an_attempt(
    node: str, workplace: Workplace, valkey_url: str, tmp_path: Path
) -> None:
    """The next worker makes attempt 1 of it; the log says that the worker stops, and what it released."""
    [job_id], redis = put(workplace, node), workplace.redis

    with running_worker(tmp_path, JOBS, valkey_url, "crm", **QUICKLY) as process:
        until(lambda: redis.llen(f"began:{node}"))
        process.terminate()
        exit_status = process.wait(30)
    left = workplace.queue("crm").job_ids, status_of(redis, job_id), redis.zcard("rq:wip:crm")
    [stops], [released] = logged(tmp_path, "worker_stops"), logged(tmp_path, "jobs_released")
    with running_worker(tmp_path, JOBS, valkey_url, "crm", "--burst", **QUICKLY) as process:
        process.wait(30)

    assert exit_status == 0
    assert left == ([job_id], "queued", 0)
    assert stops["why"] == "told to stop"
    assert (stops["under_way"], released["count"], released["job_ids"]) == (1, 1, [job_id])
    assert redis.lrange(f"began:{node}", 0, -1) == [b"1", b"1"]
    assert status_of(redis, job_id) == "finished"


def test_a_worker_told_twice_to_stop_ends_at_once_and_loses_nothing(
    workplace: Workplace, valkey_url: str, tmp_path: Path
) -> None:
    """Long before the grace period is over; its jobs are back on the queue."""
    ids, redis = put(workplace, "brief", 3), workplace.redis
    patient = {"ABANDONED_SECONDS": "60", "GRACE_SECONDS": "60"}

    with running_worker(tmp_path, JOBS, valkey_url, "crm", **patient) as process:
        until(lambda: redis.llen("began:brief") == 3)
        process.terminate()
        until(lambda: Worker.all(redis)[0].shutdown_requested_date)
        process.terminate()
        process.wait(30)

    assert workplace.queue("crm").job_ids == ids
    assert redis.zcard("rq:wip:crm") == 0
    assert {json.loads(redis.hget(f"rq:job:{job_id}", "meta") or b"")["attempt"] for job_id in ids} == {0}


@pytest.mark.parametrize(("signals", "grace"), [(1, "1"), (2, "600")])
def test_a_worker_ends_though_a_job_blocks_its_loop(
    signals: int, grace: str, workplace: Workplace, valkey_url: str, tmp_path: Path
) -> None:
    """Soon after the grace period, or after the second signal; the job is reaped when its lease has expired."""
    [job_id], redis = put(workplace, "blocks"), workplace.redis

    with running_worker(tmp_path, JOBS, valkey_url, "crm", ABANDONED_SECONDS="5", GRACE_SECONDS=grace) as process:
        until(lambda: redis.llen("began:blocks"))
        for _ in range(signals):
            process.terminate()
            time.sleep(0.2)  # two signals at once may be one
        exit_status = process.wait(20)
    left = redis.zcard("rq:wip:crm"), status_of(redis, job_id)

    assert (exit_status, left) == (1, (1, "started"))


@pytest.mark.parametrize("node", ["hangs", "hangs_in_thread"])
def test_a_killed_workers_jobs_are_run_by_another_within_the_time_set(
    node: str, workplace: Workplace, valkey_url: str, tmp_path: Path
) -> None:
    """Any other worker that lives reaps the expired lease, whether or not it has ever had a job."""
    [job_id], redis = put(workplace, node), workplace.redis
    start = partial(running_worker, tmp_path, JOBS, valkey_url, "crm", **QUICKLY)

    with start() as killed:
        until(lambda: redis.llen(f"began:{node}"))
        with start():
            until(lambda: len(Worker.all(redis)) == 2)
            os.kill(killed.pid, signal.SIGKILL)
            until(lambda: status_of(redis, job_id) == "finished")

    assert redis.lrange(f"began:{node}", 0, -1) == [b"1", b"2"]
    assert read_tallies(redis.hgetall(TOTALS_KEY))["lease", "crm"].outcomes == {"reaped": 1}


def test_a_frozen_worker_acks_nothing_when_it_goes_on(workplace: Workplace, valkey_url: str, tmp_path: Path) -> None:
    """Its job has been done by another meanwhile, once; the late end of the first changes nothing, and it goes on."""
    [job_id], redis = put(workplace, "blocks"), workplace.redis
    start = partial(running_worker, tmp_path, JOBS, valkey_url, "crm", **QUICKLY)

    with start() as frozen:
        until(lambda: redis.llen("began:blocks"))
        os.kill(frozen.pid, signal.SIGSTOP)
        with start():
            until(lambda: status_of(redis, job_id) == "finished")
        before = redis.hgetall(f"rq:job:{job_id}"), redis.xlen(f"rq:results:{job_id}")
        os.kill(frozen.pid, signal.SIGCONT)
        redis.rpush("go:blocks", "")
        until(lambda: redis.llen("done") == 2)
        put(workplace, "quick")
        until(lambda: redis.llen("quick"))
        after = redis.hgetall(f"rq:job:{job_id}"), redis.xlen(f"rq:results:{job_id}")

    assert redis.lrange("done", 0, -1) == [b"second", b"first"]
    assert after == before
    assert redis.zcard("rq:wip:crm") == 0


def test_a_process_with_too_many_stragglers_is_started_again(
    workplace: Workplace, valkey_url: str, tmp_path: Path
) -> None:
    """Threads that hang end only with their process: it finishes the rest, and its supervisor starts another."""
    ids, redis = put(workplace, "late", 2), workplace.redis
    options = ("--concurrency", "2", "--processes", "1")

    with running_worker(tmp_path, JOBS, valkey_url, "crm", *options, **QUICKLY) as process:
        until(lambda: [status_of(redis, job_id) for job_id in ids] == ["failed", "failed"])
        put(workplace, "quick")
        until(lambda: redis.llen("quick"))
        process.terminate()
        exit_status = process.wait(30)

    assert len(set(redis.lrange("late", 0, -1))) == 1
    assert int(redis.lindex("quick", 0) or 0) < 8, "no thread of the stragglers is left"
    assert exit_status == 0


@pytest.mark.parametrize("is_told_to_stop", [False, True])
def test_functions_under_way_end_though_redis_has_come_back_without_its_data(
    is_told_to_stop: bool, workplace: Workplace, valkey_url: str, tmp_path: Path
) -> None:
    """Their jobs are lost, but they do not hang: they are no stragglers in their time, and have the grace period."""
    put(workplace, "plain", 2)
    redis = workplace.redis
    settings = {"ABANDONED_SECONDS": "5", "GRACE_SECONDS": "20"}

    with running_worker(tmp_path, JOBS, valkey_url, "crm", "--concurrency", "2", **settings) as process:
        until(lambda: redis.llen("began:plain") == 2)
        redis.flushall()
        until(lambda: len(logged(tmp_path, "lease_lost")) == 2)
        if is_told_to_stop:
            process.terminate()
        else:
            put(workplace, "quick")
            until(lambda: redis.llen("quick"))
        redis.rpush("go:plain", "", "")
        until(lambda: redis.llen("ended:plain") == 2)
        if not is_told_to_stop:
            process.terminate()
        exit_status = process.wait(30)

    assert exit_status == 0
    assert logged(tmp_path, "stragglers") == []


@pytest.mark.parametrize("node", ["hangs", "hangs_in_thread"])
@pytest.mark.parametrize("command", ["stop", "kill"])
def test_rqs_commands_end_a_job(node: str, command: str, workplace: Workplace, valkey_url: str, tmp_path: Path) -> None:
    """`stop-job` stops it for good, as RQ does; `kill-horse` costs it the attempt."""
    [job_id], redis = put(workplace, node), workplace.redis

    with running_worker(tmp_path, JOBS, valkey_url, "crm", **QUICKLY):
        until(lambda: redis.llen(f"began:{node}"))
        [worker] = Worker.all(redis)
        until(lambda: redis.pubsub_numsub(worker.pubsub_channel_name)[0][1])
        if command == "stop":
            send_stop_job_command(redis, job_id, serializer=JSONSerializer)
            until(lambda: status_of(redis, job_id) == "stopped")
        else:
            send_kill_horse_command(redis, worker.name)
            until(lambda: status_of(redis, job_id) == "finished")

    assert (redis.zscore("rq:failed:crm", job_id) is not None) == (command == "stop")
    assert redis.lrange(f"began:{node}", 0, -1) == ([b"1"] if command == "stop" else [b"1", b"2"])


def test_the_same_signal_twice_means_at_once_and_one_of_each_does_not() -> None:
    """A service manager sends SIGTERM to every process, and the supervisor SIGINT: that is one request."""
    loop = asyncio.new_event_loop()
    told: list[int] = []

    def begin_end() -> None:
        told.append(len(told))

    def turn() -> int:
        loop.run_until_complete(asyncio.sleep(0))
        return len(told)

    with signals_kept():
        signals = ShutdownSignals(loop, begin_end, lambda: None, 600)
        counts = []
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGINT):
            signal.raise_signal(number)
            counts.append(turn())
        signals.close()
    loop.close()

    assert counts == [1, 1, 2]
