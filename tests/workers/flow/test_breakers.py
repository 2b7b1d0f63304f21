"""Breakers: when `limits.lua` pauses a queue and resumes it, and what workers make of it."""

import json
import re
import time
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from deskbell import ApiCall, Backoff, Breaker, Discard, Jobs, Retry, Unavailable
from deskbell.testing import api_call
from shared.redis.breakers import PAUSED_KEY, paused_queues, read_pauses
from tests.conftest import WorkplaceFactory
from tests.logged import capture_logs
from tests.workers.flow.limited import NOW, UNLIMITED, Lua, job_type, put


def test_failures_in_a_row_pause_the_queue(redis: Redis) -> None:
    """A success ends the row; the attempts that make it count."""
    lua = Lua(redis, job_type(breaker=Breaker(failures=3, pause=10)))

    counted = [lua.fail("a"), lua.fail("b")]
    lua.succeed("c")
    counted += [lua.fail("d"), lua.fail("e")]
    before = lua.may_claim()
    counted.append(lua.fail("f"))

    assert counted == [1] * 5
    assert before == UNLIMITED
    assert lua.may_claim() == lua.may_claim(NOW + 9_999) == 0
    [pause] = paused_queues(redis)
    assert (pause.queue, pause.job_type, pause.cause) == ("crm", "crm.contact", "OSError 4 at x")
    assert (pause.since.timestamp() * 1000, pause.until.timestamp() * 1000) == (NOW, NOW + 10_000)


def test_a_failure_that_stands_for_all_pauses_the_queue_at_once(redis: Redis) -> None:
    """The service is down for everybody: nine more jobs would only fail the same way."""
    lua = Lua(redis, job_type(breaker=Breaker(failures=10, pause=10)))

    lua.fail("a", failures=10)

    assert lua.may_claim() == 0


def paused(redis: Redis) -> Lua:
    """A queue that has been paused for ten seconds."""
    lua = Lua(redis, job_type(breaker=Breaker(failures=1, pause=10)))
    lua.fail("first")
    return lua


def test_after_the_pause_one_job_is_tried_and_its_success_resumes(redis: Redis) -> None:
    """While it is under way no other is claimed."""
    lua = paused(redis)

    probes = [lua.probe("a", NOW + 10_000), lua.probe("b", NOW + 10_001)]
    lua.succeed("a")

    assert probes == [(True, True), (False, False)]
    assert lua.may_claim(NOW + 10_002) == UNLIMITED
    assert paused_queues(redis) == []


def test_a_probe_that_fails_pauses_anew_and_its_attempt_does_not_count(redis: Redis) -> None:
    """Nor does that of a job which was under way when the queue was paused; its success resumes nothing."""
    lua = paused(redis)

    under_way = lua.fail("under way", NOW + 1)
    lua.succeed("under way, too")
    still_paused = lua.may_claim(NOW + 2)
    lua.probe("a", NOW + 10_000)
    probe = lua.fail("a", NOW + 12_000)

    assert (under_way, still_paused, probe) == (0, 0, 0)
    assert [lua.probe("b", NOW + 21_999), lua.probe("b", NOW + 22_000)] == [(False, False), (True, True)]


def test_a_probe_that_was_released_or_whose_worker_died_leaves_room_for_another(redis: Redis) -> None:
    """At once, or when its time-out and a minute have passed."""
    lua = paused(redis)
    lua.probe("a", NOW + 10_000)
    lua.leave("a")

    assert lua.probe("b", NOW + 10_001) == (True, True)
    assert lua.may_claim(NOW + 100_000) == 0
    assert lua.probe("c", NOW + 100_001) == (True, True)


def test_a_job_of_another_type_is_no_probe(redis: Redis) -> None:
    """It says nothing about what the paused type calls, and after the pause nothing holds it back but a probe."""
    lua = paused(redis)

    during, after = lua.probe("x", NOW + 9_999, "other"), lua.probe("x", NOW + 10_000, "other")
    probe = lua.probe("a", NOW + 10_000)
    beside = lua.probe("y", NOW + 10_001, "other")

    assert (during, after) == ((False, False), (True, False))
    assert (probe, beside) == ((True, True), (False, False))


