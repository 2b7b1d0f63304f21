"""A job that a worker cannot run is left for a worker of another release that can."""

import json
import time

import pytest
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from deskbell import ApiCall, Jobs, SessionEvent
from deskbell.testing import api_call
from shared.redis.queues import EVENT_RETRIES, EVENTS, PERFORM
from shared.redis.releases import LEFT_KEY, LEFT_SECONDS, declared_key, left_key, read_left
from shared.wire import events
from tests.conftest import WorkplaceFactory
from tests.logged import capture_logs
from tests.workers.running import status_of, traceback_of
from workers.releases import leaving


def newer_jobs(ran: list[str], **options: object) -> Jobs:
    """The job types of a newer release: `crm.new`, which others do not know."""
    jobs = Jobs()

    @jobs.on(ApiCall, name="crm.new", **options)  # type: ignore[arg-type]
    def new(event: ApiCall) -> None:
        ran.append(event.id)

    return jobs


def other_jobs() -> Jobs:
    """The job types of a release without it."""
    jobs = Jobs()

    @jobs.on(SessionEvent, name="crm.old")
    def old(event: SessionEvent) -> None: ...

    return jobs


def test_a_job_of_an_unknown_type_is_left_for_a_worker_that_knows_it(open_workplace: WorkplaceFactory) -> None:
    """It is neither an attempt nor a dead letter, waits in RQ's registry, and runs as soon as such a worker comes."""
    ran: list[str] = []
    newer, older = open_workplace(newer_jobs(ran, attempts=1)), open_workplace(other_jobs())
    made = [newer.put_jobs(api_call()) for _ in range(3)]

    with capture_logs() as logs:
        older.work()
        left = read_left(older.redis)
        older.work()
        statuses = {status_of(older.redis, f"{event.id}-crm-new") for event in made}
        newer.work()

    assert statuses == {"scheduled"}
    assert [(each.queue, each.job_type, each.count, each.is_declared) for each in left] == [
        ("default", "crm.new", 3, False)
    ]
    assert ran == [event.id for event in made]
    assert read_left(older.redis) == []
    assert not older.redis.exists(LEFT_KEY, left_key("default", "crm-new"))
    assert [line["need"] for line in logs if line["event"] == "job_left"] == ["crm-new"]
    assert [line["outcome"] for line in logs if line["event"] == "attempt"] == ["done"] * 3
    assert newer.job(made[0], "crm.new").meta["attempt"] == 1


def test_a_left_job_waits_longer_each_time(open_workplace: WorkplaceFactory) -> None:
    """Thousands of jobs of a type that was removed cost next to nothing."""
    newer, older = open_workplace(newer_jobs([])), open_workplace(other_jobs())
    event = newer.put_jobs(api_call())
    waits = []

    for _ in range(12):
        older.work()
        due = older.redis.zscore("rq:scheduled:default", f"{event.id}-crm-new")
        assert isinstance(due, float)
        waits.append(due - time.time())
        older.make_due()

    assert waits[0] <= 15
    assert 1800 - 5 <= waits[-1] <= 3600
    assert newer.job(event, "crm.new").meta["left"][0] == 12


@pytest.mark.parametrize(
    ("since", "declared", "is_dead"), [(1, None, True), (1, 1, True), (1, -60, False), (-60, None, False)]
)
def test_a_left_job_is_dead_when_no_living_worker_declared_its_type_for_a_day(
    since: int, declared: int | None, is_dead: bool, open_workplace: WorkplaceFactory
) -> None:
    """Both count: since when the job is left, and when a worker of its queue last had the type."""
    newer, older = open_workplace(newer_jobs([])), open_workplace(other_jobs())
    event = newer.put_jobs(api_call())
    job, now = newer.job(event, "crm.new"), time.time()
    job.connection.hset(job.key, "meta", json.dumps({"left": [9, now - LEFT_SECONDS - since]}))
    if declared is not None:
        job.connection.zadd(declared_key("default"), {"crm-new": now - LEFT_SECONDS - declared})

    older.work()

    job = newer.job(event, "crm.new")
    assert job.is_failed == is_dead
    if is_dead:
        assert "no job type is named crm.new; this worker knows crm.old" in traceback_of(job)
        assert (job.meta["made"], "left" in job.meta) == (0, False)
        assert not read_left(older.redis)


