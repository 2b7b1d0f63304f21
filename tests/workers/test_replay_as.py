"""Replay of dead letters, and of jobs that are left, under another job type."""

import time
from collections import Counter
from typing import Any

from rq.job import Job

from deskbell import ApiCall, Jobs
from deskbell.testing import api_call
from shared.redis.releases import read_left
from tests.conftest import WorkplaceFactory
from tests.workers.failed_jobs import Unwilling, all_dead_letters, make_dead_letters
from tests.workers.running import Workplace
from workers.audit import AuditLog
from workers.dead_letters.registry import FAN_OUT_NAME, DeadLetter
from workers.dead_letters.replay import Replays, Throttle
from workers.replay_as import ReplaysAs, left_jobs


def renamed_jobs(done: list[str], **options: Any) -> Jobs:
    """The job type `acme.renamed`."""
    jobs = Jobs()

    @jobs.on(ApiCall, name="acme.renamed", **options)
    def record(event: ApiCall) -> None:
        done.append(event.id)

    return jobs


def replay_as(workplace: Workplace, dead_letters: list[DeadLetter]) -> Counter[str]:
    """Replay under the job type of a workplace."""
    (job_type,) = workplace.jobs.types
    replays = ReplaysAs(workplace.redis, Replays(workplace.redis, "li"), job_type)
    return replays.replay([dead_letters], "--job 'acme.record'", Throttle(), lambda _: None)


def test_a_dead_letter_is_replayed_under_another_type(open_workplace: WorkplaceFactory) -> None:
    """Its event gets a job of that type, with its queue and options, once; the old job is gone, and it is audited."""
    done: list[str] = []
    events = make_dead_letters(open_workplace(Unwilling().jobs), count=3)
    workplace = open_workplace(renamed_jobs(done, queue="crm", attempts=3, timeout=7))
    dead_letters = all_dead_letters(workplace.redis)

    (job_type,) = workplace.jobs.types
    foretold = ReplaysAs(workplace.redis, Replays(workplace.redis, ""), job_type).look([dead_letters], lambda _: None)
    outcomes = replay_as(workplace, dead_letters)
    again = replay_as(workplace, dead_letters)
    job = workplace.job(events[0], "acme.renamed")
    workplace.work("crm")

    assert (foretold, outcomes, again) == ({"replayed": 3}, {"replayed": 3}, {"expired": 3})
    assert (job.origin, job.timeout, job.retries_left, job.meta) == ("crm", 7, 2, {})
    assert done == [event.id for event in events]
    assert not any(Job.exists(each.id, workplace.redis) for each in dead_letters)
    latest = AuditLog(workplace.redis).latest(2)[1]
    assert (latest.by, latest.action, latest.selection, latest.done) == (
        *("li", "replay", "--job 'acme.record' --as acme.renamed"),
        3,
    )


def test_jobs_that_are_left_are_replayed_under_another_type(open_workplace: WorkplaceFactory) -> None:
    """A day before they would be dead letters; not while a living worker declares their type."""
    done: list[str] = []
    older, workplace = open_workplace(Unwilling().jobs), open_workplace(renamed_jobs(done))
    events = [older.put_jobs(api_call()) for _ in range(3)]
    workplace.work()
    older.redis.zadd("deskbell:declared:default", {"acme-record": time.time()})
    declared = list(left_jobs(workplace.redis, "acme.record"))
    older.redis.zrem("deskbell:declared:default", "acme-record")

    (page,) = left_jobs(workplace.redis, "acme.record")
    outcomes = replay_as(workplace, page)
    workplace.work()

    assert declared == []
    assert outcomes == {"replayed": 3}
    assert done == sorted(event.id for event in events)
    assert not read_left(workplace.redis)
    assert not workplace.queue().scheduled_job_registry.count


def test_what_cannot_be_replayed_under_another_type_is_left_alone(open_workplace: WorkplaceFactory) -> None:
    """An event that has such a job, one that the type does not subscribe to, an event itself, and what is under way."""
    there, _ = make_dead_letters(open_workplace(Unwilling().jobs), count=2)
    workplace = open_workplace(renamed_jobs([]))
    workplace.redis.hset(f"rq:job:{there.id}-acme-renamed", "data", "[]")
    event = workplace.put_event(api_call())
    first, second = all_dead_letters(workplace.redis)

    outcomes = replay_as(workplace, [first, DeadLetter(event.id, "events", FAN_OUT_NAME, None, {})])
    outcomes += replay_as(open_workplace(renamed_jobs([], node="another")), [second])
    workplace.redis.hset(f"rq:job:{second.id}", "status", "started")
    outcomes += replay_as(workplace, [second])

    assert outcomes == {"there": 1, "no_job": 1, "misfit": 1, "alive": 1}
    assert workplace.queue().failed_job_registry.count == 2


def test_ordered_jobs_behind_a_dead_letter_go_on_when_that_is_replayed_under_another_type(
    open_workplace: WorkplaceFactory,
) -> None:
    """As behind one that is discarded; the new job has its place among those of its own type."""
    unwilling = Unwilling()
    unwilling.jobs.adjust("acme.record", ordered_by="session", on_dead="hold")
    older = open_workplace(unwilling.jobs)
    done: list[str] = []
    workplace = open_workplace(renamed_jobs(done, ordered_by="session"))
    first, second = (older.put_jobs(api_call(SystemSessionID="s")) for _ in range(2))
    older.work()

    unwilling.fails = False
    outcomes = replay_as(workplace, all_dead_letters(workplace.redis))
    older.work()
    workplace.work()

    assert outcomes == {"replayed": 1}
    assert unwilling.done == [second.id]
    assert done == [first.id]
    assert workplace.job(first, "acme.renamed").meta["order"]
