"""What a claim takes, what it leaves where it is, and what it says of the rest."""

import asyncio
import os
import signal
import time
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis

from deskbell import ApiCall, Breaker, Concurrency, Jobs, Settings
from shared.redis.connections import connect_pipelined
from shared.redis.pipelining import TooFewReplicasError
from tests.conftest import WorkplaceFactory
from tests.logged import capture_logs
from tests.replicated import PASSWORD, Replicated
from tests.waiting import DEADLINE_SECONDS
from tests.workers.claiming import claim, counting_jobs, limited_jobs, put_job, worker_of
from tests.workers.running import Workplace
from workers.lease import Lease
from workers.worker.leases import Claimed, Leases
from workers.worker.polling import Wakeup

WINDOW = 500


def put_ids(redis: Redis, count: int, name: str) -> None:
    """Put ids on a queue that have no job."""
    redis.rpush("rq:queue:default", *[f"{number:032x}-{name}" for number in range(count)])


@pytest.mark.parametrize(("held", "is_claimed"), [(WINDOW - 1, True), (WINDOW, False)])
def test_five_hundred_ids_of_a_queue_are_looked_at(
    held: int, is_claimed: bool, open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """What a limit holds back does not hold up what stands behind it, as far as a claim looks; no farther."""
    workplace = open_workplace(limited_jobs(Concurrency(1)))
    redis.zadd("deskbell:slots:few", {"another": 9e15})
    put_ids(redis, held, "few")
    for number in range(held):
        redis.hset(f"rq:job:{number:032x}-few", "data", "{}")
    job_id = put_job(workplace, "free")

    with worker_of(workplace, valkey_url) as step:
        claimed = claim(step)

    assert [each.job_id for each in claimed.leases] == ([job_id] if is_claimed else [])
    assert claimed.lengths == {"default": held + (not is_claimed)}
    assert claimed.held == held


def test_an_id_without_a_job_keeps_neither_slot_nor_start(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """The next of its type begins in the same claim."""
    for limit in (Concurrency(1), "1/h"):
        redis.flushall()
        workplace = open_workplace(limited_jobs(limit))
        put_ids(redis, 1, "few")
        job_id = put_job(workplace, "few")

        with worker_of(workplace, valkey_url) as step:
            claimed = claim(step)

        assert [each.job_id for each in claimed.leases] == [job_id]
        assert len(claimed.missing) == 1


def test_a_burst_does_not_end_behind_ids_that_have_no_job(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """They are taken off, some hundreds at a claim, until there is nothing behind them."""
    jobs, ran = Jobs(), []

    @jobs.on(ApiCall)
    def count(event: ApiCall) -> None:
        ran.append(event.id)

    workplace = open_workplace(jobs)
    put_ids(redis, 3 * WINDOW + 1, "count")
    put_job(workplace, "count")

    with capture_logs() as logs:
        workplace.work()

    assert len(ran) == 1
    assert len([line for line in logs if line["event"] == "job_missing"]) == 3 * WINDOW + 1


def test_an_id_that_is_on_its_list_twice_runs_once(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """In one claim or in another, the one that is too many is taken off while the job runs."""
    jobs, ran = Jobs(), []

    @jobs.on(ApiCall)
    async def count(event: ApiCall) -> None:
        await asyncio.sleep(0)
        ran.append(event.id)

    workplace = open_workplace(jobs)
    ids = [put_job(workplace, "count") for _ in range(2)]
    redis.rpush("rq:queue:default", ids[0], ids[1], ids[0])

    workplace.work()

    assert sorted(ran) == sorted(job_id[:32] for job_id in ids)
    assert redis.llen("rq:queue:default") == 0


def test_a_job_that_is_queued_anew_while_it_runs_waits_until_it_has_ended(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """It was asked to run again, and not twice at once; a lease that has run out holds it up no longer."""
    workplace = open_workplace(limited_jobs("1000/s"))
    job_id = put_job(workplace, "free")

    with worker_of(workplace, valkey_url) as step:
        [first] = claim(step).leases
        redis.hset(f"rq:job:{job_id}", "status", "queued")
        redis.rpush("rq:queue:default", job_id)
        meanwhile = claim(step)
        step(lambda ours: ours.ack([(first, None)]))
        [second] = claim(step).leases
        redis.hset(f"rq:job:{job_id}", "status", "queued")
        redis.rpush("rq:queue:default", job_id)
        redis.zadd("rq:wip:default", {f"{job_id}:{second.execution_id}": 1})
        [third] = claim(step).leases

    assert (meanwhile.leases, meanwhile.held, meanwhile.lengths) == ([], 1, {"default": 1})
    assert second.job_id == third.job_id == job_id


@pytest.mark.parametrize("status", ["finished", "scheduled"])
def test_an_id_that_was_pushed_twice_is_run_once(
    status: str, open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """A client sends a push again whose answer was lost: the job has ended, or is to run later, by now."""
    workplace = open_workplace(limited_jobs("1/min"))
    job_id = put_job(workplace, "few")
    redis.hset(f"rq:job:{job_id}", "status", status)

    with worker_of(workplace, valkey_url) as step:
        claimed = claim(step)

    assert (claimed.leases, claimed.missing) == ([], [])
    assert redis.keys("rq:queue:*") == redis.keys("deskbell:rate:*") == []


def test_a_claim_says_when_a_rate_lets_go(open_workplace: WorkplaceFactory, valkey_url: str) -> None:
    """The worker need not ask before; what only a slot can free has no time."""
    workplace = open_workplace(limited_jobs("1/min"))
    for name in ("few", "few", "free"):
        put_job(workplace, name)

    with worker_of(workplace, valkey_url) as step:
        claimed = claim(step)
        put_job(workplace, "free")
        unlimited = claim(step, queue="nothing")

    assert claimed.held == 1
    assert claimed.opens_in is not None
    assert 55 < claimed.opens_in <= 120
    assert unlimited.opens_in is None


def test_a_claim_says_when_a_pause_ends(open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis) -> None:
    """Then a job is tried."""
    jobs = Jobs()

    @jobs.on(ApiCall, breaker=Breaker(failures=1, pause=30))
    def one(event: ApiCall) -> None: ...

    workplace = open_workplace(jobs)
    now = int(time.time() * 1000)
    redis.hset("deskbell:paused", "one", f'{{"queue": "default", "since": {now}, "until": {now + 20_000}}}')
    put_job(workplace, "one")

    with worker_of(workplace, valkey_url) as step:
        claimed = claim(step)

    assert claimed.leases == []
    assert claimed.opens_in is not None
    assert 15 < claimed.opens_in <= 20


def test_the_starts_of_a_rate_are_forgotten_when_they_count_no_more(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """A type whose jobs have stopped coming leaves nothing behind."""
    workplace = open_workplace(limited_jobs("2/min"))
    put_job(workplace, "few")

    with worker_of(workplace, valkey_url) as step:
        claim(step)

    assert redis.zcard("deskbell:rate:few") == 1
    assert 0 < redis.pttl("deskbell:rate:few") <= 120_000


def test_a_worker_asks_for_what_is_held_back_ever_more_rarely(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits twice as long each time, up to half a second, and no longer than until a rate lets go."""
    workplace = open_workplace(limited_jobs("1/s"))
    claim_really, waits = Leases.claim, []
    opens_in = iter([None, None, None, None, None, None, 0.2])

    async def hold_back(self: Leases, queues: Any, free: int, events: int) -> Claimed:
        for seconds in opens_in:
            return Claimed([], suspended=False, held=1, lengths={"default": 1}, missing=[], opens_in=seconds)
        return await claim_really(self, queues, free, events)

    async def record(_: Wakeup, seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(Leases, "claim", hold_back)
    monkeypatch.setattr(Wakeup, "sleep", record)
    workplace.work()

    assert waits == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.5, 0.5, 0.2], abs=0.002)


def test_a_claim_waits_for_replicas(tmp_path: Path) -> None:
    """A master that was cut off from them may have been replaced: what it took is not begun, and is claimed later."""
    servers = Replicated(tmp_path)

    async def claim_twice(settings: Settings) -> list[Lease]:
        async with aclosing(connect_pipelined(settings, DEADLINE_SECONDS)) as redis:
            leases = Leases(redis, "ours", ["default"], counting_jobs()[0], settings)
            with pytest.raises(TooFewReplicasError):
                await leases.claim(["default"], free=1)
            os.kill(replica.pid, signal.SIGCONT)
            for _ in range(DEADLINE_SECONDS):
                with suppress(TooFewReplicasError):
                    if claimed := (await leases.claim(["default"], free=1)).leases:
                        return claimed
            return []

    try:
        port, replica = servers.start_pair()
        url = SecretStr(f"redis://:{PASSWORD}@127.0.0.1:{port}/0")
        settings = Settings(redis_url=url, min_replicas=1, abandoned_seconds=15)
        with servers.server(port) as redis:
            job_id = put_job(Workplace(redis, counting_jobs()[0], settings), "count")
        os.kill(replica.pid, signal.SIGSTOP)
        claimed = asyncio.run(claim_twice(settings))
    finally:
        servers.close()

    assert [lease.job_id for lease in claimed] == [job_id]
