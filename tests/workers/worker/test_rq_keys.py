"""What a worker reads and writes of RQ's keys is what RQ's own worker would."""

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from rq import SimpleWorker
from rq.serializers import JSONSerializer
from rq.suspension import resume, suspend

from deskbell import ApiCall, Discard, Jobs, Retry
from deskbell.testing import api_call
from deskbell.testing.stack import signals_kept
from shared.redis.job_data import read_data
from shared.redis.queues import PERFORM
from tests.conftest import WorkplaceFactory
from tests.workers.claiming import claim_all, counting_jobs, executions, put
from tests.workers.running import Workplace

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis


def snapshot(redis: Any) -> dict[str, Any]:
    """Every key of RQ's, what it holds and for how long, without what differs by chance."""
    return {_nameless(key.decode()): _content(redis, key.decode()) for key in redis.scan_iter("rq:*")}


def _nameless(key: str) -> str:
    parts = key.split(":")
    if parts[1] == "worker":
        parts[2] = "<worker>"
    if parts[1] == "execution":
        parts[3] = "<execution>"
    return ":".join(parts)


def _content(redis: Any, key: str) -> Any:
    kind = redis.type(key).decode()
    if kind == "hash":
        held: Any = {name: None if name in BY_CHANCE else value for name, value in redis.hgetall(key).items()}
        if b"data" in held:
            held[b"data"] = read_data(held[b"data"])  # packed as whoever wrote it last packs it
        if b"where" in (held.get(b"meta") or b""):  # each worker's own frames are among them
            held[b"meta"] = {name: value for name, value in json.loads(held[b"meta"]).items() if name != "where"}
    elif kind == "zset":
        now = time.time()
        held = sorted(
            (_member(m), 0 if s == float("inf") else round((s - now) / 60))
            for m, s in redis.zrange(key, 0, -1, withscores=True)
        )
    elif kind == "stream":
        held = [
            {name: None if name in BY_CHANCE else value for name, value in fields.items()}
            for _, fields in redis.xrange(key)
        ]
    elif kind == "string":
        held = None
    else:
        held = sorted(_member(m) for m in (redis.smembers(key) if kind == "set" else redis.lrange(key, 0, -1)))
    ttl = redis.ttl(key)
    if ttl > 0:  # a worker is known for longer here, since its heartbeat is for many jobs at once
        ttl = 1 if key.startswith("rq:worker:") else round(ttl / 60)
    return kind, held, ttl


def _member(member: bytes) -> str:
    text = member.decode()
    if text.startswith("rq:worker:"):
        return "<worker>"
    parts = text.split(":")
    return f"{parts[0]}:<execution>" if len(parts) == 2 else text if len(text) != 32 else "<id>"


BY_CHANCE = {
    b"id", b"birth", b"last_heartbeat", b"ended_at", b"started_at", b"created_at", b"enqueued_at", b"worker_name",
    b"total_working_time", b"execution_id", b"execution_started_at", b"execution_ended_at", b"ip_address", b"pid",
    b"death", b"retry_intervals", b"exc_info", b"exc_string",
}  # fmt: skip


@pytest.mark.parametrize("outcome", [None, Discard("no"), Retry(after=90), OSError("away")], ids=str)
def test_rqs_keys_are_what_rq_itself_writes(outcome: Exception | None, open_workplace: WorkplaceFactory) -> None:
    """While a job runs, and when it has succeeded, has failed, or is to be retried: every key and its time to live."""
    jobs, seen = Jobs(), []
    redis: Redis

    @jobs.on(ApiCall, attempts=3)
    def end(event: ApiCall) -> None:  # noqa: ARG001
        seen.append(snapshot(redis))
        if outcome:
            raise outcome

    workplace = open_workplace(jobs)
    redis = workplace.redis
    event = api_call()
    ended = []
    works: list[Callable[[], None]] = [workplace.work, lambda: work_as_rq(workplace)]
    for work in works:
        redis.flushall()
        workplace.put_jobs(event)
        for key in redis.scan_iter("rq:worker:*"):
            redis.delete(key)
        work()
        ended.append(snapshot(redis))

    for ours, theirs in (seen, ended):
        for both in (ours, theirs):
            for key in [key for key in both if key.startswith(("rq:scheduler", "rq:clean"))]:
                del both[key]  # RQ's own locks and scheduler, there or not
        assert ours.keys() == theirs.keys()
        assert {key: ours[key] for key in ours if ours[key] != theirs[key]} == {
            key: theirs[key] for key in ours if ours[key] != theirs[key]
        }