def test_a_pause_that_has_passed_leaves_the_breakers_of_other_types_alone(
    open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """Two types on a queue: when no job of the first comes again, the second pauses the queue all the same."""
    jobs = Jobs()
    breaker = Breaker(failures=2, pause=3600)

    @jobs.on(ApiCall, attempts=1, breaker=breaker, node="first")
    def first(event: ApiCall) -> None:  # noqa: ARG001
        raise OSError

    @jobs.on(ApiCall, attempts=1, breaker=breaker, node="second")
    def second(event: ApiCall) -> None:  # noqa: ARG001
        raise OSError

    workplace = open_workplace(jobs)
    for node in ("first", "first"):
        workplace.put_jobs(api_call(node))
    workplace.work(concurrency=1)
    end_pause(redis, "first")
    for _ in range(10):
        workplace.put_jobs(api_call("second"))

    workplace.work(concurrency=1)

    assert (workplace.queue().failed_job_registry.count, workplace.queue().count) == (4, 8)
    assert sorted(redis.hkeys(PAUSED_KEY)) == [b"first", b"second"]
    assert [(pause.queue, pause.job_type) for pause in paused_queues(redis)] == [("default", "second")]


def test_a_pause_that_is_long_past_is_forgotten(redis: Redis) -> None:
    """After a day the pause is forgotten; the count of failures in a row begins anew."""
    lua = paused(redis)

    lua.may_claim(NOW + 10_000 + 24 * 3600 * 1000)
    is_kept = paused_queues(redis)
    lua.may_claim(NOW + 10_001 + 24 * 3600 * 1000)

    assert (len(is_kept), paused_queues(redis)) == (1, [])


def test_no_pause_is_longer_than_its_job_types(redis: Redis) -> None:
    """A breaker that was declared with a shorter pause since does not wait for the longer one."""
    lua = paused(redis)
    redis.hset(PAUSED_KEY, "crm-contact", json.dumps({"queue": "crm", "since": NOW, "until": NOW * 2}))

    may_claim = [lua.may_claim(NOW + later) > 0 for later in (0, 9_999, 10_000)]

    assert may_claim == [False, False, True]


def test_a_pause_that_a_failure_asked_for_is_as_long_as_it_asked(redis: Redis) -> None:
    """The quota of a day is not over after the breaker's ten seconds; the next failure's pause is the type's again."""
    lua = paused(redis)
    redis.delete(PAUSED_KEY)

    lua.fail("a", pause_ms=3_600_000)
    may_claim = [lua.may_claim(NOW + later) > 0 for later in (10_000, 3_599_999, 3_600_000)]
    lua.admits("b", NOW + 3_600_000)
    lua.fail("b", NOW + 3_600_000)
    later = [lua.may_claim(NOW + 3_600_000 + later) > 0 for later in (9_999, 10_000)]

    assert may_claim == [False, False, True]
    assert later == [False, True]


RUBBISH = ["no JSON", "5", f'{{"until": {NOW + 5000}}}']


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_a_pause_that_cannot_be_read_holds_nothing_back(redis: Redis, rubbish: str) -> None:
    """It must not keep every worker from claiming; the next failures pause the queue anew."""
    lua = paused(redis)
    redis.hset(PAUSED_KEY, "crm-contact", rubbish)

    assert lua.may_claim() == UNLIMITED
    assert lua.admits("a")
    lua.fail("b")
    assert lua.may_claim() == 0


def test_a_pause_that_has_passed_is_shown_only_while_a_job_is_tried() -> None:
    """When no job of its type comes, the queue must not be shown as paused for ever."""
    passed = {"queue": "crm", "since": 1000, "until": 2000, "cause": ""}
    tried = passed | {"probe": "a", "probe_until": NOW}

    assert read_pauses({b"note": json.dumps(passed).encode()}) == []
    assert [pause.queue for pause in read_pauses({b"note": json.dumps(tried).encode()})] == ["crm"]


def test_an_outage_costs_no_job_its_life(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """Ten jobs of two attempts outlive an outage of many probes; then all are done, and the queue goes on."""
    jobs, is_away, runs = Jobs(), [True], []

    @jobs.on(ApiCall, attempts=2, breaker=Breaker(failures=2, pause=3600), backoff=Backoff(base=1, jitter=0))
    def call(event: ApiCall) -> None:
        runs.append(event.id)
        if is_away:
            raise OSError

    workplace = open_workplace(jobs)
    events = put(workplace, 10)

    workplace.work(concurrency=1)
    in_the_row = len(runs)
    for _ in range(6):
        workplace.make_due()
        end_pause(redis)
        workplace.work()
    probes, dead = len(runs) - in_the_row, workplace.queue().failed_job_registry.count
    is_away.clear()
    end_pause(redis)
    workplace.make_due()
    workplace.work()

    assert (in_the_row, probes, dead) == (2, 6, 0)
    assert all(workplace.job(event, "call").is_finished for event in events)
    assert paused_queues(redis) == []


def end_pause(redis: Redis, name: str = "call") -> None:
    """Let the time of a pause pass."""
    [pause] = redis.hvals(PAUSED_KEY)
    redis.hset(PAUSED_KEY, name, json.dumps(json.loads(pause) | {"until": int(time.time() * 1000) - 1}))


def test_a_job_that_finds_nobody_served_pauses_the_queue_and_is_not_at_fault(
    open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """An expired token: no job fails for good, one is tried at a time, and the log says why and when it is over."""
    jobs, is_expired, runs = Jobs(), [True], []

    @jobs.on(ApiCall, attempts=1, breaker=Breaker(failures=10, pause=3600), name="crm.call")
    def call(event: ApiCall) -> None:
        runs.append(event.id)
        if is_expired:
            raise Unavailable("the CRM does not know the token", code=401)

    workplace = open_workplace(jobs)
    events = put(workplace, 10)

    with capture_logs() as logs:
        workplace.work(concurrency=1)
        for _ in range(3):
            end_pause(redis, "crm-call")
            workplace.make_due()
            workplace.work()
        [pause] = paused_queues(redis)
        tried = len(runs)
        is_expired.clear()
        end_pause(redis, "crm-call")
        workplace.make_due()
        workplace.work()

    assert tried == 4
    assert all(workplace.job(event, "crm.call").is_finished for event in events)
    assert re.fullmatch(r"Unavailable 401 at flow/test_breakers.py:\d+ in call", pause.cause)
    paused_lines = [line for line in logs if line["event"] == "queue_paused"]
    assert [(line["queue"], line["job"], line["cause"]) for line in paused_lines] == [
        ("default", "crm.call", pause.cause)
    ] * 4
    assert [(line["queue"], line["job"]) for line in logs if line["event"] == "queue_resumed"] == [
        ("default", "crm.call")
    ]
    waits = [line for line in logs if line.get("outcome") == "retry"]
    assert [(line["code"], line["counts"], line["attempt"]) for line in waits] == [("401", False, 1)] * 4


def test_a_failure_whose_answer_was_lost_is_noted_once(
    open_workplace: WorkplaceFactory, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked again, the script says what it said: one more failure in a row, and the attempt still counts."""
    monkeypatch.setattr("workers.worker.outcomes.AGAIN_SECONDS", 0.05)
    jobs, lost = Jobs(), ["once"]

    @jobs.on(ApiCall, attempts=3, breaker=Breaker(failures=3))
    def call(event: ApiCall) -> None:  # noqa: ARG001
        raise OSError

    class Forgetful(Redis):
        """Loses the first answers about failures."""

        def evalsha(self, *arguments: Any) -> Any:
            answer = super().evalsha(*arguments)
            if lost and isinstance(answer, list):
                raise RedisConnectionError(lost.pop())
            return answer

    workplace = open_workplace(jobs)
    put(workplace, 1)
    workplace.redis = Forgetful(connection_pool=redis.connection_pool)

    workplace.work()

    assert not lost
    assert redis.get("deskbell:failures:call") == b"1"
    assert workplace.queue().scheduled_job_registry.count == 1
    assert redis.keys("deskbell:noted:*") == []


def test_the_jobs_under_way_when_the_breaker_trips_are_given_their_attempt_back(
    open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """Of thirty that fail at once, as many are counted as the breaker needs; all are tried again."""
    jobs = Jobs()

    @jobs.on(ApiCall, attempts=1, breaker=Breaker(failures=3, pause=3600))
    def call(event: ApiCall) -> None:  # noqa: ARG001
        raise OSError

    workplace = open_workplace(jobs)
    put(workplace, 30)

    with capture_logs() as logs:
        workplace.work()

    outcomes = [line["outcome"] for line in logs if line["event"] == "attempt"]
    assert (outcomes.count("dead"), outcomes.count("retry")) == (3, 27)
    assert workplace.queue().failed_job_registry.count == 3
    assert len(paused_queues(redis)) == 1


@pytest.mark.parametrize("answer", [Discard("gone"), Retry(after=1)])
def test_what_a_job_decides_is_no_failure(answer: Exception, open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """What it called has answered."""
    jobs = Jobs()

    @jobs.on(ApiCall, breaker=Breaker(failures=1))
    def call(event: ApiCall) -> None:  # noqa: ARG001
        raise answer

    workplace = open_workplace(jobs)
    put(workplace, 2)
    workplace.work()

    assert paused_queues(redis) == []
