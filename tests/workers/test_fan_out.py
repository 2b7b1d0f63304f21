import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from rq import Retry
from rq.job import Dependency, Job
from rq.serializers import JSONSerializer

from deskbell import ApiCall, Event, Jobs, OtherEvent
from deskbell.testing import api_call
from shared.redis.job_data import read_data
from shared.redis.queues import EVENTS, FAN_OUT, PERFORM
from shared.wire.commands import received
from tests.conftest import WorkplaceFactory
from tests.logged import capture_logs
from tests.waiting import until
from tests.workers.claiming import claim_all, expire, put_job, worker_of
from tests.workers.running import Workplace, fetch, running_worker
from workers.fan_out import FanOut, prepare_fan_out
from workers.lease import Lease
from workers.worker.leases import Acked, Leases

SECRET = "planted-4711"


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


def test_an_event_that_a_stock_worker_fanned_out_before_it_died_starts_no_second_set(
    open_workplace: WorkplaceFactory,
) -> None:
    """A stock worker acks an event some time after it has written the jobs; the mark is written with them."""
    workplace = open_workplace(two_jobs())
    event = api_call()
    workplace.put_event(event)

    with capture_logs() as logs:
        for _ in range(2):
            workplace.job_class.fetch(event.id, connection=workplace.redis, serializer=JSONSerializer).perform()
        workplace.work(EVENTS)

    assert waiting(workplace) == ONE_SET
    assert [line["outcome"] for line in logs if line["event"] == "fan_out"] == ["done", "done_before", "done_before"]


def test_a_worker_that_has_lost_an_events_lease_makes_no_jobs(
    open_workplace: WorkplaceFactory, valkey_url: str
) -> None:
    """The jobs are written by the ack, which is fenced: another worker may have made them, and they may have run."""
    workplace = open_workplace(two_jobs())
    event = api_call()
    workplace.put_event(event)

    with worker_of(workplace, valkey_url, "frozen") as frozen, worker_of(workplace, valkey_url, "other") as other:
        old = claim_all(frozen, EVENTS)
        expire(workplace.redis, EVENTS)
        other(lambda theirs: theirs.reap(EVENTS))
        acked = frozen(lambda ours: ours.ack([(old[0], prepare_fan_out(workplace.jobs, event.to_wire()))]))

    assert acked.lost == {old[0].execution_id}
    assert waiting(workplace) == {"crm": [], "analytics": []}
    assert workplace.queue(EVENTS).job_ids == [event.id]


