"""Finding dead letters and what they died of."""

import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis
from rq import Queue, SimpleWorker

from shared import ApiCall, Discard, Event, Jobs
from shared.queues import EVENTS
from shared.testing import api_call
from tests.workers.burying import Unwilling, all_letters, bury, bury_many
from tests.workers.conftest import WorkplaceFactory
from workers.autopsy import examine
from workers.causes import UNKNOWN
from workers.dead_letters import EXPIRED, FAN_OUT_NAME, FOREIGN_NAME, PAGE, DeadLetters, Group, Selection


def all_groups(redis: Redis) -> list[Group]:
    """Every dead letter, in groups."""
    letters = DeadLetters(redis)
    return letters.groups(letters.pages(Selection()))


def test_letters_come_in_the_order_of_their_events_whatever_their_queues(redis: Redis) -> None:
    """Ids of events sort by time: a replay that follows them is in event order."""
    first, third = bury_many(redis, 2, queue="crm")
    second = f"{first[:12]}f{first[13:]}"
    redis.rename(f"rq:job:{first}", f"rq:job:{second}")
    redis.zrem("rq:failed:crm", first)
    redis.zadd("rq:failed:analytics", {second: 1e12})  # one that RQ would let expire, on another queue
    redis.sadd("rq:queues", "rq:queue:analytics")
    bury_many(redis, 1)

    ids = [letter.entry.id for letter in all_letters(redis)]

    assert ids[0] == second
    assert third in ids[1:]
    assert ids == sorted(ids)
    assert len(ids) == 3


