"""Putting dead letters back, and deleting them."""

from collections import Counter
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import pytest
from redis import Redis
from rq.job import Dependency, Job, JobStatus
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from deskbell import ApiCall, Discard, Event, Jobs
from deskbell.testing import api_call
from shared.declarations.policies import Rate
from shared.redis.queues import EVENTS, PERFORM
from tests.conftest import WorkplaceFactory
from tests.workers.failed_jobs import Unwilling, all_dead_letters, make_dead_letters, write_dead_letters
from tests.workers.running import Workplace, fetch
from workers.audit import AuditLog
from workers.dead_letters.registry import DeadLetters, Selection
from workers.dead_letters.replay import Replays, Throttle


def replay(redis: Redis, pages: Any = None, throttle: Throttle | None = None) -> Counter[str]:
    """Replay all dead letters, or those of the pages."""
    pages = pages or DeadLetters(redis).pages(Selection())
    return Replays(redis, "me").replay(pages, "--all", throttle or Throttle(), lambda _: None)


def discard(redis: Redis, pages: Any = None) -> Counter[str]:
    """Discard all dead letters, or those of the pages."""
    return Replays(redis, "me").discard(pages or DeadLetters(redis).pages(Selection()), "--all", lambda _: None)


def queued(redis: Redis, queue: str = "crm") -> list[str]:
    """The ids on a queue, in order."""
    ids: Any = redis.lrange(f"rq:queue:{queue}", 0, -1)
    return [job_id.decode() for job_id in ids]


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_replayed_job_is_made_again_with_all_its_attempts(
    open_workplace: WorkplaceFactory, redis: Redis, attempts: int
) -> None:
    """It can fail as often as at first, and then succeed."""
    unwilling = Unwilling(attempts=attempts)
    workplace = open_workplace(unwilling.jobs)
    (event,) = make_dead_letters(workplace)

    assert replay(redis) == {"replayed": 1}

    job = workplace.job(event, "acme.record")
    assert job.meta == {"attempt": 0}
    assert job.retries_left == attempts - 1
    for made in range(1, attempts):
        workplace.work()
        assert workplace.job(event, "acme.record").get_status() == JobStatus.SCHEDULED
        assert workplace.job(event, "acme.record").meta["attempt"] == made
        workplace.make_due()
    unwilling.fails = False
    workplace.work()
    assert unwilling.done == [event.id]
    assert not all_dead_letters(redis)


