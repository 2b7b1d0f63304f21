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
from rq.serializers import JSONSerializer

from shared import ApiCall, Discard, Jobs
from shared.queues import FAN_OUT, PERFORM
from shared.testing import api_call
from tests.logged import capture_logs
from tests.workers.conftest import WorkplaceFactory
from tests.workers.working import Workplace, fetch, traceback_of

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
        (packed(PERFORM, None, ["count"], {}), "DamagedJobError"),
        (packed(PERFORM, None, ["count", {}, 3], {}), "DamagedJobError"),
        (packed(PERFORM, None, ["count"], {SECRET: 3}), "DamagedJobError"),
        (packed(PERFORM, None, [["count"], {}], {}), "DamagedJobError"),
        (packed(PERFORM, None, 3, {}), "DamagedJobError"),
        (packed(PERFORM, None, ["count", {}], 3), "DamagedJobError"),
        (packed(PERFORM, None, ["count", None], {}), "DamagedJobError"),
        (packed(PERFORM, None, ["count", GARBLED], {}), "DamagedJobError"),
        (packed(PERFORM, None, ["count", {**api_call().to_wire(), "new": 1}], {}), "DamagedJobError"),
        (packed(PERFORM, None, ["nobody", api_call().to_wire()], {}), "UnknownJobError"),
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
        ("count", {"command": f"{SECRET} a"}),
        ("count", {"node": f"{SECRET} a"}),
        ("count", {"id": SECRET, "received_at": "yesterday"}),
        ("count", {"command": {SECRET: 1}}),
        ("count", {"node": [SECRET]}),
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


