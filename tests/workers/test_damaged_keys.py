"""Damaged keys: one that holds something else than it should loses no job, doubles none, and holds up nothing else.

A damaged job is in `test_damage.py`; here are the keys that jobs share.
"""

import asyncio
import json
import resource
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import OutOfMemoryError
from rq.job import Job
from rq.serializers import JSONSerializer

from shared import ApiCall, Breaker, Concurrency, Discard, Jobs
from shared.pauses import PAUSED_KEY
from shared.queues import PERFORM
from shared.testing import api_call
from tests.logged import capture_logs
from tests.workers.burying import all_letters
from tests.workers.conftest import WorkplaceFactory
from tests.workers.test_executions import claim_all, executions, expire
from tests.workers.working import Workplace
from workers.damage import DamageLog
from workers.executions import Executions
from workers.job_data import MOST_BYTES, unpack
from workers.limits import limits_text
from workers.replays import Replays
from workers.worker import ledger


def some_jobs() -> tuple[Jobs, list[str]]:
    """Job types on two queues, one without a limit and one of each kind of limit, and what ran."""
    jobs, ran = Jobs(), []

    @jobs.on(ApiCall, attempts=3)
    def count(event: ApiCall) -> None:
        ran.append(f"count {event.id}")

    @jobs.on(ApiCall, node="x", limit=Concurrency(2))
    def few(event: ApiCall) -> None:
        ran.append(f"few {event.id}")

    @jobs.on(ApiCall, node="x", queue="other", limit="1000/s")
    def slow(event: ApiCall) -> None:
        ran.append(f"slow {event.id}")

    @jobs.on(ApiCall, node="x", queue="other", attempts=2, breaker=Breaker(failures=2, pause=60))
    def guarded(event: ApiCall) -> None:
        ran.append(f"guarded {event.id}")

    return jobs, ran


def put(workplace: Workplace, name: str, *, queue: str = "default", attempts: int = 3) -> str:
    """Put a job on a queue as fan-out does; its id."""
    event = api_call("x")
    target = workplace.queue(queue)
    job = target.create_job(PERFORM, args=[name, event.to_wire()], job_id=f"{event.id}-{name}", failure_ttl=-1)
    job.retries_left = attempts - 1
    target.enqueue_job(job)
    return str(job.id)


def places(redis: Redis, job_id: str, queue: str = "default") -> list[str]:
    """Every list and registry that a job is in, once for each time; what cannot be read holds nothing."""
    found = []
    for kind in ("queue", "wip", "failed", "finished", "scheduled", "deferred"):
        key = f"rq:{kind}:{queue}"
        kind_of_key: Any = redis.type(key)
        held: Any = []
        if kind_of_key == b"list":
            held = redis.lrange(key, 0, -1)
        elif kind_of_key == b"zset":
            held = redis.zrange(key, 0, -1)
        found += [kind for member in held if member.decode().partition(":")[0] == job_id]
    return found


def runs(ran: list[str]) -> Counter[str]:
    """How many jobs of each type ran."""
    return Counter(line.split()[0] for line in ran)


NOT_A_NUMBER = ['{"x": NaN}', '{"x": [1, {"y": Infinity}], "attempt": 2}', '{"attempt": 1e999, "x": -Infinity}']


@pytest.mark.parametrize("meta", NOT_A_NUMBER)
def test_a_meta_that_is_no_json_stops_no_claim_and_doubles_no_job(meta: str, open_workplace: WorkplaceFactory) -> None:
    """Python writes NaN where it should not; the jobs before and behind run once, and so does this one."""
    jobs, ran = some_jobs()
    workplace = open_workplace(jobs)
    ids = [put(workplace, "count") for _ in range(3)]
    workplace.redis.hset(f"rq:job:{ids[1]}", "meta", meta)

    workplace.work()

    assert sorted(ran) == sorted(f"count {job_id[:32]}" for job_id in ids)
    assert [places(workplace.redis, job_id) for job_id in ids] == [["finished"]] * 3


def test_what_else_a_meta_holds_is_kept(open_workplace: WorkplaceFactory) -> None:
    """Only what is no JSON goes."""
    workplace = open_workplace(some_jobs()[0])
    job_id = put(workplace, "count")
    workplace.redis.hset(f"rq:job:{job_id}", "meta", '{"x": NaN, "order": ["ab", "1.5"], "attempt": 1}')

    workplace.work()

    meta: Any = workplace.redis.hget(f"rq:job:{job_id}", "meta")
    assert json.loads(meta) == {"attempt": 2, "order": ["ab", "1.5"]}


def a_hash(redis: Redis, key: str) -> None:
    """Have a key hold what no key of these does."""
    redis.delete(key)
    redis.hset(key, "x", "x")