def work_as_rq(workplace: Workplace) -> None:
    """Work a queue off with RQ's own worker."""
    worker = SimpleWorker(
        ["default"],
        connection=workplace.redis,
        job_class=workplace.job_class,
        serializer=JSONSerializer,
        worker_ttl=45,
    )
    worker.get_heartbeat_ttl = lambda *_: round(workplace.performer.settings.abandoned_seconds * 0.6)  # type: ignore[method-assign]
    worker.subscribe = lambda: None  # type: ignore[method-assign]
    with signals_kept():
        worker.work(burst=True, logging_level="CRITICAL")


def test_a_suspended_worker_claims_nothing_until_it_is_resumed(open_workplace: WorkplaceFactory) -> None:
    """`rq suspend` holds it back; a burst ends at once and leaves the jobs."""
    jobs, counted = counting_jobs()
    workplace = open_workplace(jobs)
    ids = put(workplace, 2)

    suspend(workplace.redis)
    workplace.work()
    left = workplace.queue().job_ids
    resume(workplace.redis)
    workplace.work()

    assert left == ids
    assert len(counted) == 2


def test_the_jobs_that_depend_on_a_job_are_queued_when_it_succeeds(open_workplace: WorkplaceFactory) -> None:
    """Through RQ's own code: the dependent is queued when its dependency has succeeded, and runs."""
    jobs, counted = counting_jobs()
    workplace = open_workplace(jobs)
    default = workplace.queue()
    first = default.enqueue(PERFORM, args=["count", api_call("1").to_wire()], description="count")
    second = default.enqueue(PERFORM, args=["count", api_call("2").to_wire()], description="count", depends_on=first)
    before = second.get_status()

    workplace.work()

    assert before == "deferred"
    assert len(counted) == 2
    assert second.is_finished
    assert default.started_job_registry.get_job_ids() == []


@pytest.mark.parametrize("result_ttl", [0, -1, 7])
def test_a_result_is_kept_as_long_as_its_job_says(result_ttl: int, workplace: Workplace) -> None:
    """Not at all, for ever, or seconds: as RQ keeps it."""
    job = workplace.queue().enqueue(
        PERFORM, args=["count", api_call().to_wire()], description="count", result_ttl=result_ttl
    )

    workplace.work()

    ttls = [workplace.redis.ttl(key) for key in (job.key, f"rq:results:{job.id}")]
    assert ttls == ([-2, -2] if result_ttl == 0 else [-1, -1] if result_ttl < 0 else [7, 7])
    assert workplace.queue().started_job_registry.get_job_ids() == []


@pytest.mark.parametrize(
    ("meta", "after"),
    [
        (b'{"attempt": 1, "mine": [1]}', b'{"attempt": 2, "mine": [1]}'),
        (b'{"mine": "x", "attempt": 1}', b'{"attempt": 2, "mine":"x"}'),
        (b'{"attempt": 3}', b'{"attempt": 1}'),
        (b"\x80\x04}", b'{"attempt": 1}'),
        (b"[1, 2]", b'{"attempt": 1}'),
        (b'{"attempt": "many"}', b'{"attempt": 1}'),
        (b'{"attempt": -5}', b'{"attempt": 1}'),
    ],
)
def test_a_claim_counts_the_attempt_in_whatever_meta_there_is(
    meta: bytes, after: bytes, workplace: Workplace, valkey_url: str
) -> None:
    """After the last comes the first; what else stands there stays; what cannot be read is replaced."""
    [job_id] = put(workplace)
    workplace.redis.hset(f"rq:job:{job_id}", "meta", meta)

    with executions(valkey_url) as step:
        claim_all(step)

    assert workplace.redis.hget(f"rq:job:{job_id}", "meta") == after
