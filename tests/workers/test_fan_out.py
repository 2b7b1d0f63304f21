import json
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from rq import Retry
from rq.job import Job
from rq.serializers import JSONSerializer

from deskbell import ApiCall, Event, Jobs, OtherEvent
from deskbell.testing import api_call
from shared.jobs.job_type import JobType
from shared.redis.connections import connect
from shared.redis.queues import EVENTS, FAN_OUT, PERFORM
from shared.wire.commands import received
from tests.conftest import SettingsFactory, WorkplaceFactory
from tests.logged import capture_logs
from tests.waiting import DEADLINE_SECONDS, until
from tests.workers.claiming import put_job
from tests.workers.running import Workplace, fetch, running_worker, signals_kept
from workers.flow.ordering import arrival_of
from workers.retries import rq_retry
from workers.worker.worker import ConcurrentWorker

SECRET = "planted-4711"
_AT_ONCE = 128


def two_jobs() -> Jobs:
    """Job types of two queues that want every event."""
    jobs = Jobs()

    @jobs.on(Event, queue="crm")
    def contact(event: Event) -> None: ...

    @jobs.on(Event, queue="analytics")
    def row(event: Event) -> None: ...

    return jobs


def waiting(workplace: Workplace) -> dict[str, list[str]]:
    """The ids on the queues of `two_jobs`, without the event's."""
    return {name: [job_id[33:] for job_id in workplace.queue(name).job_ids] for name in ("crm", "analytics")}


ONE_SET = {"crm": ["contact"], "analytics": ["row"]}


def test_each_wanted_job_type_gets_one_job_on_its_own_queue(open_workplace: WorkplaceFactory) -> None:
    """The event class, the node and `when` select; those that do not fit get none."""
    jobs = Jobs()

    @jobs.on(ApiCall, node="order_status", queue="crm")
    def enquiry(event: ApiCall) -> None: ...

    @jobs.on(Event, queue="analytics", name="analytics.row")
    def row(event: Event) -> None: ...

    @jobs.on(ApiCall, when={"type": "1"}, queue="crm")
    def of_type_one(event: ApiCall) -> None: ...

    @jobs.on(ApiCall, node="refund", queue="crm")
    def refund(event: ApiCall) -> None: ...

    @jobs.on(OtherEvent, queue="crm")
    def other(event: OtherEvent) -> None: ...

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call("order_status", type="1"))

    assert workplace.queue("crm").job_ids == [f"{event.id}-enquiry", f"{event.id}-of_type_one"]
    assert workplace.queue("analytics").job_ids == [f"{event.id}-analytics-row"]
    assert event.id in workplace.queue(EVENTS).finished_job_registry


def test_an_event_that_nobody_wants_is_done(open_workplace: WorkplaceFactory) -> None:
    """No job type is no failure."""
    workplace = open_workplace(Jobs())
    event = received({"CallbackCommand": "Member.EventNotify"}, app_id="1400000001")

    workplace.put_jobs(event)

    assert event.id in workplace.queue(EVENTS).finished_job_registry


def test_an_event_that_is_queued_again_after_its_jobs_have_run_starts_none(open_workplace: WorkplaceFactory) -> None:
    """RQ runs a job again when a worker dies after its work; the mark outlives the jobs."""
    jobs, ran = Jobs(), []

    @jobs.on(ApiCall)
    def count(event: ApiCall) -> None:
        ran.append(event.id)

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call())
    workplace.work()

    with capture_logs() as logs:
        workplace.queue(EVENTS).enqueue_job(fetch(workplace.redis, event.id))
        workplace.work(EVENTS)
        workplace.work()

    assert ran == [event.id]
    assert [line["outcome"] for line in logs if line["event"] == "fan_out"] == ["done_before"]


