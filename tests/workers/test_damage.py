"""Bad input: whatever stands in a job's keys, it becomes a dead letter or a line in the log, and the worker goes on."""

import json
import re
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from rq.job import Job

from deskbell import ApiCall, Discard, Jobs
from deskbell.testing import api_call
from shared.redis.job_data import MOST_BYTES, unpack
from shared.redis.queues import FAN_OUT, PERFORM
from tests.conftest import WorkplaceFactory
from tests.logged import capture_logs
from tests.workers.claiming import expire, worker_of
from tests.workers.running import Workplace, fetch, traceback_of

SECRET = "planted-4711"


def some_jobs() -> tuple[Jobs, list[str]]:
    """A job type that counts, one that fails for good and one that fails in passing; and what was counted."""
    jobs, counted = Jobs(), []

    @jobs.on(ApiCall)
    async def count(event: ApiCall) -> None:
        counted.append(event.id)

    @jobs.on(ApiCall, node="x")
    def fail(event: ApiCall) -> None:  # noqa: ARG001
        raise Discard("no")

    @jobs.on(ApiCall, node="x")
    async def stumble(event: ApiCall) -> None:  # noqa: ARG001
        raise OSError

    return jobs, counted


def packed(*data: Any) -> bytes:
    """A job's data."""
    return zlib.compress(json.dumps(data).encode())


GARBLED = {**api_call().to_wire(), "received_at": "yesterday", "packet": SECRET}


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\xff", "DeserializationError"),
        (packed("os.system", None, [SECRET], {}), "ForeignFunctionError"),
        (packed(PERFORM, None, [], {}), "DamagedJobError"),
        (packed(PERFORM, None, ["count", {}, SECRET], {}), "DamagedJobError"),
        (packed(PERFORM, None, [["count"], {}], {}), "DamagedJobError"),
        (packed(PERFORM, None, ["count", {}], 3), "DamagedJobError"),
        (packed(PERFORM, None, ["count", GARBLED], {}), "DamagedJobError"),
        (packed(PERFORM, None, ["count", {**api_call().to_wire(), "reply": 1}], {}), "DamagedJobError"),
        (packed(FAN_OUT, None, [], {}), "DamagedJobError"),
    ],
)
def test_a_job_that_cannot_be_run_is_a_dead_letter_at_once(
    data: bytes, error: str, open_workplace: WorkplaceFactory
) -> None:
    """Its retries unused, the reason with it, and none of its values in a log; the job behind it runs."""
    jobs, counted = some_jobs()
    workplace = open_workplace(jobs)
    job = damaged(workplace, data=data, retries_left=3)
    workplace.put_jobs(api_call())

    with capture_logs() as logs:
        workplace.work()

    assert workplace.queue().failed_job_registry.get_job_ids() == [job.id]
    assert f"{error}" in traceback_of(job)
    assert error in [line.get("error") for line in logs]
    assert SECRET not in str(logs)
    assert len(counted) == 1


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("count", {"id": SECRET}),
        ("count", {"id": SECRET, "received_at": "yesterday"}),
        ("count", {"command": {SECRET: 1}}),
        (f"{SECRET} a", {}),
        ("fan out", {"id": SECRET, "command": f"{SECRET} a", "node": f"{SECRET} a"}),
    ],
)
def test_no_value_of_a_damaged_event_is_in_a_log(
    name: str, damage: dict[str, Any], open_workplace: WorkplaceFactory
) -> None:
    """Ids, commands, nodes and names are logged where they have their forms; the job's own id leads to the others."""
    workplace = open_workplace(some_jobs()[0])
    wire = {**api_call("y").to_wire(), **damage}
    data = packed(FAN_OUT, None, [wire], {}) if name == "fan out" else packed(PERFORM, None, [name, wire], {})
    job = damaged(workplace, data=data)

    with capture_logs() as logs:
        workplace.work()

    lines = [line for line in logs if line["event"] in {"attempt", "fan_out"}]
    assert len(lines) == 1
    assert SECRET not in str(logs)
    assert lines[0]["outcome"] == "done" or lines[0].get("job_id", job.id) == job.id


@pytest.mark.parametrize(("name", "end"), [("fail", "failed"), ("stumble", "failed"), ("count", "finished")])
def test_a_hash_that_rq_cannot_read_does_not_keep_a_job_from_its_end(
    name: str, end: str, open_workplace: WorkplaceFactory
) -> None:
    """Done, or dead without a retry, and RQ's tools can read the dead letter; no job is left started."""
    workplace, event = open_workplace(some_jobs()[0]), api_call("x")
    workplace.put_jobs(event)
    job_id = f"{event.id}-{name}"
    fields: Any = {"created_at": "yesterday", "retry_intervals": "[]", "worker_name": b"\xff"}
    workplace.redis.hset(f"rq:job:{job_id}", mapping=fields)

    workplace.work()

    default = workplace.queue()
    assert job_id in getattr(default, f"{end}_job_registry").get_job_ids()
    assert default.started_job_registry.get_job_ids() == []
    if end == "failed":
        assert fetch(workplace.redis, job_id).is_failed
        assert traceback_of(fetch(workplace.redis, job_id))