def a_text(redis: Redis, key: str) -> None:
    """Likewise."""
    redis.delete(key)
    redis.set(key, "x")


def rubbish_starts(redis: Redis, key: str) -> None:
    """The right kind, with something else in it."""
    redis.rpush(key, *["x"] * 1000)


OURS: list[tuple[str, Callable[[Redis, str], None]]] = [
    ("deskbell:slots:few", a_text),
    ("deskbell:slots:few", a_hash),
    ("deskbell:starts:slow", a_text),
    ("deskbell:starts:slow", rubbish_starts),
    ("deskbell:paused", a_text),
]


@pytest.mark.parametrize(("key", "damage"), OURS)
def test_a_damaged_key_of_ours_is_said_and_deleted(
    key: str, damage: Callable[[Redis, str], None], open_workplace: WorkplaceFactory
) -> None:
    """It is of no use to anybody; every job of every type runs once."""
    jobs, ran = some_jobs()
    workplace = open_workplace(jobs)
    damage(workplace.redis, key)
    for name, queue in (("count", "default"), ("few", "default"), ("slow", "other"), ("guarded", "other")):
        put(workplace, name, queue=queue)

    with capture_logs() as logs:
        workplace.work("default", "other")

    assert runs(ran) == {"count": 1, "few": 1, "slow": 1, "guarded": 1}
    assert {line["key"] for line in logs if line["event"] == "key_damaged"} == {key}
    assert workplace.redis.type(key) in (b"none", b"list")


@pytest.mark.parametrize("damage", [a_hash, a_text])
@pytest.mark.parametrize("key", ["rq:queue:other", "rq:wip:other"])
def test_a_queue_that_cannot_be_read_is_said_and_passed_over(
    key: str, damage: Callable[[Redis, str], None], open_workplace: WorkplaceFactory
) -> None:
    """RQ's key is left as it is; the other queues go on, and when it is mended so does this one."""
    jobs, ran = some_jobs()
    workplace = open_workplace(jobs)
    waiting = put(workplace, "slow", queue="other")
    aside = workplace.redis.dump("rq:queue:other")
    damage(workplace.redis, key)
    for _ in range(3):
        put(workplace, "count")

    with capture_logs() as logs:
        workplace.work("other", "default")
    then = runs(ran)
    workplace.redis.delete(key)
    workplace.redis.restore("rq:queue:other", 0, aside, replace=True)  # type: ignore[arg-type]  # bytes
    workplace.work("other", "default")

    assert then == {"count": 3}
    assert {line["key"] for line in logs if line["event"] == "key_damaged"} == {key}
    assert runs(ran) == {"count": 3, "slow": 1}
    assert places(workplace.redis, waiting, "other") == ["finished"]


def test_a_damaged_registry_of_finished_jobs_holds_up_nothing(open_workplace: WorkplaceFactory) -> None:
    """The jobs are done; only that registry does not show it."""
    jobs, ran = some_jobs()
    workplace = open_workplace(jobs)
    a_text(workplace.redis, "rq:finished:other")
    done = put(workplace, "slow", queue="other")
    put(workplace, "count")

    workplace.work("other", "default")
    workplace.work("other", "default")

    assert runs(ran) == {"slow": 1, "count": 1}
    assert workplace.redis.hget(f"rq:job:{done}", "status") == b"finished"
    assert places(workplace.redis, done, "other") == []


def test_a_damaged_registry_of_started_jobs_does_not_have_a_job_run_twice(
    open_workplace: WorkplaceFactory, redis: Redis, valkey_url: str
) -> None:
    """What has succeeded is settled: the execution's own key tells that it is still its worker's."""
    workplace = open_workplace(some_jobs()[0])
    job_id = put(workplace, "count")

    with executions(valkey_url) as step:
        claims = claim_all(step)
        a_text(redis, "rq:wip:default")
        lost, left = step(lambda ours: ours.settle(claims))

    assert (lost, left) == (set(), set())
    assert redis.hget(f"rq:job:{job_id}", "status") == b"finished"
    assert redis.keys("rq:execution:*") == []


def test_a_damaged_count_of_failures_buries_nothing(open_workplace: WorkplaceFactory) -> None:
    """Text where a number should be is deleted; the attempt counts as one, and the next is made."""
    jobs = Jobs()

    @jobs.on(ApiCall, attempts=8, breaker=Breaker(failures=50))
    def call(event: ApiCall) -> None:  # noqa: ARG001
        raise OSError

    workplace = open_workplace(jobs)
    a_text(workplace.redis, "deskbell:failures:call")
    job_id = put(workplace, "call", attempts=8)

    workplace.work()

    assert places(workplace.redis, job_id) == ["scheduled"]
    assert workplace.redis.get("deskbell:failures:call") == b"1"


