"""Limits: what `limits.lua` decides of rates and concurrency, and what workers make of it."""

import dataclasses
import random
from typing import Any

import pytest
from redis import Redis

from deskbell import ApiCall, Breaker, Concurrency, Jobs
from deskbell.testing import api_call
from shared.errors import OutOfTurnError
from shared.redis.breakers import PAUSED_KEY
from shared.redis.queues import PERFORM
from tests.conftest import WorkplaceFactory
from tests.waiting import until
from tests.workers.claiming import claim as claim_one
from tests.workers.claiming import worker_of
from tests.workers.flow.limited import NOW, UNLIMITED, Lua, job_type, put
from tests.workers.running import Workplace, jobs_in, running_worker
from workers.attempt import Attempt
from workers.job import AllowListedJob
from workers.lease import Lease


def started(lua: Lua, *times: int, takes: int = 0) -> list[int]:
    """Ask at each of the times, in ms, for a start of a job that takes so long; when it was given."""
    given: list[int] = []
    running: list[int] = []
    for at in times:
        for begun in [begun for begun in running if begun + takes <= at]:
            lua.leave(f"job {begun}", NOW + begun + takes)
            running.remove(begun)
        if lua.admits(f"job {at}", NOW + at):
            given.append(at)
            running.append(at)
    return given


def test_a_start_counts_until_a_period_after_its_job_has_ended(redis: Redis) -> None:
    """The period slides; the fourth start waits until the first job has ended a whole period ago."""
    brief, long = Lua(redis, job_type(limit="3/s")), range(900, 4000, 50)

    assert started(brief, *long) == [900, 950, 1000, 1900, 1950, 2000, 2900, 2950, 3000, 3900, 3950]
    redis.flushall()
    assert started(brief, *long, takes=400) == [900, 950, 1000, 2300, 2350, 2400, 3700, 3750, 3800]


def test_a_start_of_a_long_job_counts_for_two_periods(redis: Redis) -> None:
    """Else five a second would become five an hour; and a worker that died gives nothing back."""
    lua = Lua(redis, job_type(limit="1/s"))

    assert started(lua, *range(0, 4500, 50), takes=60_000) == [0, 2000, 4000]


@pytest.mark.parametrize("seed", range(5))
def test_within_any_period_what_is_called_is_reached_no_more_often_than_the_rate_says(redis: Redis, seed: int) -> None:
    """However long a job takes to reach it, a period at most, and to end: at the callee, not where jobs are started."""
    lua, chance = Lua(redis, job_type(limit="3/s")), random.Random(seed)
    ends: dict[str, int] = {}
    reached = []

    for at in range(0, 12_000, 40):
        for job_id in [job_id for job_id, end in ends.items() if end <= at]:
            lua.leave(job_id, NOW + ends.pop(job_id))
        if lua.admits(f"job {at}", NOW + at):
            reached.append(at + chance.choice([0, 5, chance.randrange(1000)]))
            ends[f"job {at}"] = reached[-1] + chance.choice([0, 5, chance.randrange(2000)])

    reached.sort()
    assert len(reached) > 12
    assert min(later - one for one, later in zip(reached, reached[3:], strict=False)) >= 1000


def test_a_job_that_begins_late_starts_anew_or_waits(open_workplace: WorkplaceFactory, valkey_url: str) -> None:
    """Its loop was blocked since the claim: the start may count no more when it reaches what it calls."""
    jobs = Jobs()

    @jobs.on(ApiCall, limit="1/min")
    def call(event: ApiCall) -> None: ...

    workplace = open_workplace(jobs)
    put(workplace, 1)
    with worker_of(workplace, valkey_url) as step:
        [claim] = claim_one(step).leases
    late = attempt_of(workplace, dataclasses.replace(claim, asked_at=claim.asked_at - 31))
    job = AllowListedJob.of(claim, workplace.redis)
    before = workplace.redis.zscore("deskbell:rate:call", claim.job_id) or 0

    is_late = not late.has_begun
    late.begin(job)
    after = workplace.redis.zscore("deskbell:rate:call", claim.job_id) or 0
    workplace.redis.delete("deskbell:rate:call")
    workplace.redis.zadd("deskbell:rate:call", {"another": after})
    much_later = attempt_of(workplace, dataclasses.replace(claim, asked_at=claim.asked_at - 300))

    assert is_late
    assert after > before
    with pytest.raises(OutOfTurnError, match="it began too late"):
        much_later.begin(job)


def attempt_of(workplace: Workplace, lease: Lease) -> Attempt:
    """The attempt at a claimed job, before it has begun."""
    attempt = Attempt(workplace.performer, "call", api_call().to_wire(), lease)
    attempt.prepare()
    return attempt