def test_an_id_without_a_job_is_a_counted_line(open_workplace: WorkplaceFactory) -> None:
    """A hash that expired, one without data, ids that RQ does not admit: each is logged and taken off the queue."""
    jobs, counted = some_jobs()
    workplace = open_workplace(jobs)
    workplace.redis.hset("rq:job:dataless", "status", "queued")
    workplace.redis.rpush("rq:queue:default", "gone", "dataless", "a:b:c", b"\xff\xfe", "")
    workplace.put_jobs(api_call())

    with capture_logs() as logs:
        workplace.work()

    assert len([line for line in logs if line["event"] == "job_missing"]) == 5
    assert len(counted) == 1
    assert workplace.redis.llen("rq:queue:default") == 0


def test_a_job_that_expires_while_it_runs_is_a_counted_line(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """Whether it ends well or not: nothing is left of it, and no hash is made of its remains."""
    jobs = Jobs()

    def forget(event: ApiCall) -> None:
        redis.delete("", *redis.keys(f"rq:job:{event.id}-*"))  # the other job may have deleted them

    @jobs.on(ApiCall)
    def succeed(event: ApiCall) -> None:
        forget(event)

    @jobs.on(ApiCall)
    def fail(event: ApiCall) -> None:
        forget(event)
        raise OSError

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call())
    redis.delete(f"rq:job:{event.id}")

    with capture_logs() as logs:
        workplace.work()
    reap_all(workplace, valkey_url)

    assert [line["job_id"] for line in logs if line["event"] == "job_missing"] == [f"{event.id}-fail"]
    assert redis.keys("rq:job:*") == redis.keys("rq:execution*") == redis.keys("rq:wip:*") == []


def test_a_job_that_a_replaced_master_does_not_have_is_not_done(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """A worker asks a master that was cut off, and has not heard of its successor: there the job runs again."""
    jobs, ran = Jobs(), []

    @jobs.on(ApiCall, attempts=2)
    def enquire(event: ApiCall) -> None:
        ran.append(event.id)
        if len(ran) == 1:
            redis.rename(f"rq:job:{event.id}-enquire", "elsewhere")
            raise OSError

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call())
    workplace.work()
    redis.rename("elsewhere", f"rq:job:{event.id}-enquire")

    reap_all(workplace, valkey_url)
    workplace.work()

    assert ran == [event.id] * 2
    assert fetch(redis, f"{event.id}-enquire").is_finished


def reap_all(workplace: Workplace, url: str) -> None:
    """Let all leases run out, and reap them."""
    expire(workplace.redis)
    with worker_of(workplace, url) as step:
        step(lambda ours: ours.reap("default"))


def damaged(workplace: Workplace, **fields: Any) -> Job:
    """Put a job on the queue whose hash has the given fields."""
    default = workplace.queue()
    job = default.create_job(PERFORM, args=["count", {}], description="x", failure_ttl=-1)
    default.enqueue_job(job)
    mapping: Any = fields
    workplace.redis.hset(job.key, mapping=mapping)
    return job


