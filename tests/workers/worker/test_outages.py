"""What comes of jobs while Redis refuses, or does not answer: nothing is decided by it, and nothing twice."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ExecAbortError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from rq import get_current_job

from deskbell import ApiCall, Breaker, Discard, Jobs
from deskbell.testing import api_call
from shared.redis.connections import connect
from shared.redis.queues import EVENT_RETRIES, EVENTS
from tests.conftest import SettingsFactory, WorkplaceFactory
from tests.logged import capture_logs
from tests.waiting import until
from tests.workers.claiming import CLAIMED_AT, put
from tests.workers.running import fetch, traceback_of
from workers.fan_out import prepare_fan_out
from workers.redis_errors import WorkerOutage, is_transient
from workers.worker import leases as executions_module
from workers.worker.leases import Leases
from workers.worker.worker import ConcurrentWorker

REFUSALS: dict[str, tuple[Callable[[Redis], object], Callable[[Redis], object]]] = {
    "read-only": (
        lambda redis: redis.execute_command("REPLICAOF", "127.0.0.1", "1"),
        lambda redis: redis.execute_command("REPLICAOF", "NO", "ONE"),
    ),
    "full": (lambda redis: redis.config_set("maxmemory", 1), lambda redis: redis.config_set("maxmemory", 0)),
    "without replicas": (
        lambda redis: redis.config_set("min-replicas-to-write", 1),
        lambda redis: redis.config_set("min-replicas-to-write", 0),
    ),
}


@contextmanager
def refusing(redis: Redis, how: str) -> Iterator[None]:
    """Redis refuses writes."""
    REFUSALS[how][0](redis)
    try:
        yield
    finally:
        REFUSALS[how][1](redis)


@pytest.mark.parametrize("how", REFUSALS)
def test_an_outage_takes_no_attempt_from_a_job_that_fails_in_it(
    how: str, open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is decided and logged once, and written when Redis takes it: as a retry, or a dead letter with all it had."""
    jobs, redis = Jobs(), open_workplace(Jobs()).redis
    outage = refusing(redis, how)
    all_run = threading.Barrier(3, outage.__enter__)

    def fail(error: Exception) -> Callable[[ApiCall], None]:
        def function(event: ApiCall) -> None:  # noqa: ARG001
            all_run.wait(10)
            raise error

        return function

    jobs.on(ApiCall, attempts=8, name="plain")(fail(OSError()))
    jobs.on(ApiCall, attempts=8, name="guarded", breaker=Breaker(failures=2, pause=60))(fail(OSError()))
    jobs.on(ApiCall, attempts=8, name="given_up")(fail(Discard("no")))
    monkeypatch.setattr("workers.worker.outcomes.AGAIN_SECONDS", 0.05)
    workplace, event = open_workplace(jobs), api_call()
    workplace.put_jobs(event)

    note, refusals = WorkerOutage.record_error, []

    def count(self: WorkerOutage, error: Exception, *arguments: Any) -> bool:
        refusals.append(error)
        return note(self, error, *arguments)

    monkeypatch.setattr(WorkerOutage, "record_error", count)
    with capture_logs() as logs, ended_when(lambda: len(refusals) >= 9, outage):
        workplace.work()

    plain, guarded, given_up = (workplace.job(event, name) for name in ("plain", "guarded", "given_up"))
    assert sorted(workplace.queue().scheduled_job_registry.get_job_ids()) == sorted([plain.id, guarded.id])
    assert [(job.meta["attempt"], job.retries_left) for job in (plain, guarded)] == [(1, 6)] * 2
    assert redis.get("deskbell:failures:guarded") == b"1"
    assert workplace.queue().failed_job_registry.get_job_ids() == [given_up.id]
    assert given_up.meta["attempts"] == 8
    events = [line["event"] for line in logs]
    assert [events.count(event) for event in ("attempt", "redis_away", "redis_back")] == [3, 1, 1]
    assert not {"outcome_not_written", "maintenance_failed"} & set(events)
    assert "failed to persist" not in caplog.text
    assert redis.zcard("rq:wip:default") == 0