def test_a_replayed_job_is_as_rq_itself_requeues_it(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """Field by field, but for the attempts; `exc_info` is RQ's own remains of an older form."""
    unwilling = Unwilling(attempts=2)
    workplace = open_workplace(unwilling.jobs)
    ours, theirs = (f"{event.id}-acme-record" for event in make_dead_letters(workplace, count=2))

    replay(redis, [DeadLetters(redis).find([ours])])
    FailedJobRegistry("default", redis).requeue(fetch(redis, theirs))

    assert queued(redis, "default") == [ours, theirs]
    hashes: list[Any] = [redis.hgetall(f"rq:job:{job_id}") for job_id in (ours, theirs)]
    assert set(hashes[0]) == set(hashes[1]) - {b"exc_info"}
    differ = {name for name, value in hashes[0].items() if value != hashes[1][name]}
    assert differ <= {
        b"data",
        b"meta",
        b"retries_left",
        b"created_at",
        b"enqueued_at",
        b"last_heartbeat",
        b"retry_intervals",
        b"worker_name",
    }
    assert fetch(redis, ours).enqueued_at
    assert redis.ttl(f"rq:job:{ours}") == -1
    assert not redis.exists("rq:failed:default")


def test_replaying_twice_enqueues_once(redis: Redis) -> None:
    """A dead letter that somebody else has replayed is reported as gone."""
    ids = write_dead_letters(redis, 3)
    pages = list(DeadLetters(redis).pages(Selection()))

    first, second = replay(redis, pages), replay(redis, pages)

    assert (first, second) == ({"replayed": 3}, {"gone": 3})
    assert queued(redis) == ids


def test_replays_from_many_terminals_at_once_enqueue_once(redis: Redis) -> None:
    """Each dead letter, by one of them; their records say together how many there were."""
    ids = write_dead_letters(redis, 2000)
    barrier, outcomes = Barrier(4), Counter[str]()

    def run() -> None:
        barrier.wait()
        outcomes.update(replay(redis, throttle=Throttle(Rate(100_000, 1000), sleep=lambda _: None)))

    threads = [Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes["replayed"] == 2000
    assert sorted(queued(redis)) == ids
    assert sum(run.done for run in AuditLog(redis).latest(10)) == 2000


class PowerCutError(BaseException):
    """Raised by a test in the middle of a replay."""


def test_a_replay_that_dies_half_way_is_run_again_for_the_rest(redis: Redis) -> None:
    """In event order, nothing twice, nothing lost; the record of the first counts what it did, and has no end."""
    ids = write_dead_letters(redis, 1000)
    looked_at = []

    def cut(count: int) -> None:
        looked_at.append(count)
        if sum(looked_at) >= 600:
            raise PowerCutError

    throttle = Throttle(Rate(10_000, 10_000), sleep=lambda _: None)
    with pytest.raises(PowerCutError):
        Replays(redis, "me").replay(DeadLetters(redis).pages(Selection()), "--all", throttle, cut)
    half = len(queued(redis))
    again = replay(redis)

    assert half == 600
    assert again == {"replayed": 400}
    assert queued(redis) == ids
    assert [(run.done, run.end) for run in AuditLog(redis).latest(2)] == [(400, "done"), (600, "")]


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (lambda redis, key: redis.delete(key), "expired"),
        (lambda redis, key: redis.hset(key, "status", "started"), "alive"),
        (lambda redis, key: redis.hset(key, "status", "queued"), "alive"),
        (lambda redis, key: redis.hset(key, "rate_limit_key", "crm"), "limited"),
        (lambda redis, key: redis.hset(key, "status", "stopped"), "replayed"),
        (lambda redis, key: redis.hdel(key, "status"), "replayed"),
        (lambda redis, key: redis.hset(key, "meta", b"\x80"), "replayed"),
    ],
)
def test_only_a_dead_letter_is_replayed(redis: Redis, change: Callable[[Redis, str], Any], outcome: str) -> None:
    """A job under way that stands in the registry still, or an entry whose job has expired, is left where it is."""
    dead, other = write_dead_letters(redis, 2)
    change(redis, f"rq:job:{dead}")

    outcomes = replay(redis)

    assert outcomes == Counter([outcome, "replayed"])
    assert queued(redis) == ([dead, other] if outcome == "replayed" else [other])
    assert (redis.zscore("rq:failed:crm", dead) is None) == (outcome == "replayed")


def test_other_records_of_a_job_outlive_a_replay(redis: Redis) -> None:
    """Only the count of attempts begins anew; a dead letter that does not tell its attempts has those it had made."""
    recorded, unrecorded = write_dead_letters(redis, 2)
    redis.hset(f"rq:job:{recorded}", "meta", '{"attempt": 0, "attempts": 8, "cause": "x", "mark": [1.0, {}]}')

    replay(redis)

    assert fetch(redis, recorded).meta == {"attempt": 0, "mark": [1.0, {}]}
    assert [fetch(redis, job_id).retries_left for job_id in (recorded, unrecorded)] == [7, 7]