def test_a_start_that_is_given_back_is_free_and_no_other(redis: Redis) -> None:
    """Of a job that did not begin after all: its own, wherever it stands among the others."""
    lua = Lua(redis, job_type(limit="3/s"))
    for at, job_id in enumerate("abc"):
        lua.admits(job_id, NOW + at * 100)

    lua.run("uncount_start('crm-contact', 'b') uncount_start('crm-contact', 'unknown')")

    assert [lua.admits("d", NOW + 300), lua.admits("e", NOW + 1999), lua.admits("e", NOW + 2000)] == [True, False, True]


def test_no_more_jobs_run_at_once_than_the_concurrency_says(redis: Redis) -> None:
    """A slot is free when its job has left its worker; a job that is claimed again does not wait for itself."""
    lua = Lua(redis, job_type(limit=Concurrency(2)))

    first = [lua.admits(job_id) for job_id in ("a", "a", "b", "c")]
    lua.leave("a")

    assert first == [True, True, True, False]
    assert [lua.admits(job_id) for job_id in ("c", "d")] == [True, False]


def test_a_slot_comes_back_when_its_job_can_run_no_longer(redis: Redis) -> None:
    """The time-out and a minute: a worker that died gives nothing back itself."""
    lua = Lua(redis, job_type(limit=Concurrency(1)))
    lua.admits("a")

    assert not lua.admits("b", NOW + 89_999)
    assert lua.admits("b", NOW + 90_000)


def test_a_job_type_without_limits_writes_nothing(redis: Redis) -> None:
    """Nor does one that this worker does not know, nor an event."""
    lua = Lua(redis, job_type())

    assert all(lua.admits("a", job_type=name) for name in ("crm-contact", "unknown", ""))
    lua.succeed("a")
    assert lua.fail("a") == 1
    assert lua.may_claim() == lua.may_claim(queue="events") == UNLIMITED
    assert redis.keys() == []


COUNTING = """
import os
from redis import Redis
from deskbell import ApiCall, Concurrency, Jobs

jobs = Jobs()

@jobs.on(ApiCall, queue="crm", limit=Concurrency(3))
def count(event: ApiCall) -> None:
    with Redis.from_url(os.environ["DESKBELL_REDIS_URL"]) as redis:
        redis.rpush("at once", redis.incr("running"))
        redis.blpop("nothing", 0.02)
        redis.decr("running")
"""


def test_a_concurrency_holds_across_processes(
    open_workplace: WorkplaceFactory, redis: Redis, valkey_url: str, tmp_path: Any
) -> None:
    """Two workers with many free slots each never run more jobs together, and do reach the limit."""
    put(open_workplace(jobs_in(COUNTING)), 60)

    with (
        running_worker(tmp_path, COUNTING, valkey_url, "crm"),
        running_worker(tmp_path, COUNTING, valkey_url, "crm"),
    ):
        until(lambda: redis.llen("at once") == 60)

    assert max(map(int, redis.lrange("at once", 0, -1))) == 3


def test_a_late_failure_frees_no_slot_and_counts_for_nothing(open_workplace: WorkplaceFactory) -> None:
    """Its worker was frozen, and the job is somebody else's: so is its slot."""
    jobs = Jobs()
    redis: Redis

    @jobs.on(ApiCall, attempts=3, limit=Concurrency(1), breaker=Breaker(failures=1, pause=60))
    def late(event: ApiCall) -> None:  # noqa: ARG001
        member: Any = redis.zrange("rq:wip:default", 0, -1)[0]
        redis.zrem("rq:wip:default", member)
        redis.delete(f"rq:execution:{member.decode()}")
        raise OSError

    workplace, event = open_workplace(jobs, abandoned_seconds=5), api_call()  # its next heartbeat comes soon
    redis = workplace.redis
    workplace.put_jobs(event)

    workplace.work()

    assert redis.zrange("deskbell:slots:late", 0, -1) == [f"{event.id}-late".encode()]
    assert not redis.exists("deskbell:failures:late", PAUSED_KEY)


@pytest.mark.parametrize("damage", ["data", "name"])
def test_a_job_that_is_refused_frees_the_slot_that_it_was_claimed_by(
    damage: str, open_workplace: WorkplaceFactory
) -> None:
    """Whatever type its data names: a slot is given by what its id says."""
    jobs = Jobs()

    @jobs.on(ApiCall, limit=Concurrency(1))
    def few(event: ApiCall) -> None: ...

    workplace, event = open_workplace(jobs), api_call()
    queue = workplace.queue()
    job = queue.create_job(PERFORM, args=["unknown", event.to_wire()], job_id=f"{event.id}-few", failure_ttl=-1)
    queue.enqueue_job(job)
    if damage == "data":
        workplace.redis.hset(job.key, "data", b"\xff")

    workplace.work()

    ended = queue.failed_job_registry if damage == "data" else queue.scheduled_job_registry
    assert ended.get_job_ids() == [job.id]
    assert workplace.redis.zcard("deskbell:slots:few") == 0
