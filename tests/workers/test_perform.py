"""The entry point of jobs.

Long, because one file holds what one module promises, each rule with a test that reads alone.
"""

import asyncio
import threading
import time
from typing import Any

import pytest
from rq import get_current_job
from rq.job import requeue_job
from rq.serializers import JSONSerializer

from deskbell import ApiCall, Jobs, Retry
from deskbell.testing import api_call
from tests.conftest import WorkplaceFactory
from tests.logged import capture_logs
from tests.waiting import DEADLINE_SECONDS, eventually
from tests.workers.running import traceback_of
from workers import fan_out
from workers.worker.leases import Claimed, Leases

SECRET = "planted-4711"


def attempt_now() -> int:
    """The number of the attempt that is being made, from inside a job function."""
    job = get_current_job()
    assert job
    return int(job.meta["attempt"])


def test_a_job_function_is_given_the_event_that_came(open_workplace: WorkplaceFactory) -> None:
    """What Redis carried is typed again, and equal to what was accepted, its answer included."""
    jobs, given = Jobs(), []

    @jobs.on(ApiCall)
    def plain(event: ApiCall) -> None:
        given.append(event)

    @jobs.on(ApiCall)
    async def asynchronous(event: ApiCall) -> None:
        given.append(event)

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call("order_status", OrderID="1002", SystemClientUserID="user517"))
    workplace.work()

    assert given == [event, event]
    assert workplace.job(event, "plain").is_finished
    assert workplace.job(event, "asynchronous").is_finished


def test_asynchronous_jobs_share_an_event_loop_but_not_their_context(open_workplace: WorkplaceFactory) -> None:
    """A client that one job opens serves the next; RQ's current job is each time this one."""
    jobs, loops, ids = Jobs(), set(), []

    @jobs.on(ApiCall)
    async def look(event: ApiCall) -> None:
        job = get_current_job()
        assert job
        loops.add(asyncio.get_running_loop())
        ids.append((event.id, job.id))

    workplace = open_workplace(jobs)
    events = [api_call(), api_call()]

    for event in events:
        workplace.put_jobs(event)
    workplace.work()

    assert len(loops) == 1
    assert ids == [(event.id, f"{event.id}-look") for event in events]


def test_attempts_count_from_one_and_wait_in_rqs_schedule_until_they_are_exhausted(
    open_workplace: WorkplaceFactory,
) -> None:
    """A failing job is scheduled with a growing wait, then a dead letter with its traceback, for ever."""
    jobs, attempts, waits = Jobs(), [], []

    @jobs.on(ApiCall, attempts=3)
    def fail(event: ApiCall) -> None:  # noqa: ARG001
        attempts.append(attempt_now())
        raise OSError("the database is away")

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call())
    default = workplace.queue()

    for _ in range(2):
        workplace.work()
        ended = workplace.job(event, "fail").ended_at
        assert ended
        waits.append((default.scheduled_job_registry.get_scheduled_time(f"{event.id}-fail") - ended).total_seconds())
        workplace.make_due()
    workplace.work()

    assert attempts == [1, 2, 3]
    assert 1 <= waits[0] <= 3
    assert 2 <= waits[1] <= 5
    assert default.scheduled_job_registry.get_job_ids() == []
    assert default.failed_job_registry.get_job_ids() == [f"{event.id}-fail"]
    job = workplace.job(event, "fail")
    assert job.is_failed
    assert "OSError: the database is away" in traceback_of(job)
    assert "in fail" in traceback_of(job)
    assert workplace.redis.ttl(job.key) == -1


def test_retry_at_once_does_not_wait(open_workplace: WorkplaceFactory) -> None:
    """`Retry(after=0)` goes back on the queue, and its attempts end too."""
    jobs, attempts = Jobs(), []

    @jobs.on(ApiCall, attempts=4)
    def at_once(event: ApiCall) -> None:  # noqa: ARG001
        attempts.append(attempt_now())
        raise Retry(after=0)

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call())
    workplace.work()

    assert attempts == [1, 2, 3, 4]
    assert workplace.job(event, "at_once").is_failed


def test_a_burst_does_not_end_on_an_answer_that_is_older_than_the_last_jobs_end(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim may find nothing, and the job under way meanwhile queue its retry and end."""
    jobs, attempts = Jobs(), []

    @jobs.on(ApiCall, attempts=2)
    def at_once(event: ApiCall) -> None:  # noqa: ARG001
        attempts.append(attempt_now())
        raise Retry(after=0)

    claim = Leases.claim

    async def claim_late(self: Leases, *arguments: Any) -> Claimed:
        claimed = await claim(self, *arguments)
        if not claimed.leases:
            await eventually(lambda: not workplace.redis.zcard("rq:wip:default"))
        return claimed

    workplace = open_workplace(jobs)
    workplace.put_jobs(api_call())
    monkeypatch.setattr(Leases, "claim", claim_late)

    workplace.work()

    assert attempts == [1, 2]


def test_a_dead_letter_that_is_requeued_has_all_its_attempts(open_workplace: WorkplaceFactory) -> None:
    """RQ's own `requeue` leaves its count of retries at none; ours begins at 1."""
    jobs, attempts = Jobs(), []

    @jobs.on(ApiCall, attempts=2)
    def repair(event: ApiCall) -> None:  # noqa: ARG001
        attempts.append(attempt_now())
        if len(attempts) < 4:
            raise OSError

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call())
    while len(attempts) < 4:
        workplace.work()
        workplace.make_due()
        for job_id in workplace.queue().failed_job_registry.get_job_ids():
            requeue_job(job_id, workplace.redis, serializer=JSONSerializer)

    workplace.work()

    assert attempts == [1, 2, 1, 2]
    assert workplace.job(event, "repair").is_finished
    assert workplace.queue().failed_job_registry.get_job_ids() == []