@pytest.mark.parametrize("until", ['"x"', "null", "1e999", "-1", "[]", "NaN"])
def test_a_pause_with_an_end_that_is_no_time_is_none(until: str, open_workplace: WorkplaceFactory) -> None:
    """It must not stop a worker's claims."""
    jobs, ran = some_jobs()
    workplace = open_workplace(jobs)
    workplace.redis.hset(PAUSED_KEY, "guarded", f'{{"queue": "other", "since": 1, "until": {until}}}')
    put(workplace, "guarded", queue="other")

    workplace.work("other")

    assert runs(ran) == {"guarded": 1}


def test_no_pause_is_longer_than_its_job_types(redis: Redis) -> None:
    """A digit too many is not waited for."""
    jobs = some_jobs()[0]
    now = 1_800_000_000_000
    redis.hset(PAUSED_KEY, "guarded", json.dumps({"queue": "other", "since": now, "until": now * 100}))

    def may_claim(at: int) -> bool:
        return bool(redis.eval(f"{limits_text(jobs)} return may_claim('other', {at}) > 0 and 1 or 0", 0))

    assert [may_claim(now), may_claim(now + 59_999), may_claim(now + 60_000)] == [False, False, True]


ABANDONING: list[tuple[str, bool]] = [
    ("rq:worker:dead:executions", True),
    ("rq:executions:{}", True),
    ("rq:queue:default", False),
]


@pytest.mark.parametrize("damage", [a_hash, a_text])
@pytest.mark.parametrize(("key", "is_put_back"), ABANDONING)
def test_recovery_loses_no_job(
    key: str,
    is_put_back: bool,
    damage: Callable[[Redis, str], None],
    open_workplace: WorkplaceFactory,
    redis: Redis,
    valkey_url: str,
) -> None:
    """It is pushed first and struck off last: what cannot be pushed now stays abandoned, for a later time."""
    workplace = open_workplace(some_jobs()[0])
    job_id = put(workplace, "count")
    with executions(valkey_url, "dead") as step:
        claim_all(step)
    expire(redis)
    damage(redis, key.format(job_id))

    with executions(valkey_url, "ours") as step:
        recovered = step(lambda ours: ours.recover("default")).job_ids
        at_first = places(redis, job_id)
        redis.delete(key.format(job_id))
        if not is_put_back:
            recovered = step(lambda ours: ours.recover("default")).job_ids

    assert recovered == [job_id.encode()]
    assert at_first == (["queue"] if is_put_back else ["wip"])
    assert redis.lrange("rq:queue:default", 0, -1) == [job_id.encode()]
    assert redis.zcard("rq:wip:default") == 0


@pytest.mark.parametrize("key", [key for key, _ in ABANDONING])
def test_putting_back_loses_no_job(key: str, open_workplace: WorkplaceFactory, redis: Redis, valkey_url: str) -> None:
    """Likewise when a worker ends: what cannot be put back is recovered when its lease has run out."""
    workplace = open_workplace(some_jobs()[0])
    job_id = put(workplace, "count")

    with executions(valkey_url, "dead") as step:
        claims = claim_all(step)
        a_text(redis, key.format(job_id))
        step(lambda ours: ours.put_back(claims))

    assert places(redis, job_id) == (["wip"] if key == "rq:queue:default" else ["queue"])


def test_a_job_that_is_on_its_queue_still_is_not_put_there_again(
    open_workplace: WorkplaceFactory, redis: Redis, valkey_url: str
) -> None:
    """However it came to be at two places: put back, or recovered, it is at one."""
    workplace = open_workplace(some_jobs()[0])
    ids = [put(workplace, "count") for _ in range(2)]

    with executions(valkey_url) as step:
        claims = claim_all(step)
        redis.rpush("rq:queue:default", *ids)
        step(lambda ours: ours.put_back(claims[:1]))
        expire(redis)
        step(lambda ours: ours.recover("default"))

    assert [places(redis, job_id) for job_id in ids] == [["queue"]] * 2


DOOMED = [
    "rq:worker:ours", "rq:worker:ours:executions", "rq:executions:{}", "rq:results:{}", "rq:job:{}",
    "rq:wip:default", "deskbell:slots:few",
]  # fmt: skip


