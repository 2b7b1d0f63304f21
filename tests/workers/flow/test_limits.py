"""Limits and breakers: what `limits.lua` decides, and what workers make of it.

Long, because one file holds what one script promises, each rule with a test that reads alone.
"""

import dataclasses
import json
import random
import re
import time
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from deskbell import ApiCall, Backoff, Breaker, Concurrency, Discard, Event, Jobs, Retry, Unavailable
from deskbell.testing import api_call
from shared.errors import OutOfTurnError
from shared.redis.breakers import PAUSED_KEY, paused_queues, read_pauses
from shared.redis.queues import PERFORM
from tests.conftest import WorkplaceFactory
from tests.logged import capture_logs
from tests.waiting import until
from tests.workers.claiming import claim as claim_one
from tests.workers.claiming import worker_of
from tests.workers.running import Workplace, jobs_in, running_worker
from workers.attempt import Attempt
from workers.flow.limits import limits_text
from workers.job import AllowListedJob
from workers.lease import Lease

NOW = 4_000_000_000_000  # far off: what is paused until then is paused
UNLIMITED = 1_000_000_000


def job_type(**options: Any) -> Jobs:
    """One job type, `crm.contact`, on the queue `crm`."""
    jobs = Jobs()

    @jobs.on(ApiCall, queue="crm", name="crm.contact", timeout=30, **options)
    def contact(event: ApiCall) -> None: ...

    return jobs


class Lua:
    """Calls the functions of `limits.lua` for job types."""

    def __init__(self, redis: Redis, jobs: Jobs) -> None:
        self._redis = redis
        self._text = limits_text(jobs)

    def run(self, code: str) -> Any:
        """Run code behind it."""
        return self._redis.eval(self._text + code, 0)

    def admits(self, job_id: str, now: int = NOW, job_type: str = "crm-contact") -> bool:
        """Whether a job may start."""
        return bool(self.run(f"return admits('{job_type}', '{job_id}', {now}) and 1 or 0"))

    def leave(self, job_id: str, now: int = NOW) -> None:
        """A job leaves its worker."""
        self.run(f"server_ms = function() return {now} end free_slot_and_lock('crm-contact', '{job_id}')")

    def may_claim(self, now: int = NOW, queue: str = "crm") -> int:
        """How many jobs may be claimed."""
        return int(self.run(f"return may_claim('{queue}', {now})"))

    def probe(self, job_id: str, now: int, job_type: str = "crm-contact") -> tuple[bool, bool]:
        """Lease one job as a claim does; whether it is admitted, and whether the rest of its queue then waits."""
        admitted, waits = self.run(
            f"local is_admitted = may_claim('crm', {now}) > 0 and admits('{job_type}', '{job_id}', {now}) "
            "return {is_admitted and 1 or 0, is_probing and 1 or 0}"
        )
        return bool(admitted), bool(waits)

    def fail(self, job_id: str, now: int = NOW, failures: int = 1, pause_ms: int | None = None) -> int:
        """A job fails; whether its attempt counts."""
        noted = f"record_failure('crm-contact', '{job_id}', {now}, {failures}, 'OSError 4 at x', {pause_ms or 'nil'})"
        return int(self.run(f"local n = {noted} free_slot_and_lock('crm-contact', '{job_id}') return n"))

    def succeed(self, job_id: str) -> None:
        """A job succeeds."""
        self.run(f"record_success('crm-contact', '{job_id}') free_slot_and_lock('crm-contact', '{job_id}')")


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


def put(workplace: Workplace, count: int) -> list[Event]:
    """Events, fanned out."""
    events: list[Event] = [api_call(str(number)) for number in range(count)]
    for event in events:
        workplace.put_event(event)
    workplace.work("events")
    return events


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
    assert re.fullmatch(r"Unavailable 401 at flow/test_limits.py:\d+ in call", pause.cause)
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
