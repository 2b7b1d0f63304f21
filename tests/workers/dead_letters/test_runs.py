"""Runs of replays: their rate, and the records of them."""

import pytest
from redis import Redis

from shared.declarations.policies import Rate
from tests.workers.failed_jobs import all_dead_letters, write_dead_letters
from workers.audit import AuditLog
from workers.dead_letters.registry import DeadLetter, DeadLetters, Selection
from workers.dead_letters.replay import Replays, Throttle


class Clock:
    """A time that passes only while it is slept through."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("rate", ["20/s", "3/s", "600/min", "1000/h", "10000/s"])
def test_a_replay_keeps_its_rate(redis: Redis, rate: str) -> None:
    """In no period more than allowed, and in the long run no less."""
    write_dead_letters(redis, 60)
    parsed = Rate.parse(rate)
    assert parsed
    clock = Clock()
    times: list[float] = []

    throttle = Throttle(parsed, clock, clock.sleep)
    Replays(redis, "me").replay(
        DeadLetters(redis).pages(Selection()), "", throttle, lambda count: times.extend([clock.now] * count)
    )

    period = parsed.period_ms / 1000
    assert len(times) == 60
    for begin in times:
        assert sum(begin <= at < begin + period - 1e-9 for at in times) <= parsed.starts + throttle.batch
    assert times[-1] - times[0] <= 60 * period / parsed.starts
    assert times[-1] - times[0] >= (60 - throttle.batch) * period / parsed.starts - 1e-6


def test_a_run_is_recorded_with_who_when_which_and_how_many(redis: Redis) -> None:
    """The last one first; an interrupted run is marked as such."""
    write_dead_letters(redis, 5)
    dead_letters: list[DeadLetter] = all_dead_letters(redis)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    replays = Replays(redis, "li@desk")
    with pytest.raises(KeyboardInterrupt):
        replays.replay([dead_letters[:2], dead_letters[2:]], "--job 'crm.contact'", Throttle(), interrupt)
    replays.discard([dead_letters], "--all", lambda _: None)

    (second, first) = AuditLog(redis).latest(10)
    assert (first.by, first.action, first.selection, first.done, first.end) == (
        "li@desk",
        "replay",
        "--job 'crm.contact'",
        2,
        "interrupted",
    )
    assert (second.action, second.done, second.end) == ("discard", 3, "done")
    assert first.began_at <= second.began_at
    assert AuditLog(redis).latest(1) == [second]


def test_records_of_runs_expire(redis: Redis) -> None:
    """After 90 days, with their entry in the list."""
    redis.zadd("deskbell:dead:runs", {"old": 1.0})

    key = AuditLog(redis).begin("replay", "--all", "me")

    assert 0 < int(redis.ttl(key)) <= 90 * 24 * 3600
    assert len(AuditLog(redis).latest(10)) == 1
    assert redis.zcard("deskbell:dead:runs") == 1