def test_what_lacks_a_type_is_logged_again_once_the_jobs_before_it_are_dead(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for all that are left together."""
    newer, older = open_workplace(newer_jobs([])), open_workplace(other_jobs())
    newer.put_jobs(api_call())
    with capture_logs() as logs:
        older.work()
        with monkeypatch.context() as day_after:
            day_after.setattr(leaving, "LEFT_SECONDS", -1)
            older.make_due()
            older.work()
        for _ in range(2):
            newer.put_jobs(api_call())
        older.work()

    assert older.queue().failed_job_registry.count == 1
    assert [line["need"] for line in logs if line["event"] == "job_left"] == ["crm-new"] * 2


def test_a_job_of_a_newer_form_is_left_and_costs_neither_attempt_nor_start(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The type is known and has a limit: what the claim has counted is taken back."""
    ran: list[str] = []
    workplace = open_workplace(newer_jobs(ran, attempts=2, limit="1/h"))
    monkeypatch.setattr(events, "WIRE_VERSION", 2)
    event = workplace.put_jobs(api_call())

    with monkeypatch.context() as older, capture_logs() as logs:
        older.setattr(events, "WIRE_VERSION", 1)
        workplace.work()
        left = read_left(workplace.redis)
        meta = workplace.job(event, "crm.new").meta
        counted = workplace.redis.exists("deskbell:rate:crm-new")
    workplace.work()

    assert [(each.need, each.job_type, each.count) for each in left] == [(":2", "", 1)]
    assert (meta["attempt"], meta["cause"], counted) == (0, "LeftError", 0)
    assert [(line["event"], line["need"]) for line in logs if line["event"] in {"attempt", "job_left"}] == [
        ("job_left", ":2")
    ]
    assert ran == [event.id]
    assert workplace.job(event, "crm.new").meta["attempt"] == 1


def test_an_event_of_a_newer_form_is_left(open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new api beside old workers: the event waits for a new worker, and uses up none of its tries."""
    ran: list[str] = []
    workplace = open_workplace(newer_jobs(ran))
    monkeypatch.setattr(events, "WIRE_VERSION", 2)
    event = api_call()
    job = workplace.put_event(event)

    with monkeypatch.context() as older, capture_logs() as logs:
        older.setattr(events, "WIRE_VERSION", 1)
        workplace.work(EVENTS)
        job.refresh()
        tries, status = job.retries_left, job.get_status()
    workplace.work(EVENTS)
    workplace.work()

    assert (tries, status) == (EVENT_RETRIES, "scheduled")
    assert [line["event"] for line in logs if line["event"] in {"fan_out", "job_left", "job_refused"}] == ["job_left"]
    assert ran == [event.id]


def test_a_stock_worker_leaves_such_jobs_too(open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """RQ's own worker schedules them as it schedules a retry, and a worker of ours recalls them."""
    ran: list[str] = []
    newer, older = open_workplace(newer_jobs(ran)), open_workplace(other_jobs())
    event = newer.put_jobs(api_call())
    monkeypatch.setattr(events, "WIRE_VERSION", 2)
    later = api_call()
    newer.put_event(later)
    monkeypatch.setattr(events, "WIRE_VERSION", 1)

    for name in ("default", EVENTS):
        worker = SimpleWorker(
            [older.queue(name)], connection=older.redis, job_class=older.job_class, serializer=JSONSerializer
        )
        worker.work(burst=True)
    statuses = [status_of(older.redis, job_id) for job_id in (f"{event.id}-crm-new", later.id)]
    left = [(each.queue, each.need, each.count) for each in read_left(older.redis)]
    newer.work()

    assert statuses == ["scheduled", "scheduled"]
    assert left == [("default", "crm-new", 1), (EVENTS, ":2", 1)]
    assert ran == [event.id]


def test_a_name_that_no_job_type_can_have_is_a_dead_letter_at_once(open_workplace: WorkplaceFactory) -> None:
    """`crm-new` is not `crm.new`: no worker of any release declares it."""
    workplace = open_workplace(newer_jobs([]))
    job = workplace.queue().create_job(PERFORM, args=["crm-new", api_call().to_wire()])
    workplace.queue().enqueue_job(job)

    workplace.work()

    assert status_of(workplace.redis, job.id) == "failed"
    assert not workplace.redis.exists(LEFT_KEY)