def test_two_workers_that_fan_out_one_event_at_once_make_one_set(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have found no mark when they write; the transaction of one of them fails, and it looks again."""
    both_found_no_mark = threading.Barrier(2, timeout=10)
    looked = threading.local()

    def wait_for_both(*arguments: Any) -> Any:
        if not hasattr(looked, "once"):
            looked.once = True
            both_found_no_mark.wait()
        return arrival_of(*arguments)

    monkeypatch.setattr("workers.fan_out.arrival_of", wait_for_both)
    workplace = open_workplace(two_jobs())
    event = api_call()
    workplace.put_event(event)
    job_class = workplace.job_class

    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(job_class.fetch(event.id, connection=workplace.redis, serializer=JSONSerializer).perform)
            for _ in range(2)
        ]
        for run in runs:
            run.result()

    assert waiting(workplace) == ONE_SET


def test_a_fan_out_that_dies_half_way_has_written_nothing(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs and the mark are one transaction: the next run makes all of them."""
    workplace = open_workplace(two_jobs())
    event = api_call()

    def die_at_the_second(job_type: JobType) -> Any:
        if job_type.name == "row":
            raise SystemExit
        return rq_retry(job_type)

    monkeypatch.setattr("workers.fan_out.rq_retry", die_at_the_second)
    workplace.put_jobs(event)
    left_behind = waiting(workplace), workplace.redis.exists(f"rq:job:{event.id}-contact")
    monkeypatch.undo()
    workplace.make_due(EVENTS)
    workplace.work(EVENTS)

    assert left_behind == ({"crm": [], "analytics": []}, 0)
    assert waiting(workplace) == ONE_SET


def lost(execute: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
    """`Pipeline.execute` whose connection breaks once, in the transaction of a fan-out."""
    breaks = [True]

    def break_once(pipeline: Pipeline, *arguments: Any) -> Any:
        if not (breaks and "fanned_out" in str(pipeline.command_stack)):
            return execute(pipeline, *arguments)
        breaks.clear()
        if not before:
            execute(pipeline, *arguments)
        raise RedisConnectionError("lost")

    return break_once


@pytest.mark.parametrize("before", [True, False], ids=["before it is done", "before its answer comes"])
def test_a_connection_lost_in_the_transaction_neither_loses_nor_doubles_jobs(
    before: bool, open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ saves the event's job with its retry: the mark must be on Redis if, and only if, the jobs are."""
    workplace = open_workplace(two_jobs())
    event = api_call()
    monkeypatch.setattr(Pipeline, "execute", lost(Pipeline.execute, before=before))

    with capture_logs() as logs:
        workplace.put_jobs(event)
        workplace.make_due(EVENTS)
        workplace.work(EVENTS)

    outcomes = [line["outcome"] for line in logs if line["event"] == "fan_out"]
    assert outcomes == ["failed", "done" if before else "done_before"]
    assert waiting(workplace) == ONE_SET


def test_an_event_that_cannot_be_read_is_tried_again_and_says_so_without_its_values(
    open_workplace: WorkplaceFactory,
) -> None:
    """Nothing fails silently, and no value reaches the log."""
    workplace = open_workplace(two_jobs())
    events = workplace.queue(EVENTS)
    job = events.create_job(FAN_OUT, args=[{"command": SECRET}], description="?", retry=Retry(max=1, interval=60))

    with capture_logs() as logs:
        events.enqueue_job(job)
        workplace.work(EVENTS)

    assert [(line["outcome"], line["error"]) for line in logs if line["event"] == "fan_out"] == [("failed", "KeyError")]
    assert SECRET not in str(logs)
    assert job.id in events.scheduled_job_registry


def test_a_job_holds_the_event_as_json_and_the_chosen_name_and_is_kept_for_ever_when_it_dies(
    open_workplace: WorkplaceFactory,
) -> None:
    """Names on the wire are chosen, never import paths of the integrator's; data is JSON, never pickle."""
    jobs = Jobs()

    @jobs.on(ApiCall, name="crm.enquiry", queue="crm", timeout=30)
    def enquiry(event: ApiCall) -> None: ...

    @jobs.on(ApiCall, name="crm.async_enquiry", queue="crm", timeout=30)
    async def async_enquiry(event: ApiCall) -> None: ...

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call("order_status", OrderID="1002"))

    plain, asynchronous = workplace.job(event, "crm.enquiry"), workplace.job(event, "crm.async_enquiry")
    stored = workplace.redis.hgetall(plain.key)[b"data"]
    assert isinstance(stored, bytes)
    assert json.loads(zlib.decompress(stored)) == [PERFORM, None, ["crm.enquiry", event.to_wire()], {}]
    assert plain.timeout == 30
    assert asynchronous.timeout == 35, "the event loop is first"
    assert plain.failure_ttl == asynchronous.failure_ttl == -1


def test_a_job_is_what_rq_itself_writes(open_workplace: WorkplaceFactory) -> None:
    """Field by field what `Queue.enqueue` writes; only times and chance differ."""
    jobs = Jobs()

    @jobs.on(ApiCall, queue="crm", attempts=3, timeout=30, keep=900)
    def enquiry(event: ApiCall) -> None: ...

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call())
    ours = workplace.redis.hgetall(Job.key_for(f"{event.id}-enquiry"))
    workplace.queue("crm").enqueue(
        PERFORM,
        args=["enquiry", event.to_wire()],
        job_id="theirs",
        description="enquiry",
        job_timeout=30,
        failure_ttl=-1,
        result_ttl=900,
        retry=Retry(max=2, interval=[1, 2]),
    )
    theirs = workplace.redis.hgetall(Job.key_for("theirs"))

    by_chance = {b"created_at", b"enqueued_at", b"retry_intervals"}
    assert ours.keys() == theirs.keys() >= by_chance
    assert {name for name in ours if ours[name] != theirs[name]} <= by_chance
    assert workplace.queue("crm").job_ids == [f"{event.id}-enquiry", "theirs"]
    assert b"rq:queue:crm" in workplace.redis.smembers("rq:queues")


def test_descriptions_ids_and_logs_hold_no_value(open_workplace: WorkplaceFactory) -> None:
    """RQ's own description would be the arguments: what a customer wrote, on every dashboard."""
    workplace = open_workplace(two_jobs())
    event = api_call("order_status", OrderID=SECRET, SystemClientUserID=SECRET)

    with capture_logs() as logs:
        workplace.put_jobs(event)

    descriptions = [workplace.job(event, name).description for name in ("contact", "row")]
    assert descriptions == ["contact", "row"]
    assert not [key for key in workplace.redis.scan_iter() if SECRET.encode() in key]
    assert logs
    assert SECRET not in str(logs)


def test_as_many_fan_outs_as_there_are_slots_find_a_connection(
    open_workplace: WorkplaceFactory, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds one while it watches, and no other: redis-py's pools have room for a hundred by default."""
    workplace = open_workplace(two_jobs())
    for _ in range(_AT_ONCE):
        workplace.put_event(api_call("x"))
    ours = connect(make_settings())
    all_hold_one = threading.Barrier(_AT_ONCE)
    held: list[int] = []

    def wait_for_all(*arguments: Any) -> Any:
        all_hold_one.wait(DEADLINE_SECONDS)
        held.append(len(ours.connection_pool._in_use_connections))
        all_hold_one.wait(DEADLINE_SECONDS)
        return arrival_of(*arguments)

    monkeypatch.setattr("workers.fan_out.arrival_of", wait_for_all)
    with ours, signals_kept(), capture_logs() as logs:
        ConcurrentWorker([EVENTS], workplace.performer, ours, concurrency=_AT_ONCE).run(burst=True)

    fan_outs = [line["outcome"] for line in logs if line["event"] == "fan_out"]
    assert fan_outs == ["done"] * _AT_ONCE
    assert max(held) < _AT_ONCE + 16


MANY_QUEUES = """
from deskbell import ApiCall, Jobs

jobs = Jobs()

for number in range(120):

    @jobs.on(ApiCall, name=f"job_{number}", queue=f"q{number}")
    async def job(event: ApiCall) -> None: ...
"""


def test_a_worker_of_many_idle_queues_still_claims(
    open_workplace: WorkplaceFactory, valkey_url: str, tmp_path: Path
) -> None:
    """Each queue that is waited for has a connection of its own; there is one left for the work."""
    workplace = open_workplace(Jobs())
    queues = [f"q{number}" for number in range(120)]
    with running_worker(tmp_path, MANY_QUEUES, valkey_url, *queues):
        until(lambda: len([one for one in workplace.redis.client_list() if one["cmd"] == "blmove"]) == len(queues))
        job_id = put_job(workplace, "job_119", "q119")

        until(lambda: fetch(workplace.redis, job_id).is_finished)
