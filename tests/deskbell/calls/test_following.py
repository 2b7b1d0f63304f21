"""Following an event's jobs to their end, on a real server."""

import pytest
from redis import Redis

from deskbell import ApiCall, Discard, Event, Jobs
from deskbell.calls.following import ended_jobs, follow
from deskbell.testing import api_call
from shared.redis.queues import EVENTS
from tests.conftest import WorkplaceFactory


def job_types() -> Jobs:
    """One that succeeds, one that does not."""
    jobs = Jobs()

    @jobs.on(ApiCall, name="crm.note", queue="crm")
    def note(event: ApiCall) -> None: ...

    @jobs.on(ApiCall, queue="crm")
    def give_up(event: ApiCall) -> None:  # noqa: ARG001 - as integrators write it
        raise Discard("a customer's text")

    return jobs


def test_the_jobs_of_an_event_are_followed_from_its_fan_out_to_their_ends(
    open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """Name, queue, state, attempts; of a dead letter its cause, never the exception's text."""
    workplace, event = open_workplace(job_types()), api_call()
    workplace.put_event(event)
    followed = follow(redis, event.id, seconds=30)

    first = next(followed)
    workplace.work(EVENTS)
    second = next(followed)
    workplace.work("crm")
    *_, last = followed

    assert [str(job) for job in first] == ["fan_out queued on events"]
    assert [str(job) for job in second] == ["crm.note queued on crm", "give_up queued on crm"]
    note, give_up = last
    assert (note.name, note.queue, note.state, note.attempts, note.cause) == ("crm.note", "crm", "done", 1, "")
    assert (give_up.state, give_up.attempts, give_up.cause.split(" at ")[0]) == ("dead", 1, "Discard")
    assert "customer" not in give_up.cause
    assert ended_jobs(redis, event.id) == last


def test_an_event_that_no_job_type_wants_has_no_jobs(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """It has ended when it is fanned out."""
    event = open_workplace(Jobs()).put_jobs(api_call())

    assert ended_jobs(redis, event.id) == []


def test_a_job_that_is_not_kept_is_done_when_it_is_gone(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """RQ deletes it as it succeeds."""
    jobs = Jobs()

    @jobs.on(Event, keep=0)
    def forget(event: Event) -> None: ...

    workplace = open_workplace(jobs)
    event = workplace.put_jobs(api_call())
    followed = follow(redis, event.id, seconds=30)

    assert [job.state for job in next(followed)] == ["queued"]
    workplace.work()
    assert [job.state for job in next(followed)] == ["done"]


def test_what_has_not_ended_in_time_is_named(open_workplace: WorkplaceFactory, redis: Redis) -> None:
    """Also an event that Redis does not know."""
    event = open_workplace(job_types()).put_jobs(api_call())

    with pytest.raises(TimeoutError, match=r"within 0 s: crm\.note queued on crm; give_up queued on crm$"):
        ended_jobs(redis, event.id, seconds=0)
    with pytest.raises(TimeoutError, match="within 0 s: this Redis does not have the event; "):
        ended_jobs(redis, "0" * 32, seconds=0)