def test_an_asynchronous_job_out_of_time_is_cancelled(open_workplace: WorkplaceFactory) -> None:
    """The event loop cancels it on time, so that it can put its things in order; then it is tried again."""
    jobs, tidied = Jobs(), []

    @jobs.on(ApiCall, timeout=1)
    async def hang(event: ApiCall) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            tidied.append(event.id)

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call())

    with capture_logs() as logs:
        workplace.work()

    assert tidied == [event.id]
    assert [(line["outcome"], line["error"]) for line in logs if "outcome" in line] == [("retry", "TimeoutError")]
    assert workplace.queue().scheduled_job_registry.get_job_ids() == [f"{event.id}-hang"]


def test_a_plain_job_out_of_time_has_failed_though_its_thread_goes_on(open_workplace: WorkplaceFactory) -> None:
    """A `def` that hangs costs its attempt and its thread, not the worker."""
    jobs = Jobs()

    @jobs.on(ApiCall, timeout=1, attempts=1)
    def hang(event: ApiCall) -> None:  # noqa: ARG001
        threading.Event().wait(DEADLINE_SECONDS)

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call())

    with capture_logs() as logs:
        workplace.work()

    assert [(line["outcome"], line["error"]) for line in logs if "outcome" in line] == [("dead", "JobTimeoutException")]
    assert "exceeded maximum timeout value (1 seconds)" in traceback_of(workplace.job(event, "hang"))


def test_a_coroutine_that_does_not_heed_its_cancellation_is_given_up(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs its attempt when the job's own time-out is over, too; the others run on meanwhile."""
    monkeypatch.setattr(fan_out, "BACKSTOP_SECONDS", 1)
    jobs, ran = Jobs(), []

    @jobs.on(ApiCall, timeout=1, attempts=1, node="stubborn")
    async def stubborn(event: ApiCall) -> None:  # noqa: ARG001
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ran.append("cancelled")

    @jobs.on(ApiCall, node="next")
    async def following(event: ApiCall) -> None:  # noqa: ARG001
        ran.append("following")

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call("stubborn"))
    workplace.put_jobs(api_call("next"))

    workplace.work()

    assert ran == ["following", "cancelled"]
    assert "JobTimeoutException" in traceback_of(workplace.job(event, "stubborn"))


def test_a_coroutine_that_blocks_the_event_loop_is_ended_where_it_stands(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs its attempt; the jobs that stood still meanwhile go on."""
    monkeypatch.setattr(fan_out, "BACKSTOP_SECONDS", 0)
    jobs, ran = Jobs(), []

    @jobs.on(ApiCall, timeout=1, attempts=1, node="blocks")
    async def block(event: ApiCall) -> None:  # noqa: ARG001
        time.sleep(DEADLINE_SECONDS)  # noqa: ASYNC251 - what must not be done, and is

    @jobs.on(ApiCall, timeout=DEADLINE_SECONDS, node="waits")
    async def wait(event: ApiCall) -> None:
        await asyncio.sleep(0.01)
        ran.append(event.node)

    workplace = open_workplace(jobs)
    event = api_call("blocks")
    for each in (api_call("waits"), event):
        workplace.put_jobs(each)

    workplace.work()

    assert ran == ["waits"]
    assert "blocked the event loop" in traceback_of(workplace.job(event, "block"))
    assert "in block" in traceback_of(workplace.job(event, "block"))


def test_a_coroutine_that_ends_well_in_spite_of_its_cancellation_has_done_its_work(
    open_workplace: WorkplaceFactory,
) -> None:
    """What was done late is done: it is not run a second time."""
    jobs = Jobs()

    @jobs.on(ApiCall, timeout=1)
    async def late(event: ApiCall) -> None:  # noqa: ARG001
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call())

    workplace.work()

    assert workplace.job(event, "late").is_finished


def test_each_attempt_is_one_log_line_without_values(open_workplace: WorkplaceFactory) -> None:
    """Event, command, node, job, attempt, outcome and time; an error is its type and stack frames, never its text."""
    jobs = Jobs()

    @jobs.on(ApiCall, attempts=2)
    def quote(event: ApiCall) -> None:
        if attempt_now() == 1:
            raise ValueError(event.variables["OrderID"])

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call("order_status", OrderID=SECRET))

    with capture_logs() as logs:
        workplace.work()
        workplace.make_due()
        workplace.work()

    common = {"event": "attempt", "job": "quote", "node": "order_status"}
    assert [line.items() >= common.items() for line in logs] == [True, True]
    assert [line["log_level"] for line in logs] == ["warning", "info"]
    assert [(line["event_id"], line["command"]) for line in logs] == [(event.id, event.command)] * 2
    assert [(line["attempt"], line["outcome"]) for line in logs if "outcome" in line] == [(1, "retry"), (2, "done")]
    assert all(line["ms"] >= 0 for line in logs)
    assert logs[0]["error"] == "ValueError"
    assert SECRET not in str(logs)