def test_an_outage_drops_the_connections_that_lie_idle(redis: Redis, make_settings: SettingsFactory) -> None:
    """Each may lead to a server that is gone, or that has been replaced; also one made while the outage lasts."""
    with connect(make_settings()) as ours:
        outage = WorkerOutage(ours)
        for _ in range(2):
            with ours.pipeline() as one, ours.pipeline() as other:
                one.watch("a")
                other.watch("a")
                idle = {str(one.client_id()), str(other.client_id())}
            outage.record_error(RedisConnectionError())

            assert len(idle) == 2
            until(partial(_are_gone, redis, idle))


def _are_gone(redis: Redis, clients: set[str]) -> bool:
    return not {each["id"] for each in redis.client_list()} & clients


@pytest.mark.parametrize("how", REFUSALS)
def test_an_outage_in_the_middle_of_a_fan_out_takes_none_of_the_events_retries(
    how: str, open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that a fan-out asks is Redis: it is not the event's fault. One that is full takes what was claimed."""
    jobs, ran = Jobs(), []

    @jobs.on(ApiCall)
    def count(event: ApiCall) -> None:
        ran.append(event.id)

    workplace, event = open_workplace(jobs), api_call()
    outage, begun = refusing(workplace.redis, how), threading.Event()

    def begin(*arguments: Any) -> Any:
        if not begun.is_set():
            outage.__enter__()
            begun.set()
        return prepare_fan_out(*arguments)

    monkeypatch.setattr("workers.worker.call.prepare_fan_out", begin)
    note, refusals = WorkerOutage.record_error, []

    def count_refusals(self: WorkerOutage, error: Exception, *arguments: Any) -> bool:
        refusals.append(error)
        return note(self, error, *arguments)

    monkeypatch.setattr(WorkerOutage, "record_error", count_refusals)
    workplace.put_event(event)
    with ended_when(lambda: len(refusals) >= 2 or workplace.queue().count == 1, outage):
        workplace.work(EVENTS)
    done = fetch(workplace.redis, event.id)
    workplace.work()

    assert (done.get_status(), done.retries_left) == ("finished", EVENT_RETRIES)
    assert ran == [event.id]


def test_a_failure_is_written_though_its_lease_ran_out_in_the_outage(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other worker has reaped the job: its lease is renewed, and its dead letter has the cause of its failure."""
    jobs = Jobs()
    redis: Redis

    @jobs.on(ApiCall, attempts=1)
    def fail(event: ApiCall) -> None:  # noqa: ARG001
        redis.delete(*redis.scan_iter("rq:execution:*"))
        raise OSError

    monkeypatch.setattr("workers.worker.outcomes.AGAIN_SECONDS", 0.05)
    workplace, event = open_workplace(jobs, abandoned_seconds=5), api_call()
    redis = workplace.redis
    workplace.put_jobs(event)

    with capture_logs() as logs:
        workplace.work()

    assert workplace.queue().failed_job_registry.get_job_ids() == [workplace.job(event, "fail").id]
    assert "OSError" in traceback_of(workplace.job(event, "fail"))
    assert len([line for line in logs if line["event"] == "attempt"]) == 1
    assert not [line for line in logs if line["event"] == "lease_lost"]


@contextmanager
def ended_when(condition: Callable[[], bool], outage: Any) -> Iterator[None]:
    """End an outage from a thread, when a condition has come about."""

    def end() -> None:
        try:
            until(condition)
        finally:
            outage.__exit__(None, None, None)

    thread = threading.Thread(target=end)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.parametrize("how", REFUSALS)
def test_what_a_server_refuses_for_reasons_of_its_own_is_an_outage(how: str, redis: Redis) -> None:
    """Alone, in a transaction, and in a script."""

    def transact() -> None:
        with redis.pipeline() as pipeline:
            pipeline.set("a", "caused error: WRONGTYPE")
            pipeline.get("a")
            pipeline.execute()

    writes: list[Callable[[], Any]] = [
        lambda: redis.set("a", "b"),
        transact,
        lambda: redis.eval("return redis.call('SET', 'a', 'b')", 0),
    ]
    with refusing(redis, how):
        errors = [error_of(write) for write in writes]

    assert [is_transient(error) for error in errors] == [True] * 3


def test_what_a_server_refuses_because_of_its_keys_is_none(redis: Redis) -> None:
    """It would be refused for ever."""
    redis.set("a", "text, caused error: OOM")

    def transact() -> None:
        with redis.pipeline() as pipeline:
            pipeline.rpush("a", "caused error: OOM")
            pipeline.execute()

    writes: list[Callable[[], Any]] = [
        lambda: redis.rpush("a", "b"),
        transact,
        lambda: redis.incr("a"),
        lambda: redis.eval("return redis.call('INCR', 'a')", 0),
        lambda: redis.eval("return redis.call('RPUSH', 'a', 'b')", 0),
        lambda: redis.eval("return nil + 1", 0),
    ]

    assert [is_transient(error_of(write)) for write in writes] == [False] * 6


def error_of(call: Callable[[], Any]) -> RedisError:
    """What a call of Redis raises."""
    with pytest.raises(RedisError) as raised:
        call()
    return raised.value


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RedisConnectionError("gone"), True),
        (RedisTimeoutError("late"), True),
        (ExecAbortError("Transaction discarded because of: READONLY", status_code="EXECABORT"), True),
        (ResponseError("MISCONF Redis is configured to save"), True),
        (ValueError("no date"), False),
        (OSError("a date beyond all"), False),
    ],
    ids=str,
)
def test_other_errors_are_told_apart(error: Exception, expected: bool) -> None:
    """By what they are."""
    assert is_transient(error) is expected


def test_a_worker_that_was_frozen_with_an_answer_begins_nothing_of_it(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs may be another's by then; those that are still its own are released, and no attempt is lost."""
    jobs, ran = Jobs(), []

    @jobs.on(ApiCall, attempts=3)
    def count(event: ApiCall) -> None:  # noqa: ARG001
        job = get_current_job()
        assert job
        ran.append(job.meta["attempt"])

    workplace = open_workplace(jobs)
    put(workplace)
    call, froze = AsyncScript.__call__, list[int]()

    async def freeze(self: AsyncScript, keys: Any = None, args: Any = None, client: Any = None) -> Any:
        answer = await call(self, keys, args, client)
        if keys and answer[CLAIMED_AT] and not froze:
            froze.append(1)
            monkeypatch.setattr(executions_module, "time", Mock(monotonic=lambda: time.monotonic() + 3600))
        return answer

    monkeypatch.setattr(AsyncScript, "__call__", freeze)
    workplace.work()

    assert (ran, froze) == ([1], [1])


def test_an_unforeseen_error_does_not_end_the_worker(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged, and the worker claims again."""
    jobs, ran = Jobs(), []

    @jobs.on(ApiCall)
    def count(event: ApiCall) -> None:
        ran.append(event.id)

    workplace = open_workplace(jobs)
    put(workplace)
    claim, errors = Leases.claim, [ValueError()]

    async def stumble(self: Leases, *arguments: Any) -> Any:
        if errors:
            raise errors.pop()
        return await claim(self, *arguments)

    monkeypatch.setattr(Leases, "claim", stumble)
    with capture_logs() as logs:
        workplace.work()

    assert len(ran) == 1
    assert [line["error"] for line in logs if line["event"] == "not_claimed"] == ["ValueError"]


def test_a_worker_is_made_while_redis_is_away(open_workplace: WorkplaceFactory) -> None:
    """Redis may go away after it has answered that it is there; registering waits for it."""
    performer = open_workplace(Jobs()).performer

    with Redis(port=1, retry=Retry(NoBackoff(), 0)) as nowhere:
        worker = ConcurrentWorker(["default"], performer, nowhere)

    assert worker.ip_address == "unknown"