@pytest.mark.parametrize(
    "fields",
    [
        {"created_at": "yesterday"},
        {"status": "dancing"},
        {"timeout": "long"},
        {"failure_ttl": "short"},
        {"retry_intervals": "{"},
        {"retry_intervals": "[]"},
        {"retry_intervals": '"x"'},
        {"dependency_ids": "no"},
        {"origin": b"\xff"},
        {"worker_name": b"\xff"},
        {"description": b"\xff\xfe"},
        {"retries_left": "some", "created_at": ""},
        {"exc_info": b"\xff"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["fail", "stumble", "count"])
def test_a_field_that_rq_cannot_read_does_not_keep_a_job_from_its_end(
    name: str, fields: dict[str, Any], open_workplace: WorkplaceFactory
) -> None:
    """Done, scheduled or dead, as it would be; RQ can read it then, and the registry of started jobs is empty."""
    jobs, counted = some_jobs()
    workplace = open_workplace(jobs)
    data = packed(PERFORM, None, [name, api_call("x").to_wire()], {})
    job = damaged(workplace, data=data, **fields)

    workplace.work()

    default = workplace.queue()
    ends = {
        "fail": default.failed_job_registry,
        "stumble": default.scheduled_job_registry,
        "count": default.finished_job_registry,
    }
    assert ends[name].get_job_ids() == [job.id]
    assert default.started_job_registry.get_job_ids() == []
    assert (len(counted) == 1) == (name == "count")
    if name != "count":
        assert fetch(workplace.redis, job.id).id == job.id


def test_an_id_without_a_job_is_a_counted_line(open_workplace: WorkplaceFactory) -> None:
    """A hash that expired, a key of another kind, ids that RQ does not admit: each is said and taken off the queue."""
    jobs, counted = some_jobs()
    workplace = open_workplace(jobs)
    workplace.redis.set("rq:job:text", "no hash")
    workplace.redis.hset("rq:job:dataless", "status", "queued")
    workplace.redis.rpush("rq:queue:default", "gone", "text", "dataless", "a:b:c", b"\xff\xfe", "")
    workplace.put_jobs(api_call())

    with capture_logs() as logs:
        workplace.work()

    assert len([line for line in logs if line["event"] == "job_missing"]) == 6
    assert len(counted) == 1
    assert workplace.redis.llen("rq:queue:default") == 0


def test_a_job_that_expires_while_it_runs_is_a_counted_line(open_workplace: WorkplaceFactory) -> None:
    """Whether it ends well or not: nothing is left of it, and no hash is made of its remains."""
    jobs = Jobs()
    redis: Redis

    def forget(event: ApiCall) -> None:
        redis.delete(*redis.keys(f"rq:job:{event.id}-*"))

    @jobs.on(ApiCall)
    def succeed(event: ApiCall) -> None:
        forget(event)

    @jobs.on(ApiCall)
    def fail(event: ApiCall) -> None:
        forget(event)
        raise OSError

    workplace = open_workplace(jobs)
    redis = workplace.redis
    event = api_call()
    workplace.put_jobs(event)
    redis.delete(f"rq:job:{event.id}")

    with capture_logs() as logs:
        workplace.work()

    assert [line["job_id"] for line in logs if line["event"] == "job_missing"] == [f"{event.id}-fail"]
    assert redis.keys("rq:job:*") == redis.keys("rq:execution*") == redis.keys("rq:wip:*") == []


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
BESIDE = st.sampled_from(["executions:{}", "results:{}", "job:{}:dependents", "job:{}:dependencies"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    damage=st.lists(
        st.tuples(DATA, st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4)), min_size=1, max_size=8
    ),
    beside=st.dictionaries(BESIDE, st.sampled_from(["string", "list", "hash"]), max_size=2),
)
def test_no_damage_stops_the_worker(
    damage: list[tuple[bytes, dict[str, bytes]]], beside: dict[str, str], open_workplace: WorkplaceFactory
) -> None:
    """Whatever stands in hashes and beside them: each job comes to an end, none is left started, the next one runs."""
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
        for template, kind in beside.items():
            spoil(redis, f"rq:{template.format(job.id)}", kind)
    last = api_call("last").to_wire()
    workplace.queue().enqueue(PERFORM, args=["count", last], description="count")

    with capture_logs():
        workplace.work()

    assert last["id"] in counted
    assert not [job.id for job in put if not has_ended(workplace, job)]
    assert redis.zcard("rq:wip:default") == 0
    assert redis.llen("rq:queue:default") == 0


def few(name: str, value: bytes) -> bytes:
    """A value that does not ask for more runs than a test can wait for."""
    return b"3" if name in {"repeats_left", "retries_left"} and re.fullmatch(rb"[+\s\d_]+", value) else value


def has_ended(workplace: Workplace, job: Job) -> bool:
    """Whether a job is done, dead, or will be tried again; or gone, since its hash says that it is not to be kept."""
    default = workplace.queue()
    registries = (default.finished_job_registry, default.failed_job_registry, default.scheduled_job_registry)
    return any(workplace.redis.zscore(registry.key, job.id) is not None for registry in registries) or not job.exists(
        job.id, workplace.redis
    )


def spoil(redis: Redis, key: str, kind: str) -> None:
    """Have a key hold something of another kind."""
    redis.delete(key)
    if kind == "string":
        redis.set(key, "x")
    elif kind == "list":
        redis.rpush(key, "x")
    else:
        redis.hset(key, "x", "x")


def test_a_damaged_job_that_is_due_does_not_hold_up_the_others(open_workplace: WorkplaceFactory) -> None:
    """RQ's scheduler reads all that are due together; what it cannot read is mended, for the next look."""
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


def test_members_of_the_registry_that_are_no_executions_are_taken_out(open_workplace: WorkplaceFactory) -> None:
    """RQ's own cleanup would stop at them, each time."""
    jobs, _ = some_jobs()
    workplace = open_workplace(jobs)
    members: dict[Any, int] = {"a:b:c": 1, "": 1, b"\xff": 1, "alone": 1}
    workplace.redis.zadd("rq:wip:default", members)

    with capture_logs() as logs:
        workplace.work()

    assert workplace.redis.zcard("rq:wip:default") == 0
    assert [line["count"] for line in logs if line["event"] == "executions_unfit"] == [4]


def test_pickle_is_not_read_in_a_claimed_job(open_workplace: WorkplaceFactory) -> None:
    """Jobs are JSON: another serializer's bytes are damage."""
    workplace = open_workplace(some_jobs()[0])
    job = damaged(workplace, data=zlib.compress(b"\x80\x04N."))

    workplace.work()

    assert Job.fetch(job.id, connection=workplace.redis, serializer=JSONSerializer).is_failed