def test_an_event_that_was_not_fanned_out_is_fanned_out_by_its_replay(
    open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """With RQ's retries as the api gives them."""
    unwilling = Unwilling()
    workplace = open_workplace(unwilling.jobs)
    unwilling.fails = False
    event = api_call("order_status")
    job = workplace.put_event(event)
    data: Any = redis.hget(job.key, "data")
    redis.hset(job.key, "data", b"rubbish")
    workplace.work(EVENTS)
    redis.hset(job.key, "data", data)

    assert replay(redis) == {"replayed": 1}
    assert fetch(redis, event.id).retries_left == 9
    workplace.work(EVENTS, "default")

    assert unwilling.done == [event.id]


def held(workplace: Workplace, event: Event) -> str:
    """A job that waits for the success of an event's job."""
    target = workplace.queue()
    waits_for = Dependency(jobs=[f"{event.id}-acme-record"], allow_failure=False)
    later = api_call("order_status")
    job = target.create_job(
        PERFORM, args=["acme.record", later.to_wire()], job_id=f"{later.id}-acme-record", depends_on=waits_for
    )
    target.enqueue_job(job)
    return str(job.id)


def test_what_waits_for_a_dead_letter_runs_after_its_replay(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """RQ's own dependencies, which hold the jobs that follow in order."""
    unwilling = Unwilling()
    workplace = open_workplace(unwilling.jobs)
    (event,) = make_dead_letters(workplace)
    waiting = held(workplace, event)
    assert fetch(redis, waiting).get_status() == JobStatus.DEFERRED

    unwilling.fails = False
    replay(redis)
    workplace.work()

    assert unwilling.done == [event.id, waiting[:32]]


def test_what_waits_for_a_dead_letter_goes_on_when_it_is_discarded(
    open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """It would wait for ever otherwise."""
    unwilling = Unwilling()
    workplace = open_workplace(unwilling.jobs)
    (event,) = make_dead_letters(workplace)
    waiting = held(workplace, event)

    assert discard(redis) == {"discarded": 1}
    unwilling.fails = False
    workplace.work()

    assert unwilling.done == [waiting[:32]]
    assert AuditLog(redis).latest(1)[0].done == 1


def test_a_discarded_dead_letter_leaves_nothing_behind(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """Neither its event nor its traceback: both may hold what a customer wrote."""
    unwilling = Unwilling()
    workplace = open_workplace(unwilling.jobs)
    (event,) = make_dead_letters(workplace)
    assert redis.keys(f"*{event.id}-acme-record*")

    assert discard(redis) == {"discarded": 1}

    assert not redis.keys(f"*{event.id}-acme-record*")
    assert not all_dead_letters(redis)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (lambda redis, key: redis.hset(key, "status", "started"), "alive"),
        (lambda redis, key: redis.zrem("rq:failed:crm", key.removeprefix("rq:job:")), "gone"),
        (lambda redis, key: redis.delete(key), "discarded"),
    ],
)
def test_only_what_is_dead_is_deleted(redis: Redis, change: Callable[[Redis, str], Any], outcome: str) -> None:
    """What somebody has replayed meanwhile is not, nor what runs; an entry without a job goes."""
    dead, _ = write_dead_letters(redis, 2)
    pages = list(DeadLetters(redis).pages(Selection()))
    change(redis, f"rq:job:{dead}")

    assert discard(redis, pages) == Counter([outcome, "discarded"])
    assert bool(redis.exists(f"rq:job:{dead}")) == (outcome != "discarded")


_MANY = """
redis.call('SADD', 'rq:queues', 'rq:queue:crm')
for number = 1, 20000 do
  local id = string.format('%032x-crm-contact', number)
  local cause = number % 10 == 0 and 'TimeoutError at acme/jobs.py:9 in record' or 'OSError'
  redis.call('HSET', 'rq:job:' .. id, 'status', 'failed', 'origin', 'crm', 'data', '', 'created_at', '',
    'meta', '{"attempt": 0, "attempts": 8, "cause": "' .. cause .. '"}')
  redis.call('ZADD', 'rq:failed:crm', -1, id)
end
"""


def test_a_tenth_of_twenty_thousand_dead_letters_is_found_and_replayed(redis: Redis) -> None:
    """By its cause, all of it, in order; the others stay."""
    redis.eval(_MANY, 0)

    outcomes = replay(redis, DeadLetters(redis).pages(Selection(cause="TimeoutError")))

    assert outcomes == {"replayed": 2000}
    assert queued(redis) == [f"{number:032x}-crm-contact" for number in range(10, 20_001, 10)]
    assert redis.zcard("rq:failed:crm") == 18_000


def test_a_job_and_all_that_rq_keeps_of_it_expire_together(open_workplace: WorkplaceFactory) -> None:
    """Also what it waited for, which nothing else would delete."""
    jobs = Jobs()

    @jobs.on(ApiCall, ordered_by="session", keep=100)
    def note(event: ApiCall) -> None:
        if event.node == "dies":
            raise Discard("no")

    workplace = open_workplace(jobs)
    ids = []
    for node in ("a", "dies", "b"):
        event = workplace.put_jobs(api_call(node, SystemSessionID="s"))
        ids.append(f"{event.id}-note")
    keys = [Job(job_id, workplace.redis, JSONSerializer).dependencies_key for job_id in ids]
    waited = [workplace.redis.exists(key) for key in keys]

    workplace.work()
    last = workplace.redis.ttl(keys[2])
    kept = workplace.redis.exists(keys[1])
    Replays(workplace.redis, "li").discard([all_dead_letters(workplace.redis)], "", lambda _: None)

    assert waited == [0, 1, 1]
    assert 0 < last <= 100
    assert (kept, workplace.redis.exists(keys[1])) == (1, 0)
