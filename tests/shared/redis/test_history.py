"""Counts of callbacks and jobs by minute: what is written can be read, and nothing is counted twice."""

import asyncio
import time

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from shared.redis.history import (
    COARSE_KEY,
    COARSE_SECONDS,
    FINE_SECONDS,
    MINUTE_KEY,
    TOTALS_KEY,
    History,
    Tally,
    quantile_ms,
    read_history,
    read_tallies,
    total,
)


@pytest.fixture
def history() -> History:
    """What one process has counted."""
    return History()


def write(history: History, valkey_url: str) -> None:
    """Write once."""

    async def once() -> None:
        async with AsyncRedis.from_url(valkey_url) as redis:
            await history.write(redis)

    asyncio.run(once())


def test_what_two_processes_count_is_added_up(history: History, redis: Redis, valkey_url: str) -> None:
    """By minute, by ten minutes and ever: outcomes, and how long each took, and from when on."""
    other = History()
    received = time.time() * 1000 - 10_000
    history.record("callback", "order_status", "answered", 4)
    history.record("job", "crm.contact", "retry", 900, received, 1)
    other.record("job", "crm.contact", "done", 90_000, received, 2)

    write(history, valkey_url)
    write(other, valkey_url)
    write(history, valkey_url)  # which has nothing new

    now = time.time()
    read = read_history(redis, now - 120, now)
    callbacks = total(tallies[each] for tallies in read.values() for each in tallies if each[0] == "callback")
    jobs = total(tallies[each] for tallies in read.values() for each in tallies if each[0] == "job")
    assert callbacks.outcomes == {"answered": 1}
    assert (quantile_ms(callbacks.ms, 0.5), sum(callbacks.waited_ms)) == (5, 0)
    assert jobs.outcomes == {"retry": 1, "done": 1}
    assert (jobs.ms[-1], sum(jobs.ms), jobs.sums["ms"]) == (1, 2, 90_900)
    assert (quantile_ms(jobs.waited_ms, 1), sum(jobs.waited_ms)) == (20_000, 1)
    assert (quantile_ms(jobs.whole_ms, 1), sum(jobs.whole_ms)) == (20_000, 1)
    totals = read_tallies(redis.hgetall(TOTALS_KEY))
    assert totals["job", "crm.contact"] == jobs


def test_minutes_are_kept_for_hours_and_ten_minutes_for_days(history: History, redis: Redis, valkey_url: str) -> None:
    """Their memory is bounded by time; what is older than the minutes is read by ten."""
    history.record("callback", "node", "answered", 1)

    write(history, valkey_url)

    (minute,), (coarse,) = redis.keys(f"{MINUTE_KEY}*"), redis.keys(f"{COARSE_KEY}*")
    assert FINE_SECONDS - 60 < redis.ttl(minute) <= FINE_SECONDS
    assert COARSE_SECONDS - 60 < redis.ttl(coarse) <= COARSE_SECONDS
    long = read_history(redis, time.time() - FINE_SECONDS - 3600, time.time())
    assert sum(tally.count for tallies in long.values() for tally in tallies.values()) == 1
    assert all(second % 600 == 0 for second in long)


@pytest.fixture
def damaged(redis: Redis) -> Redis:
    """Totals that somebody has written to."""
    others = ["job\ta\tms\t99", "job\tb\tms\tx", "job\tb\tms\t²"]
    redis.hset(TOTALS_KEY, mapping={"x": 1, "job\ta\toutcome\tdone": "x", **dict.fromkeys(others, 1)})
    return redis


def test_what_somebody_else_has_written_is_left_out(damaged: Redis) -> None:
    """It stops nobody from reading the rest."""
    damaged.hset(TOTALS_KEY, "job\tb\toutcome\tdone", 3)

    read = read_tallies(damaged.hgetall(TOTALS_KEY))

    assert total(read.values()).outcomes == {"done": 3}


def test_counts_outlast_an_outage(history: History, redis: Redis, valkey_url: str) -> None:
    """They are written when Redis is back."""
    history.record("callback", "node", "answered", 1)

    write(history, "redis://127.0.0.1:1")
    history.record("callback", "node", "answered", 1)
    write(history, valkey_url)

    totals = read_tallies(redis.hgetall(TOTALS_KEY))
    assert totals["callback", "node"].outcomes == {"answered": 2}


def test_counts_outlast_a_redis_that_takes_no_writes(history: History, redis: Redis, valkey_url: str) -> None:
    """A full one refuses all of them: what is not in doubt is written when it has room."""
    history.record("callback", "node", "answered", 1)

    try:
        redis.config_set("maxmemory", 1000)
        write(history, valkey_url)
        history.record("callback", "node", "answered", 1)
        write(history, valkey_url)
    finally:
        redis.config_set("maxmemory", 0)
    write(history, valkey_url)

    totals = read_tallies(redis.hgetall(TOTALS_KEY))
    assert totals["callback", "node"].outcomes == {"answered": 2}


def test_of_nothing_there_is_no_quantile() -> None:
    """And what took longer than all bounds is infinite."""
    assert quantile_ms(Tally().ms, 0.5) is None
    assert quantile_ms([0] * 23 + [1], 0.5) == float("inf")