def test_a_failed_job_records_its_cause_and_its_attempts(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """The place is in the job's own function, and no value of the event is in it."""
    unwilling = Unwilling(attempts=2)
    workplace = open_workplace(unwilling.jobs)

    (event,) = bury(workplace)

    (letter,) = all_letters(redis)
    assert letter.entry.id == f"{event.id}-acme-record"
    assert letter.entry.job == "acme.record"
    assert letter.meta
    *_, (_, _, function) = letter.meta.pop("where")
    assert letter.meta == {"attempt": 0, "attempts": 2, "made": 2, "cause": letter.cause}
    assert function == "record"
    assert letter.cause.startswith("OSError at workers/burying.py:")
    assert letter.cause.endswith(" in record")
    assert letter.died_at
    assert datetime.now(UTC) - letter.died_at < timedelta(minutes=1)


def test_a_discarded_job_knows_how_many_attempts_its_type_has(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """It made one of eight: a replay gives it eight."""
    jobs = Jobs()

    @jobs.on(Event, attempts=8)
    def give_up(event: Event) -> None:
        raise Discard(event.command)

    bury(open_workplace(jobs))

    (letter,) = all_letters(redis)
    assert letter.meta
    assert (letter.meta["attempts"], letter.meta["made"]) == (8, 1)
    assert letter.cause.startswith("Discard at ")


def test_a_job_of_a_type_that_no_worker_knows_has_made_no_attempt(
    open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """A type that was removed, or renamed, while its jobs waited."""
    unwilling, event = Unwilling(attempts=8), api_call()
    open_workplace(unwilling.jobs).put_jobs(event)
    redis.hset(f"rq:job:{event.id}-acme-record", "meta", '{"waits": [9, 1]}')  # for more than an hour

    open_workplace(Jobs()).work()

    (letter,) = all_letters(redis)
    assert letter.meta
    assert (letter.cause.split()[0], letter.meta["made"]) == ("UnknownJobError", 0)


def test_all_jobs_that_wait_behind_a_letter_are_counted(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """Of one key each waits for the one before it: RQ's own record of the letter names only the first of them."""
    jobs = Jobs()

    @jobs.on(ApiCall, attempts=1, ordered_by="session", on_dead="hold")
    def book(event: ApiCall) -> None:
        raise OSError(event.session_id)

    workplace = open_workplace(jobs)
    for _ in range(6):
        workplace.put_jobs(api_call("book", SystemSessionID="s-1"))
    workplace.work()

    (letter,) = all_letters(redis)
    (group,) = all_groups(redis)
    assert examine(redis, letter).awaiting == 5
    assert group.awaited_by == 5


def test_a_letter_that_died_again_in_another_way_shows_its_last_cause(
    open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """What was recorded at the first death does not outlive `rq requeue` and a worker that died."""
    unwilling = Unwilling()
    workplace = open_workplace(unwilling.jobs)
    (event,) = bury(workplace)
    job = workplace.job(event, "acme.record")
    job.requeue()
    redis.hset(job.key, "meta", '{"attempt": 1, "attempts": 1, "cause": "OSError at old"}')  # as a claim leaves it
    job = workplace.job(event, "acme.record")

    with redis.pipeline() as pipeline:
        job._handle_failure("Moved to FailedJobRegistry, due to AbandonedJobError, at now", pipeline)
        pipeline.execute()

    assert [letter.cause for letter in all_letters(redis)] == ["AbandonedJobError"]


def test_events_that_were_not_fanned_out_are_dead_letters_too(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """Their job is the fan-out."""
    workplace = open_workplace(Jobs())
    event = api_call("order_status")
    job = workplace.put_event(event)
    redis.hset(job.key, "data", b"rubbish")

    workplace.work(EVENTS)

    (letter,) = all_letters(redis)
    assert (letter.entry.id, letter.entry.queue, letter.entry.job) == (event.id, EVENTS, FAN_OUT_NAME)
    assert letter.cause == "DeserializationError"


def nothing_works() -> None:
    """A job that is none of ours."""
    raise LookupError("user517")


def test_jobs_of_others_are_listed_and_nothing_of_theirs_is_unpickled(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ pickles by default; whoever can write to Redis could have a pickle run anything."""
    foreign = Queue("reports", connection=redis)
    foreign.enqueue(nothing_works, meta={"user": "user517"})
    SimpleWorker([foreign], connection=redis).work(burst=True)
    monkeypatch.setattr("pickle.loads", lambda *_: pytest.fail("unpickled"))

    (letter,) = all_letters(redis)

    assert letter.entry.job == FOREIGN_NAME
    assert letter.cause.startswith("LookupError")
    assert letter.meta is None
    assert examine(redis, letter).event is None


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (Selection(), 6),
        (Selection(job="crm.contact"), 3),
        (Selection(job="crm"), 0),
        (Selection(cause="Discard"), 2),
        (Selection(cause="OSError at acme/jobs.py:12 in record", job="analytics.event"), 2),
        (Selection(since=datetime.now(UTC) + timedelta(hours=1)), 0),
        (Selection(since=datetime.now(UTC) - timedelta(hours=1)), 4),  # those that RQ's results date
    ],
)
def test_letters_are_selected_by_job_cause_and_time(redis: Redis, selection: Selection, count: int) -> None:
    """Each narrows the others down; a letter of unknown time is not later than any."""
    bury_many(redis, 3)
    bury_many(redis, 3, queue="analytics", name="analytics-event")

    assert len(all_letters(redis, selection)) == count


def test_groups_are_counted_the_largest_first(redis: Redis) -> None:
    """Each with the id of its latest letter."""
    ids = bury_many(redis, 10)

    groups = all_groups(redis)

    assert [(each.job, each.queue, each.cause, each.count, each.latest) for each in groups] == [
        ("crm.contact", "crm", "OSError at acme/jobs.py:12 in record", 6, ids[8]),
        ("crm.contact", "crm", "Discard at acme/jobs.py:9 in record", 4, ids[9]),
    ]
    assert groups[0].last
    assert groups[0].first
    assert groups[0].last >= groups[0].first


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (lambda redis, job_id: redis.delete(f"rq:job:{job_id}"), EXPIRED),
        (
            lambda redis, job_id: redis.hset(f"rq:job:{job_id}", "meta", b"\x80\x04}"),
            "OSError at acme/jobs.py:12 in record",
        ),
        (lambda redis, job_id: redis.hset(f"rq:job:{job_id}", "meta", "[1]"), "OSError at acme/jobs.py:12 in record"),
        (
            lambda redis, job_id: redis.hset(f"rq:job:{job_id}", "meta", '{"attempt": 0, "cause": [1]}'),
            "OSError at acme/jobs.py:12 in record",
        ),
        (
            lambda redis, job_id: redis.hset(f"rq:job:{job_id}", "ended_at", "soon"),
            "OSError at acme/jobs.py:12 in record",
        ),
        (lambda redis, job_id: redis.delete(f"rq:results:{job_id}"), UNKNOWN),
        (lambda redis, job_id: redis.xadd(f"rq:results:{job_id}", {"type": 2, "exc_string": "%"}), UNKNOWN),
        (lambda redis, job_id: redis.xadd(f"rq:results:{job_id}", {"type": 1}), UNKNOWN),
    ],
)
def test_damaged_letters_are_found_and_can_be_looked_at(redis: Redis, damage: object, cause: str) -> None:
    """A job that Redis has in part only does not hide the others."""
    damaged = bury_many(redis, 2)[1]
    damage(redis, damaged)  # type: ignore[operator]

    letters = {letter.entry.id: letter for letter in all_letters(redis)}

    assert len(letters) == 2
    assert letters[damaged].cause == cause
    assert examine(redis, letters[damaged]).letter is letters[damaged]


def test_letters_are_found_by_id_in_any_queue(redis: Redis) -> None:
    """Also more of them than one page holds; an id that is none's is left out."""
    ids = bury_many(redis, PAGE + 1)
    others = bury_many(redis, 1, queue="analytics", name="analytics-event")

    found = DeadLetters(redis).find([*reversed(ids), *others, *others, "nobody", "rq:queues"])

    assert [letter.entry.id for letter in found] == sorted([*ids, *others])


def most_memory(redis: Redis) -> int:
    """The most bytes that grouping all letters takes."""
    tracemalloc.start()
    try:
        all_groups(redis)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_letters_are_not_held_while_they_are_counted(redis: Redis) -> None:
    """Only their ids are, and a page: a letter that is held takes a thousand bytes, its id some two hundred."""
    bury_many(redis, 4 * PAGE)
    before = most_memory(redis)

    bury_many(redis, 8 * PAGE)

    assert (most_memory(redis) - before) / (8 * PAGE) < 400


def test_an_autopsy_tells_the_places_and_the_event(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """And how often it died, who waits for it, and under which worker."""
    unwilling = Unwilling()
    workplace = open_workplace(unwilling.jobs)
    (event,) = bury(workplace)
    workplace.job(event, "acme.record").requeue()
    workplace.work()
    redis.sadd(f"rq:job:{event.id}-acme-record:dependents", "a", "b")

    findings = examine(redis, all_letters(redis)[0])

    assert (findings.deaths, findings.awaiting) == (2, 2)
    assert findings.event
    assert findings.event["id"] == event.id
    assert findings.places[-1].function == "record"
    assert "user517" in findings.text
    assert findings.worker
    assert findings.enqueued_at