NAMES = [
    "created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat", "origin", "worker_name", "description",
    "status",
    "timeout", "result_ttl", "failure_ttl", "ttl", "meta", "retries_left", "retry_intervals", "number_of_retries",
    "dependency_ids", "dependency_id", "allow_dependency_failures", "enqueue_at_front", "exc_info", "group_id",
    "webhooks",
    "success_callback_name", "success_callback_timeout", "failure_callback_timeout", "repeats_left", "repeat_intervals",
    "rate_limit_key", "rate_limit_concurrency", "enqueue_at_front_on_retry", "result", "\udcff",
]  # fmt: skip
SOUND = [packed(PERFORM, None, [name, api_call("x").to_wire()], {}) for name in ("count", "fail", "stumble")]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
VALUES = (
    st.binary(max_size=12)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.sampled_from([b"", b"0", b"-1", b"1", b"3", b"1e400", b"inf", b"nan", b"started", b"finished", b"{}", b"[]"])
)
DATA = (
    st.sampled_from(SOUND)
    | st.binary(max_size=30)
    | st.binary(max_size=30).map(zlib.compress)
    | st.lists(JSON | st.sampled_from([PERFORM, FAN_OUT, None, ["count", api_call().to_wire()]]), max_size=5).map(
        lambda data: packed(*data)
    )
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    damage=st.lists(
        st.tuples(DATA, st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4)), min_size=1, max_size=8
    ),
)
def test_no_damage_stops_the_worker(
    damage: list[tuple[bytes, dict[str, bytes]]], open_workplace: WorkplaceFactory
) -> None:
    """Whatever stands in hashes: each job comes to an end, none is left started, the next one runs."""
    types, counted = some_jobs()
    workplace = open_workplace(types)
    redis = workplace.redis
    redis.flushall()
    put = []
    for data, fields in damage:
        encoded: Any = {name.encode(errors="surrogateescape"): few(name, value) for name, value in fields.items()}
        job = damaged(workplace, data=data)
        put.append(job)
        if encoded:
            redis.hset(job.key, mapping=encoded)
    last = api_call("last").to_wire()
    workplace.queue().enqueue(PERFORM, args=["count", last], description="count")

    with capture_logs():
        workplace.work()

    assert last["id"] in counted
    assert not [job.id for job in put if not has_ended(workplace, job)]
    assert redis.zcard("rq:wip:default") == 0
    assert redis.llen("rq:queue:default") == 0


def few(name: str, value: bytes) -> bytes:
    """A value that asks for no more runs than a test can wait for, and does not say that the job has had its run."""
    if name == "status" and value in {b"finished", b"scheduled"}:
        return b"queued"
    return b"3" if name in {"repeats_left", "retries_left"} and re.fullmatch(rb"[+\s\d_]+", value) else value


def has_ended(workplace: Workplace, job: Job) -> bool:
    """Whether a job is done, dead, or will be tried again; or gone, since its hash says that it is not to be kept."""
    default = workplace.queue()
    registries = (default.finished_job_registry, default.failed_job_registry, default.scheduled_job_registry)
    return any(workplace.redis.zscore(registry.key, job.id) is not None for registry in registries) or not job.exists(
        job.id, workplace.redis
    )


def test_a_damaged_job_that_is_due_does_not_hold_up_the_others(open_workplace: WorkplaceFactory) -> None:
    """RQ's scheduler reads all that are due together; what it cannot read is queued as it stands, and claimed."""
    jobs, counted = some_jobs()
    workplace = open_workplace(jobs)
    default = workplace.queue()
    for name in ("a", "b"):
        wire = {**api_call().to_wire(), "id": name}
        job = default.create_job(PERFORM, args=["count", wire], description="x", job_id=name)
        default.schedule_job(job, job.created_at)
    workplace.redis.hset("rq:job:a", "created_at", "yesterday")

    workplace.work()
    workplace.work()

    assert sorted(counted) == ["a", "b"]


def test_data_that_unpack_to_more_than_there_is_room_for_are_damage(open_workplace: WorkplaceFactory) -> None:
    """A dead letter at once; the job behind it runs."""
    jobs, counted = some_jobs()
    workplace = open_workplace(jobs)
    packing = zlib.compressobj()
    bomb = b"".join(packing.compress(b" " * 1_000_000) for _ in range(20)) + packing.flush()
    bad = damaged(workplace, data=bomb)
    workplace.put_jobs(api_call())

    workplace.work()

    assert workplace.queue().failed_job_registry.get_job_ids() == [bad.id]
    assert len(counted) == 1


def test_data_are_unpacked_up_to_a_size() -> None:
    """Compressed or not."""
    fits, exceeds = b"x" * MOST_BYTES, b"x" * (MOST_BYTES + 1)

    assert unpack(zlib.compress(fits)) == unpack(fits) == fits
    for data in (zlib.compress(exceeds), exceeds, zlib.compress(fits)[:-9]):
        with pytest.raises(ValueError, match="large"):
            unpack(data)


@pytest.mark.parametrize("meta", ['{"x": NaN}', '{"attempt": 1e999, "x": [1, {"y": -Infinity}]}', "[1]", "\xff"])
def test_a_meta_that_is_no_json_stops_no_claim_and_doubles_no_job(meta: str, open_workplace: WorkplaceFactory) -> None:
    """The job itself and the one behind it run once."""
    jobs, counted = some_jobs()
    workplace = open_workplace(jobs)
    events = [api_call("y"), api_call("y")]
    for event in events:
        workplace.put_jobs(event)
    workplace.redis.hset(f"rq:job:{events[0].id}-count", "meta", meta)

    workplace.work()

    assert sorted(counted) == sorted(event.id for event in events)
    assert workplace.queue().finished_job_registry.count == len(events)
