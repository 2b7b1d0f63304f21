"""A key whose jobs are dead letters, replayed, deleted or cancelled: the others run in their order."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from deskbell import ApiCall, Discard, Event, Jobs
from tests.conftest import WorkplaceFactory
from tests.waiting import until
from tests.workers.failed_jobs import all_dead_letters
from tests.workers.flow.ordered import Ran, call, drain, fan_out, ordered, sweep
from tests.workers.running import Workplace
from workers.dead_letters.replay import Replays, Throttle


def failing_first(on_dead: str, error: Exception) -> tuple[Jobs, Ran, list[bool]]:
    """A job type whose job of node 0 is a dead letter until a flag is set."""
    jobs, ran, is_broken = Jobs(), Ran(), [True]
    options: dict[str, Any] = {"on_dead": on_dead}

    @jobs.on(ApiCall, ordered_by="session", attempts=1, **options)
    def note(event: ApiCall) -> None:
        if event.node == "0" and is_broken:
            raise error
        ran.append(event.node)

    return jobs, ran, is_broken


@pytest.mark.parametrize("error", [OSError(), Discard("no")])
def test_a_dead_letter_does_not_block_its_key(error: Exception, open_workplace: WorkplaceFactory) -> None:
    """`on_dead="continue"`: the next go on; replayed, it runs where it can, and what was done is not done again."""
    jobs, ran, is_broken = failing_first("continue", error)
    workplace = open_workplace(jobs)
    events = [call(number) for number in range(3)]
    fan_out(workplace, events)
    workplace.work()
    without = list(ran)

    is_broken.clear()
    workplace.queue().failed_job_registry.requeue(workplace.job(events[0], "note").id)
    drain(workplace)

    assert without == ["1", "2"]
    assert ran == ["1", "2", "0"]
    assert workplace.queue().deferred_job_registry.count == 0


def test_a_dead_letter_may_hold_its_key_until_it_is_replayed(open_workplace: WorkplaceFactory) -> None:
    """`on_dead="hold"`: also events that come later wait; other keys go on."""
    jobs, ran, is_broken = failing_first("hold", OSError())
    workplace = open_workplace(jobs)
    events = [call(number) for number in range(3)]
    fan_out(workplace, events[:2])
    drain(workplace)
    fan_out(workplace, [events[2], call(7, "other")])
    drain(workplace)
    held = list(ran)

    is_broken.clear()
    workplace.queue().failed_job_registry.requeue(workplace.job(events[0], "note").id)
    drain(workplace)

    assert held == ["7"]
    assert ran == ["7", "0", "1", "2"]


def test_a_dead_letter_that_is_deleted_holds_nobody(open_workplace: WorkplaceFactory) -> None:
    """Maintenance finds the first of the key waiting for a job that is gone."""
    jobs, ran, _ = failing_first("hold", OSError())
    workplace = open_workplace(jobs)
    events = [call(number) for number in range(3)]
    fan_out(workplace, events)
    drain(workplace)

    workplace.job(events[0], "note").delete()
    sweep(workplace)
    drain(workplace)

    assert ran == ["1", "2"]


@pytest.mark.parametrize("end", [lambda job: job.delete(), lambda job: job.cancel()], ids=["deleted", "cancelled"])
def test_a_waiting_job_that_is_deleted_or_cancelled_holds_nobody(
    end: Callable[[Any], None], open_workplace: WorkplaceFactory
) -> None:
    """RQ itself would leave those that depend on it waiting for ever."""
    jobs, ran = ordered()
    workplace = open_workplace(jobs)
    events = [call(number) for number in range(4)]
    fan_out(workplace, events)

    end(workplace.job(events[1], "note"))
    drain(workplace)
    before = list(ran)
    sweep(workplace)
    drain(workplace)

    assert before == ["0"]
    assert ran == ["0", "2", "3"]


def test_a_sweep_queues_nothing_that_has_its_turn_coming(open_workplace: WorkplaceFactory) -> None:
    """A job waits in one place only: while those before it wait or run, it is left alone."""
    jobs, _ = ordered()
    workplace = open_workplace(jobs)
    fan_out(workplace, [call(number) for number in range(3)])

    sweep(workplace)
    sweep(workplace)

    assert workplace.queue().count == 1
    assert workplace.queue().deferred_job_registry.count == 2


def test_what_order_keeps_goes_when_the_jobs_have_ended(open_workplace: WorkplaceFactory) -> None:
    """A session that is over leaves nothing behind."""
    workplace = open_workplace(ordered()[0])
    fan_out(workplace, [call(number, session) for number in range(2) for session in "ab"])

    drain(workplace)
    sweep(workplace)

    assert workplace.redis.keys("deskbell:order:*") == workplace.redis.keys("deskbell:turn:*") == []
    assert not workplace.redis.exists("deskbell:orders")


def test_a_replayed_dead_letter_waits_while_another_of_its_key_runs(open_workplace: WorkplaceFactory) -> None:
    """One at a time, also then."""
    jobs, ran, is_broken = Jobs(), Ran(), [True]
    workplace: Workplace
    events = [call(0), call(1)]

    @jobs.on(ApiCall, ordered_by="session", attempts=1)
    def note(event: ApiCall) -> None:
        if event.node == "0" and is_broken:
            raise OSError
        if event.node == "1":
            is_broken.clear()
            default = workplace.queue()
            default.failed_job_registry.requeue(workplace.job(events[0], "note").id)
            until(lambda: default.scheduled_job_registry.count)  # it was begun, and gave way
        ran.append(event.node)

    workplace = open_workplace(jobs)
    fan_out(workplace, events)
    drain(workplace)

    assert ran == ["1", "0"]


def fail_all(workplace: Workplace, events: Iterable[Event]) -> None:
    """Have the jobs of events fail for good, one after the other."""
    fan_out(workplace, events)
    drain(workplace)


@pytest.mark.parametrize("is_left", [False, True])
def test_dead_letters_of_a_key_that_are_replayed_together_run_in_order(
    is_left: bool,
    open_workplace: WorkplaceFactory,
) -> None:
    """All are claimed at once, and the first runs: the last turn is no job's that only asks for one."""
    jobs, ran, fails = Jobs(), Ran(), [True]

    @jobs.on(ApiCall, ordered_by="session", attempts=1)
    def note(event: ApiCall) -> None:
        if fails:
            raise OSError
        ran.append(event.node)

    workplace = open_workplace(jobs)
    fail_all(workplace, [call(number) for number in range(4)])
    turns_left = workplace.redis.keys("deskbell:turn:*")
    dead_letters = all_dead_letters(workplace.redis)
    if is_left:
        digest = dead_letters[-1].meta["order"][0] if dead_letters[-1].meta else ""
        workplace.redis.set(f"deskbell:turn:note:{digest}", dead_letters[-1].id)
    fails.clear()
    Replays(workplace.redis, "li").replay([dead_letters], "", Throttle(), lambda _: None)

    for _ in range(8):
        workplace.make_due()
        workplace.work()

    assert turns_left == []
    assert ran == ["0", "1", "2", "3"]
