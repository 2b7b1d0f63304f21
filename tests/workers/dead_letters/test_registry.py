"""Finding dead letters, and why they failed."""

from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis
from rq import Queue, SimpleWorker

from deskbell import ApiCall, Discard, Event, Jobs
from deskbell.testing import api_call
from shared.records.users import user_digest
from shared.redis.queues import EVENTS
from tests.conftest import WorkplaceFactory
from tests.workers.failed_jobs import Unwilling, all_dead_letters, make_dead_letters, write_dead_letters
from workers.causes import UNKNOWN
from workers.dead_letters.details import read_details
from workers.dead_letters.registry import EXPIRED, FAN_OUT_NAME, FOREIGN_NAME, PAGE, DeadLetters, Group, Selection


def all_groups(redis: Redis) -> list[Group]:
    """Every dead letter, in groups."""
    dead_letters = DeadLetters(redis)
    return dead_letters.groups(dead_letters.pages(Selection()))


def test_dead_letters_come_in_the_order_of_their_events_whatever_their_queues(redis: Redis) -> None:
    """Ids of events sort by time: a replay that follows them is in event order."""
    first, third = write_dead_letters(redis, 2, queue="crm")
    second = f"{first[:12]}f{first[13:]}"
    redis.rename(f"rq:job:{first}", f"rq:job:{second}")
    redis.zrem("rq:failed:crm", first)
    redis.zadd("rq:failed:analytics", {second: 1e12})  # one that RQ would let expire, on another queue
    redis.sadd("rq:queues", "rq:queue:analytics")
    write_dead_letters(redis, 1)

    ids = [dead_letter.id for dead_letter in all_dead_letters(redis)]

    assert ids[0] == second
    assert third in ids[1:]
    assert ids == sorted(ids)
    assert len(ids) == 3