@pytest.mark.parametrize("before", [True, False], ids=["before it is done", "before its answer comes"])
def test_a_connection_lost_in_the_ack_neither_loses_nor_doubles_jobs(
    before: bool, open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ack is sent again; if Redis did it the first time, the lease has ended, and nothing is written twice."""
    workplace = open_workplace(two_jobs())
    event = api_call()
    ack, breaks = Leases.ack, [True]

    async def break_once(leases: Leases, *arguments: Any) -> Acked:
        if not breaks:
            return await ack(leases, *arguments)
        breaks.clear()
        if not before:
            await ack(leases, *arguments)
        raise RedisConnectionError("lost")

    monkeypatch.setattr(Leases, "ack", break_once)
    with capture_logs() as logs:
        workplace.put_jobs(event)

    assert [line["outcome"] for line in logs if line["event"] == "fan_out"] == ["done"]
    assert not [line for line in logs if line["event"] == "lease_lost"]
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
    stored: Any = workplace.redis.hget(plain.key, "data")
    assert json.loads(stored) == [PERFORM, None, ["crm.enquiry", event.to_wire()], {}]
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
    ours: Any = workplace.redis.hgetall(Job.key_for(f"{event.id}-enquiry"))
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

    assert read_data(ours[b"data"]) == [PERFORM, None, ["enquiry", event.to_wire()], {}]
    by_chance = {b"created_at", b"enqueued_at", b"retry_intervals", b"data"}
    assert ours.keys() == theirs.keys() >= by_chance
    assert {name for name in ours if ours[name] != theirs[name]} <= by_chance
    assert workplace.queue("crm").job_ids == [f"{event.id}-enquiry", "theirs"]
    assert b"rq:queue:crm" in workplace.redis.smembers("rq:queues")


@pytest.mark.parametrize("on_dead", ["continue", "hold"])
def test_an_ordered_job_waits_for_another_as_rq_itself_writes_it(
    on_dead: Literal["continue", "hold"], open_workplace: WorkplaceFactory
) -> None:
    """Field by field, and key by key, what `Queue.enqueue(depends_on=)` writes."""
    jobs = Jobs()

    @jobs.on(ApiCall, queue="crm", attempts=3, ordered_by="session", on_dead=on_dead)
    def enquiry(event: ApiCall) -> None: ...

    workplace, redis = open_workplace(jobs), open_workplace(jobs).redis
    first, second = (workplace.put_jobs(api_call("x", SystemSessionID="s")) for _ in range(2))
    before, ours = (f"{event.id}-enquiry" for event in (first, second))
    workplace.queue("crm").enqueue(
        PERFORM,
        args=["enquiry", second.to_wire()],
        job_id="theirs",
        description="enquiry",
        job_timeout=60,
        failure_ttl=-1,
        result_ttl=500,
        retry=Retry(max=2, interval=[1, 2]),
        meta=fetch(redis, ours).meta,
        depends_on=Dependency(before, allow_failure=on_dead == "continue"),
    )

    by_chance = {b"created_at", b"retry_intervals", b"data"}
    hashes: list[Any] = [redis.hgetall(Job.key_for(job_id)) for job_id in (ours, "theirs")]
    assert hashes[0].keys() == hashes[1].keys() >= by_chance
    assert {name for name in hashes[0] if hashes[0][name] != hashes[1][name]} <= by_chance
    waiting_on = [redis.smembers(f"rq:job::{job_id}:dependencies") for job_id in (ours, "theirs")]
    assert waiting_on == [{before.encode()}] * 2
    assert redis.smembers(f"rq:job:{before}:dependents") == {ours.encode(), b"theirs"}
    assert sorted(workplace.queue("crm").deferred_job_registry.get_job_ids()) == sorted([ours, "theirs"])
    assert workplace.queue("crm").job_ids == [before]


def test_an_event_that_cannot_be_read_stops_no_other_of_its_batch(open_workplace: WorkplaceFactory) -> None:
    """Damaged data, a reply that is none, an id that says no time: each fails alone."""
    workplace = open_workplace(two_jobs())
    events, good = workplace.queue(EVENTS), [api_call("x") for _ in range(2)]
    wire = api_call("x").to_wire()
    workplace.put_event(good[0])
    for damaged in ({"command": "?"}, wire | {"reply": 2}, wire | {"id": "no time"}):
        events.enqueue_job(events.create_job(FAN_OUT, args=[damaged], description="?", retry=Retry(max=1, interval=60)))
    workplace.put_event(good[1])

    with capture_logs() as logs:
        workplace.work(EVENTS)

    outcomes = [line["outcome"] for line in logs if line["event"] == "fan_out"]
    assert sorted(outcomes) == ["done", "done", "failed", "failed", "failed"]
    assert [job_id[:32] for job_id in workplace.queue("crm").job_ids] == [event.id for event in good]
    assert events.scheduled_job_registry.count == 3


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


def test_one_ack_makes_no_more_jobs_than_redis_can_write_in_a_moment(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script holds up everybody else on Redis: the jobs of many large events are written by several acks."""
    workplace = open_workplace(two_jobs())
    events = [api_call("x", text="?" * 300_000) for _ in range(5)]
    for event in events:
        workplace.put_event(event)
    ack, acks = Leases.ack, []

    async def count(leases: Leases, jobs: Sequence[tuple[Lease, FanOut | None]]) -> Acked:
        acks.append(len(jobs))
        return await ack(leases, jobs)

    monkeypatch.setattr(Leases, "ack", count)

    workplace.work(EVENTS)

    assert acks == [2, 2, 1]
    assert waiting(workplace) == {"crm": ["contact"] * 5, "analytics": ["row"] * 5}
    assert [job_id[:32] for job_id in workplace.queue("crm").job_ids] == [event.id for event in events]


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
