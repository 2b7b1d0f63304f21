"""Failures that RQ's code writes while a worker renews its lease, or Redis refuses: judged once, counted once."""

import logging.config
from typing import Any

import pytest
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ResponseError
from rq import get_current_job
from rq.job import JobStatus
from rq.worker import BaseWorker

from deskbell import ApiCall, Jobs, Retry
from deskbell.testing import api_call
from shared.errors import OutOfTurnError
from tests.conftest import WorkplaceFactory
from tests.logged import capture_logs


def failing(attempts: int) -> Jobs:
    """A job type whose jobs fail."""
    jobs = Jobs()

    @jobs.on(ApiCall, attempts=attempts)
    def fail(event: ApiCall) -> None:  # noqa: ARG001
        raise OSError

    return jobs


@pytest.mark.parametrize("times", [1, 2])
def test_a_lease_that_is_renewed_while_a_failure_is_written_costs_no_attempt(
    times: int, open_workplace: WorkplaceFactory, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction watches the execution, and is written again: the job has the retries that it had."""
    execute, renewals = Pipeline.execute, list(range(times))

    def renew_before(pipeline: Any, *arguments: Any) -> Any:
        if renewals and pipeline.watching and (executions := redis.keys("rq:execution:*-fail:*")):
            redis.hset(executions[0], "last_heartbeat", renewals.pop())
        return execute(pipeline, *arguments)

    workplace, event = open_workplace(failing(attempts=3)), api_call()
    workplace.put_jobs(event)
    monkeypatch.setattr(Pipeline, "execute", renew_before)

    with capture_logs() as logs:
        workplace.work()

    job = workplace.job(event, "fail")
    assert not renewals
    assert (job.get_status(), job.retries_left, job.meta["attempt"]) == (JobStatus.SCHEDULED, 1, 1)
    assert [line["event"] for line in logs] == ["attempt"]


def test_a_failure_that_redis_refuses_is_written_later_with_the_same_retries(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says that Redis is away, and not that the failure is lost, whatever an integrator configures."""
    execute = Pipeline._execute_transaction  # noqa: SLF001 - a transaction is refused nowhere else
    refusals = ["NOREPLICAS Not enough good replicas to write."]

    def refuse(pipeline: Any, *arguments: Any) -> Any:
        if refusals and "rq:scheduled:default" in str(arguments):
            raise ResponseError(refusals.pop())
        return execute(pipeline, *arguments)

    workplace, event = open_workplace(failing(attempts=2)), api_call()
    workplace.put_jobs(event)
    monkeypatch.setattr(Pipeline, "_execute_transaction", refuse)
    logging.config.dictConfig({"version": 1, "incremental": False, "disable_existing_loggers": False})

    workplace.work()

    job = workplace.job(event, "fail")
    assert not refusals
    assert (job.get_status(), job.retries_left) == (JobStatus.SCHEDULED, 0)
    assert "failed to persist" not in caplog.text


@pytest.mark.parametrize(("error", "count"), [(OutOfTurnError("not yet"), 0), (OSError(), 1), (Retry(after=9), 1)])
def test_a_job_that_waits_for_its_turn_is_not_counted_as_failed(
    error: Exception, count: int, open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rq info` and rq-dashboard show how many jobs of a worker have failed."""
    jobs, counted = Jobs(), []

    @jobs.on(ApiCall)
    def call(event: ApiCall) -> None:  # noqa: ARG001
        raise error

    workplace, event = open_workplace(jobs), api_call()
    workplace.put_jobs(event)
    monkeypatch.setattr(BaseWorker, "increment_failed_job_count", lambda *_: counted.append(1))

    workplace.work()

    assert workplace.job(event, "call").get_status() == JobStatus.SCHEDULED
    assert len(counted) == count


def test_a_job_whose_outcome_rq_cannot_write_is_a_dead_letter_without_the_rest_of_its_hash(
    open_workplace: WorkplaceFactory,
) -> None:
    """What its function put into `meta` is no JSON: it is dropped and logged, and the job does not stay started."""
    jobs = Jobs()

    @jobs.on(ApiCall, attempts=3)
    def fail(event: ApiCall) -> None:  # noqa: ARG001
        job = get_current_job()
        assert job
        job.meta["seen"] = object()
        raise OSError

    workplace, event = open_workplace(jobs), api_call()
    workplace.put_jobs(event)

    with capture_logs() as logs:
        workplace.work()

    job = workplace.job(event, "fail")
    assert (job.get_status(), job.meta, job.args[0]) == (JobStatus.FAILED, {}, "fail")
    assert [line["event"] for line in logs] == ["attempt", "job_reset"]