def test_a_failed_job_records_its_cause_and_its_attempts(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """The frame is in the job's own function, and no value of the event is in it."""
    unwilling = Unwilling(attempts=2)
    workplace = open_workplace(unwilling.jobs)

    (event,) = make_dead_letters(workplace)

    (dead_letter,) = all_dead_letters(redis)
    assert dead_letter.id == f"{event.id}-acme-record"
    assert dead_letter.job == "acme.record"
    assert dead_letter.meta
    *_, (_, _, function) = dead_letter.meta.pop("where")
    assert dead_letter.meta == {"attempt": 0, "attempts": 2, "made": 2, "cause": dead_letter.cause}
    assert function == "record"
    assert dead_letter.cause.startswith("OSError at workers/failed_jobs.py:")
    assert dead_letter.cause.endswith(" in record")
    assert dead_letter.failed_at
    assert datetime.now(UTC) - dead_letter.failed_at < timedelta(minutes=1)


def test_a_discarded_job_knows_how_many_attempts_its_type_has(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """It made one of eight: a replay gives it eight."""
    jobs = Jobs()

    @jobs.on(Event, attempts=8)
    def give_up(event: Event) -> None:
        raise Discard(event.command)

    make_dead_letters(open_workplace(jobs))

    (dead_letter,) = all_dead_letters(redis)
    assert dead_letter.meta
    assert (dead_letter.meta["attempts"], dead_letter.meta["made"]) == (8, 1)
    assert dead_letter.cause.startswith("Discard at ")


def test_all_jobs_that_wait_behind_a_dead_letter_are_counted(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """Of one key each waits for the one before it: RQ's own record of the dead letter names only the first of them."""
    jobs = Jobs()

    @jobs.on(ApiCall, attempts=1, ordered_by="session", on_dead="hold")
    def book(event: ApiCall) -> None:
        raise OSError(event.session_id)

    workplace = open_workplace(jobs)
    for _ in range(6):
        workplace.put_jobs(api_call("book", SystemSessionID="s-1"))
    workplace.work()

    (dead_letter,) = all_dead_letters(redis)
    (group,) = all_groups(redis)
    assert read_details(redis, dead_letter).awaiting == 5
    assert group.awaited_by == 5


def test_a_dead_letter_that_failed_again_in_another_way_shows_its_last_cause(
    open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """What was recorded at the first failure does not outlive `rq requeue` and a worker that died."""
    unwilling = Unwilling()
    workplace = open_workplace(unwilling.jobs)
    (event,) = make_dead_letters(workplace)
    job = workplace.job(event, "acme.record")
    job.requeue()
    redis.hset(job.key, "meta", '{"attempt": 1, "attempts": 1, "cause": "OSError at old"}')  # as a claim leaves it
    job = workplace.job(event, "acme.record")

    with redis.pipeline() as pipeline:
        text = "Moved to FailedJobRegistry, due to AbandonedJobError, at now"
        job._handle_failure(text, pipeline)  # noqa: SLF001 - RQ has no public way
        pipeline.execute()

    assert [dead_letter.cause for dead_letter in all_dead_letters(redis)] == ["AbandonedJobError"]


def test_events_that_were_not_fanned_out_are_dead_letters_too(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """Their job is the fan-out."""
    workplace = open_workplace(Jobs())
    event = api_call("order_status")
    job = workplace.put_event(event)
    redis.hset(job.key, "data", b"rubbish")

    workplace.work(EVENTS)

    (dead_letter,) = all_dead_letters(redis)
    assert (dead_letter.id, dead_letter.queue, dead_letter.job) == (event.id, EVENTS, FAN_OUT_NAME)
    assert dead_letter.cause == "DeserializationError"


def nothing_works() -> None:
    """A job that Deskbell did not write."""
    raise LookupError("user517")


def test_jobs_of_others_are_listed_and_nothing_of_theirs_is_unpickled(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ pickles by default; anyone who can write to Redis could have a pickle run anything."""
    foreign = Queue("reports", connection=redis)
    foreign.enqueue(nothing_works, meta={"user": "user517"})
    SimpleWorker([foreign], connection=redis).work(burst=True)
    monkeypatch.setattr("pickle.loads", lambda *_: pytest.fail("unpickled"))

    (dead_letter,) = all_dead_letters(redis)

    assert dead_letter.job == FOREIGN_NAME
    assert dead_letter.cause.startswith("LookupError")
    assert dead_letter.meta == {}
    assert read_details(redis, dead_letter).event is None


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (Selection(), 6),
        (Selection(job="crm.contact"), 3),
        (Selection(job="crm"), 0),
        (Selection(cause="Discard"), 2),
        (Selection(cause="OSError", job="analytics.event"), 2),
        (Selection(queue="analytics"), 3),
        (Selection(queue="analytics", job="crm.contact"), 0),
        (Selection(node="order_status"), 0),  # these have no event that can be read
        (Selection(since=datetime.now(UTC) + timedelta(hours=1)), 0),
        (Selection(since=datetime.now(UTC) - timedelta(hours=1)), 4),  # those that RQ's results date
    ],
)
def test_dead_letters_are_selected_by_job_cause_time_and_queue(redis: Redis, selection: Selection, count: int) -> None:
    """Each narrows the others down; a dead letter of unknown time is not later than any."""
    write_dead_letters(redis, 3)
    write_dead_letters(redis, 3, queue="analytics", name="analytics-event")

    assert len(all_dead_letters(redis, selection)) == count


def test_dead_letters_are_selected_by_their_events(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """By node, session, and user: an id or the digest that stands for it, which alone is written down."""
    workplace = open_workplace(Unwilling().jobs)
    one = api_call("order_status", SystemClientUserID="user517", SystemSessionID="s1")
    other = api_call("refund", SystemClientUserID="user518", SystemSessionID="s1")
    make_dead_letters(workplace, events=[one, other])

    def found(**asked: str) -> set[str]:
        return {each.id[:32] for each in all_dead_letters(redis, Selection(**asked))}  # type: ignore[arg-type]  # no time

    assert found(node="refund") == found(user=user_digest("user518")) == found(user="user518") == {other.id}
    assert found(session="s1") == {one.id, other.id}
    assert found(session="s1", user=user_digest("user517")) == {one.id}
    assert found(session="s1", queue="crm") == found(user="user51") == set()
    assert user_digest("user517") not in {"user517", user_digest("user518")}
    assert user_digest(user_digest("user517")) == user_digest("user517")


def test_groups_are_counted_the_largest_first(redis: Redis) -> None:
    """Each with the id of its latest dead letter."""
    ids = write_dead_letters(redis, 10)

    groups = all_groups(redis)

    assert [(each.job, each.queue, each.cause, each.count, each.latest) for each in groups] == [
        ("crm.contact", "crm", "OSError", 6, ids[8]),
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
            "OSError",
        ),
        (lambda redis, job_id: redis.hset(f"rq:job:{job_id}", "meta", "[1]"), "OSError"),
        (
            lambda redis, job_id: redis.hset(f"rq:job:{job_id}", "meta", '{"attempt": 0, "cause": [1]}'),
            "OSError",
        ),
        (
            lambda redis, job_id: redis.hset(f"rq:job:{job_id}", "ended_at", "soon"),
            "OSError",
        ),
        (lambda redis, job_id: redis.delete(f"rq:results:{job_id}"), UNKNOWN),
        (lambda redis, job_id: redis.xadd(f"rq:results:{job_id}", {"type": 2, "exc_string": "%"}), UNKNOWN),
        (lambda redis, job_id: redis.xadd(f"rq:results:{job_id}", {"type": 1}), UNKNOWN),
    ],
)
def test_damaged_dead_letters_are_found_and_can_be_looked_at(redis: Redis, damage: object, cause: str) -> None:
    """A job that Redis has in part only does not hide the others."""
    damaged = write_dead_letters(redis, 2)[1]
    damage(redis, damaged)  # type: ignore[operator]

    dead_letters = {dead_letter.id: dead_letter for dead_letter in all_dead_letters(redis)}

    assert len(dead_letters) == 2
    assert dead_letters[damaged].cause == cause
    assert read_details(redis, dead_letters[damaged]).dead_letter is dead_letters[damaged]


def test_dead_letters_are_found_by_id_in_any_queue(redis: Redis) -> None:
    """Also more of them than one page holds; an id that is none's is left out."""
    ids = write_dead_letters(redis, PAGE + 1)
    others = write_dead_letters(redis, 1, queue="analytics", name="analytics-event")

    found = DeadLetters(redis).find([*reversed(ids), *others, *others, "nobody", "rq:queues"])

    assert [dead_letter.id for dead_letter in found] == sorted([*ids, *others])


def test_the_details_hold_the_frames_and_the_event(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """And how often it failed, how many jobs wait for it, and under which worker it failed."""
    unwilling = Unwilling()
    workplace = open_workplace(unwilling.jobs)
    (event,) = make_dead_letters(workplace)
    workplace.job(event, "acme.record").requeue()
    workplace.work()
    redis.sadd(f"rq:job:{event.id}-acme-record:dependents", "a", "b")

    details = read_details(redis, all_dead_letters(redis)[0])

    assert (details.failures, details.awaiting) == (2, 2)
    assert details.event
    assert details.event["id"] == event.id
    assert details.frames[-1].function == "record"
    assert "user517" in details.text
    assert details.worker
    assert details.enqueued_at