@pytest.mark.parametrize("damage", [a_text, a_hash])
@pytest.mark.parametrize("key", DOOMED)
def test_a_claim_that_comes_upon_damage_anywhere_loses_and_doubles_nothing(
    key: str,
    damage: Callable[[Redis, str], None],
    open_workplace: WorkplaceFactory,
    redis: Redis,
    valkey_url: str,
) -> None:
    """Whatever it could not write, each other job is at one place, and is at one place when it has been put back."""
    jobs = some_jobs()[0]
    workplace = open_workplace(jobs)
    ids = [put(workplace, name) for name in ("count", "few", "few", "count")]
    damage(redis, key.format(ids[0]))
    others = ids[1:] if key == "rq:job:{}" else ids

    async def claim_and_put_back() -> tuple[list[list[str]], list[list[str]]]:
        async with AsyncRedis.from_url(valkey_url) as connection:
            ours = Executions(connection, ledger("ours", workplace.performer))
            claims = (await ours.claim(["default"], 10)).claims
            claimed = [places(redis, job_id) for job_id in others]
            await ours.put_back(claims)
            return claimed, [places(redis, job_id) for job_id in others]

    claimed, put_back = asyncio.run(claim_and_put_back())

    is_readable = key != "rq:wip:default"
    assert claimed == [["wip" if is_readable else "queue"]] * len(others)
    assert put_back == [["queue"]] * len(others)
    assert redis.lrange("rq:queue:default", 0, -1) == [job_id.encode() for job_id in others]


def test_what_the_server_refuses_is_no_damage(redis: Redis) -> None:
    """A key is not deleted because the server is full; the error goes on to the worker, which waits."""
    jobs = some_jobs()[0]
    redis.rpush("deskbell:starts:slow", "1 x")
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(OutOfMemoryError):
            redis.eval(f"{limits_text(jobs)} return admits('slow', 'x', 5) and 1 or 0", 0)
        with pytest.raises(OutOfMemoryError):
            redis.eval(f"{limits_text(jobs)} return {{try('k', redis.call, 'LPUSH', 'k', 'x')}}", 0)
    finally:
        redis.config_set("maxmemory", 0)
    assert redis.lrange("deskbell:starts:slow", 0, -1) == [b"1 x"]


def test_a_damaged_key_is_said_twice_a_minute_at_most() -> None:
    """It is met at every claim."""
    now = [0.0]
    log = DamageLog(lambda: now[0])

    with capture_logs() as logs:
        for second in range(61):
            now[0] = second
            log.say([b"rq:queue:x", b"rq:queue:x"])

    assert len(logs) == 3


def test_data_that_unpack_to_more_than_there_is_room_for_are_damage(open_workplace: WorkplaceFactory) -> None:
    """A dead letter at once, on either way to it; the worker's memory stays what it was."""
    jobs, ran = some_jobs()
    workplace = open_workplace(jobs)
    packing = zlib.compressobj()
    bomb = b"".join(packing.compress(b" " * 1_000_000) for _ in range(1000)) + packing.flush()
    bad, good = put(workplace, "count"), put(workplace, "count")
    workplace.redis.hset(f"rq:job:{bad}", "data", bomb)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    workplace.work()

    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000  # KB; the data are a gigabyte
    assert (places(workplace.redis, bad), places(workplace.redis, good)) == (["failed"], ["finished"])
    assert runs(ran) == {"count": 1}


def test_data_are_unpacked_up_to_a_size() -> None:
    """Compressed or not."""
    fits, exceeds = b"x" * MOST_BYTES, b"x" * (MOST_BYTES + 1)

    assert unpack(zlib.compress(fits)) == unpack(fits) == fits
    for data in (zlib.compress(exceeds), exceeds, zlib.compress(fits)[:-9]):
        with pytest.raises(ValueError, match="large"):
            unpack(data)


def test_a_job_and_all_that_rq_keeps_of_it_expire_together(open_workplace: WorkplaceFactory) -> None:
    """Also what it waited for: nobody would ever look at it again, or delete it."""
    jobs = Jobs()

    @jobs.on(ApiCall, ordered_by="session", keep=100)
    def note(event: ApiCall) -> None:
        if event.node == "dies":
            raise Discard("no")

    workplace = open_workplace(jobs)
    ids = []
    for node in ("a", "dies", "b"):
        event = api_call(node, SystemSessionID="s")
        workplace.put_jobs(event)
        ids.append(f"{event.id}-note")
    keys = [Job(job_id, workplace.redis, JSONSerializer).dependencies_key for job_id in ids]
    waited = [workplace.redis.exists(key) for key in keys]

    workplace.work()
    last = workplace.redis.ttl(keys[2])
    kept = workplace.redis.exists(keys[1])
    Replays(workplace.redis, "li").discard([all_letters(workplace.redis)], "", lambda _: None)

    assert waited == [0, 1, 1]
    assert 0 < last <= 100
    assert (kept, workplace.redis.exists(keys[1])) == (1, 0)
