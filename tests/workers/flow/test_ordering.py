"""Order: the jobs of one key run in event order, one at a time, whatever happens between.

Long, because one file holds what one option promises, each rule with a test that reads alone.
"""

import asyncio
import dataclasses
import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer

from deskbell import ApiCall, Discard, Event, Jobs, Retry
from deskbell.testing import api_call
from shared.redis.queues import EVENTS, queue
from shared.wire.commands import received
from shared.wire.events import new_event_id
from tests.conftest import WorkplaceFactory
from tests.forked import Forked
from tests.logged import capture_logs
from tests.waiting import until
from tests.workers.failed_jobs import all_dead_letters
from tests.workers.running import Workplace, fetch, running_worker
from workers.dead_letters.replay import Replays, Throttle
from workers.flow.fifo_lock import wake
from workers.flow.ordering import execution_of
from workers.worker.execution import Execution
from workers.worker.rq_outcomes import RQOutcomes

Ran = list[str]


def call(number: int, session: str = "s", *, seconds_ago: float = 1.0) -> ApiCall:
    """The call of a number, received so many milliseconds after the first."""
    event = api_call(str(number), SystemSessionID=session)
    return dataclasses.replace(event, id=new_event_id(time.time() - seconds_ago + number / 1000))


def step(seq: Any, execution: str = "e", *, seconds_ago: float = 1.0, **fields: Any) -> Event:
    """The event of a task flow's execution with a `Seq`."""
    packet = {
        "CallbackCommand": "Chatbot.TaskFlowEventNotify",
        "ExecutionId": execution,
        "Seq": seq,
        "SessionId": "s",
        **fields,
    }
    event = received(packet, app_id="1400000001", node=str(seq))
    return dataclasses.replace(event, id=new_event_id(time.time() - seconds_ago))


def ordered(kind: type[Event] = ApiCall, **options: Any) -> tuple[Jobs, Ran]:
    """A job type `note` that notes the nodes of events, ordered by session, and what it noted."""
    jobs, ran = Jobs(), Ran()

    @jobs.on(kind, **({"ordered_by": "session"} | options))
    def note(event: Event) -> None:
        ran.append(event.node)

    return jobs, ran


def fan_out(workplace: Workplace, events: Iterable[Event]) -> None:
    """Fan events out one after the other, in this order."""
    for event in events:
        workplace.put_event(event)
        workplace.work(EVENTS)


def drain(workplace: Workplace) -> None:
    """Work until nothing is left to be tried again."""
    default = workplace.queue()

    def is_drained() -> bool:
        workplace.make_due()
        workplace.work()
        return not default.scheduled_job_registry.count and not default.count

    until(is_drained)


@pytest.mark.parametrize("order", list(permutations(range(4)))[::5])
def test_jobs_run_in_event_order_in_whatever_order_events_were_fanned_out(
    order: list[int], open_workplace: WorkplaceFactory
) -> None:
    """The order of receipt decides, not that of the fan-outs, of which many run at once."""
    jobs, ran = ordered()
    workplace = open_workplace(jobs)
    events = [call(number) for number in range(4)]

    fan_out(workplace, [events[number] for number in order])
    drain(workplace)

    assert ran == ["0", "1", "2", "3"]
    assert workplace.queue().deferred_job_registry.count == 0


def test_the_next_job_waits_in_rqs_deferred_registry_and_rq_queues_it(open_workplace: WorkplaceFactory) -> None:
    """Order is made of RQ's own dependencies: `rq info` shows what waits, and no polling is needed."""
    jobs, ran = ordered()
    workplace = open_workplace(jobs)

    fan_out(workplace, [call(number) for number in range(5)])
    deferred, queued = workplace.queue().deferred_job_registry.count, workplace.queue().count
    with capture_logs() as logs:
        workplace.work()

    assert (deferred, queued) == (4, 1)
    assert ran == ["0", "1", "2", "3", "4"]
    assert {line.get("outcome") for line in logs if line["event"] == "attempt"} == {"done"}


def test_one_key_runs_one_job_at_a_time_while_others_run_in_parallel(open_workplace: WorkplaceFactory) -> None:
    """A slow session holds nobody else up."""
    jobs = Jobs()
    at_once = {"a": 0, "b": 0}
    most = {"a": 0, "b": 0}
    together = asyncio.Barrier(2)
    met: list[bool] = []

    @jobs.on(ApiCall, ordered_by="session", timeout=20)
    async def run(event: ApiCall) -> None:
        key = event.session_id
        at_once[key] += 1
        most[key] = max(most[key], at_once[key])
        await together.wait()  # only a job of the other session comes here at the same time
        met.append(True)
        at_once[key] -= 1

    workplace = open_workplace(jobs)
    fan_out(workplace, [call(number, session) for number in range(5) for session in "ab"])
    workplace.work()

    assert len(met) == 10
    assert most == {"a": 1, "b": 1}


def test_an_event_without_the_key_is_not_ordered(open_workplace: WorkplaceFactory) -> None:
    """There is nothing it could wait for."""
    jobs, ran = ordered()
    workplace = open_workplace(jobs)

    fan_out(workplace, [call(number, "") for number in range(3)])

    assert workplace.queue().count == 3
    workplace.work()
    assert sorted(ran) == ["0", "1", "2"]


def test_a_field_may_be_the_key(open_workplace: WorkplaceFactory) -> None:
    """Of an API call, a variable; its value is in no key of Redis."""
    jobs, ran = ordered(ordered_by="OrderID")
    workplace = open_workplace(jobs)
    events = [
        dataclasses.replace(
            api_call(str(number), OrderID="planted-4711"), id=new_event_id(time.time() - 1 + number / 100)
        )
        for number in range(3)
    ]

    fan_out(workplace, reversed(events))
    keys = str(workplace.redis.keys())
    drain(workplace)

    assert ran == ["0", "1", "2"]
    assert "planted" not in keys


def test_two_apps_have_keys_of_their_own(open_workplace: WorkplaceFactory) -> None:
    """Equal session ids of two apps are two sessions."""
    workplace = open_workplace(ordered()[0])

    fan_out(workplace, [call(0), dataclasses.replace(call(1), app_id="1400000002")])

    assert workplace.queue().count == 2


def test_fan_outs_that_run_at_once_and_twice_make_one_job_each_in_order(open_workplace: WorkplaceFactory) -> None:
    """Twenty events of one key, each fanned out by two threads of eight."""
    jobs, ran = ordered()
    workplace = open_workplace(jobs)
    events = [call(number) for number in range(20)]
    for event in events:
        workplace.put_event(event)
    job_class = workplace.job_class

    def run(event: Event) -> None:
        job_class.fetch(event.id, connection=workplace.redis, serializer=JSONSerializer).perform()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, random.sample(events * 2, 40)))
    drain(workplace)

    assert ran == [str(number) for number in range(20)]


def hold_in_fan_out(workplace: Workplace, event: Event) -> None:
    """Leave an event in the hands of a worker that has not fanned it out yet."""
    events = workplace.queue(EVENTS)
    workplace.put_event(event)
    workplace.redis.lrem(events.key, 1, event.id)
    workplace.redis.zadd(events.started_job_registry.key, {f"{event.id}:{'0' * 32}": time.time() + 600})


def test_an_earlier_event_that_is_not_fanned_out_is_waited_for(open_workplace: WorkplaceFactory) -> None:
    """Its worker may have died; when it is fanned out after all, its job is the first. No attempt is used up."""
    jobs, ran = ordered(attempts=1)
    workplace = open_workplace(jobs)
    first, second = call(0), call(1)
    hold_in_fan_out(workplace, first)
    fan_out(workplace, [second])

    for _ in range(3):
        workplace.make_due()
        workplace.work()
    waited = list(ran)
    workplace.redis.delete(workplace.queue(EVENTS).started_job_registry.key)
    workplace.queue(EVENTS).push_job_id(first.id)
    workplace.work(EVENTS)
    drain(workplace)

    assert waited == []
    assert ran == ["0", "1"]


@pytest.mark.parametrize(("number", "session"), [(0, "another"), (0, ""), (5, "s")])
def test_an_event_of_another_key_or_a_later_one_is_not_waited_for(
    number: int, session: str, open_workplace: WorkplaceFactory
) -> None:
    """A fan-out that does not get on holds up its own key only."""
    jobs, ran = ordered()
    workplace = open_workplace(jobs)
    first = call(1)
    other = call(number, session)
    hold_in_fan_out(workplace, dataclasses.replace(other, id=f"{int(first.id[:12], 16) + number - 1:012x}{'0' * 20}"))

    fan_out(workplace, [first])
    workplace.work()

    assert ran == ["1"]


def test_a_fan_out_that_does_not_come_is_waited_for_three_minutes(open_workplace: WorkplaceFactory) -> None:
    """From the receipt of the later event; what comes after that is late, and runs when it comes."""
    jobs, ran = ordered()
    workplace = open_workplace(jobs)
    hold_in_fan_out(workplace, call(0, seconds_ago=200))

    fan_out(workplace, [call(1, seconds_ago=120)])
    workplace.work()
    waited = list(ran)
    fan_out(workplace, [call(2, "t", seconds_ago=181)])
    workplace.work()

    assert waited == []
    assert ran == ["2"]


def test_the_next_job_waits_through_retries(open_workplace: WorkplaceFactory) -> None:
    """A job that is to be tried again has not ended."""
    jobs, ran = Jobs(), Ran()

    @jobs.on(ApiCall, ordered_by="session", attempts=4)
    def note(event: ApiCall) -> None:
        ran.append(event.node)
        if ran.count("0") < 3:
            raise (Retry(after=600) if len(ran) == 1 else OSError)

    workplace = open_workplace(jobs)
    fan_out(workplace, [call(0), call(1)])

    workplace.work()
    after_one = list(ran)
    drain(workplace)

    assert after_one == ["0"]
    assert ran == ["0", "0", "0", "1"]


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


def sweep(workplace: Workplace) -> None:
    """Do what workers do every half minute."""
    workplace.redis.delete("deskbell:orders:lock")
    wake(workplace.redis, workplace.jobs)


def test_a_sweep_queues_nothing_that_has_its_turn_coming(open_workplace: WorkplaceFactory) -> None:
    """A job waits in one place only: while those before it wait or run, it is left alone."""
    jobs, _ = ordered()
    workplace = open_workplace(jobs)
    fan_out(workplace, [call(number) for number in range(3)])

    sweep(workplace)
    sweep(workplace)

    assert workplace.queue().count == 1
    assert workplace.queue().deferred_job_registry.count == 2


def test_the_next_job_is_not_queued_before_the_end_of_the_one_before_it_is_written(
    open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker may be killed between the two: then the earlier job runs again, and must not do so behind the later."""
    jobs, ran = ordered()
    workplace = open_workplace(jobs)
    events = [call(0), call(1)]
    fan_out(workplace, events)
    succeed, states = RQOutcomes.succeed, []

    def sweep_first(self: RQOutcomes, execution: Execution) -> None:
        workplace.redis.delete("deskbell:orders:lock")
        wake(workplace.redis, jobs)
        states.append(workplace.job(events[1], "note").get_status())
        succeed(self, execution)

    monkeypatch.setattr(RQOutcomes, "succeed", sweep_first)
    workplace.work()

    assert states == ["deferred"]
    assert ran == ["0", "1"]


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


@pytest.mark.parametrize(
    ("key", "order"), [("session", [3, 2, 1]), *(("ExecutionId", each) for each in permutations([1, 2, 3]))]
)
def test_the_events_of_an_execution_are_in_the_order_of_their_seq(
    key: str, order: Sequence[int], open_workplace: WorkplaceFactory
) -> None:
    """However they arrive: each is received, fanned out and worked before the next comes."""
    jobs, ran = ordered(Event, ordered_by=key)
    workplace = open_workplace(jobs)

    for seq in order:
        fan_out(workplace, [step(seq)])
        workplace.make_due()
        workplace.work()
    drain(workplace)

    assert ran == ["1", "2", "3"]


def test_a_missing_seq_is_waited_for_ten_seconds_and_only_once(open_workplace: WorkplaceFactory) -> None:
    """From the receipt of the later one; then the execution goes on, and what comes late runs when it comes."""
    jobs, ran = ordered(Event, ordered_by="ExecutionId")
    workplace = open_workplace(jobs)

    fan_out(workplace, [step(1), step(3, seconds_ago=3)])
    workplace.work()
    workplace.make_due()
    workplace.work()
    within = list(ran)
    fan_out(workplace, [step(1, "f"), step(3, "f", seconds_ago=11)])
    workplace.work()
    beyond = ran[1:]
    fan_out(workplace, [step(4, "f"), step(2, "f")])
    drain(workplace)

    assert within == ["1"]
    assert beyond == ["1", "3"]
    assert sorted(ran[3:]) == ["2", "3", "4"]


def test_events_that_a_job_type_does_not_want_are_not_missing(open_workplace: WorkplaceFactory) -> None:
    """`when` leaves gaps in the Seq of its jobs; what counts is what has arrived."""
    jobs, ran = ordered(Event, ordered_by="ExecutionId", when={"Event": "TaskEnd"})
    workplace = open_workplace(jobs)

    fan_out(workplace, [step(1, Event="TaskBegin"), step(2, Event="Node"), step(3, Event="TaskEnd")])
    workplace.work()

    assert ran == ["3"]


def test_a_seq_that_is_no_number_orders_by_receipt(open_workplace: WorkplaceFactory) -> None:
    """A field of the wrong kind must not make a dead letter of the fan-out."""
    jobs, ran = ordered(Event)
    workplace = open_workplace(jobs)

    fan_out(workplace, [step("x", seconds_ago=2), call(1)])
    drain(workplace)

    assert ran == ["x", "1"]
    for seq in (None, "", -1, 1.5, True, 2**40, [1], "²", "1" * 5000):
        assert execution_of(step(seq)) is None


NOTING = """
import os
from redis import Redis
from deskbell import ApiCall, Jobs

jobs = Jobs()

@jobs.on(ApiCall, ordered_by="session", timeout=20)
def note(event: ApiCall) -> None:
    with Redis.from_url(os.environ["DESKBELL_REDIS_URL"]) as redis:
        redis.rpush("ran:" + event.session_id, event.node)
        redis.blpop("nothing", 0.01)
"""


def test_order_survives_workers_that_are_killed_at_any_moment(
    open_workplace: WorkplaceFactory, redis: Redis, valkey_url: str, tmp_path: Path
) -> None:
    """Three workers fan out and perform; they are killed again and again: a job may repeat, none is overtaken."""
    workplace = open_workplace(ordered()[0])
    sessions, count, chance = "abc", 12, random.Random(4)
    for event in [call(number, session) for number in range(count) for session in sessions]:
        workplace.put_event(event)

    def done() -> bool:
        return all(len(set(redis.lrange(f"ran:{session}", 0, -1))) == count for session in sessions)

    def start(stack: ExitStack) -> Forked:
        arguments = ("events", "default", "--processes", "1")
        return stack.enter_context(running_worker(tmp_path, NOTING, valkey_url, *arguments, ABANDONED_SECONDS="5"))

    with ExitStack() as stack:
        workers = [start(stack) for _ in range(3)]
        for _ in range(3):
            wait_for_notes(redis, chance.randint(1, 8))
            victim = workers.pop(0)
            os.killpg(victim.pid, signal.SIGKILL)
            redis.delete(*map(RQScheduler.get_locking_key, (EVENTS, "default")))  # they expire a minute after a death
            workers.append(start(stack))
        until(done, 120)

    for session in sessions:
        ran = [int(node) for node in redis.lrange(f"ran:{session}", 0, -1)]
        assert all(later in (earlier, earlier + 1) for earlier, later in pairwise(ran)), ran


def wait_for_notes(redis: Redis, more: int) -> None:
    """Wait until some more jobs have run."""

    def count() -> int:
        return sum(redis.llen(f"ran:{session}") for session in "abc")

    wanted = min(count() + more, 36)
    until(lambda: count() >= wanted)


def test_a_job_keeps_its_position_and_its_attempt(open_workplace: WorkplaceFactory) -> None:
    """Both are in its `meta`, which the claim writes too; a position has more digits than some JSON writers keep."""
    jobs = Jobs()

    @jobs.on(ApiCall, ordered_by="session", attempts=2)
    def note(event: ApiCall) -> None:  # noqa: ARG001
        raise OSError

    workplace = open_workplace(jobs)
    event = call(0)
    fan_out(workplace, [event])
    before = fetch(workplace.redis, f"{event.id}-note").meta

    workplace.work()

    after = workplace.job(event, "note").meta
    assert after.pop("cause").startswith("OSError at ")
    assert after == {"attempt": 1, "order": before["order"]}
    assert float(after["order"][1]) == int(event.id[:12], 16)
    assert queue("default", workplace.redis).scheduled_job_registry.count == 1


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


def test_a_start_that_was_not_the_jobs_turn_counts_for_no_rate(open_workplace: WorkplaceFactory) -> None:
    """A rate is of jobs that run; else those that ask in vain would leave none to the one whose turn it is."""
    jobs, ran = ordered(limit="3/h")
    workplace = open_workplace(jobs)
    events = [call(number) for number in range(3)]
    fan_out(workplace, events)
    for event in events[1:]:  # as a person does who queues them by hand
        workplace.redis.zrem("rq:deferred:default", f"{event.id}-note")
        workplace.redis.delete(f"rq:job:{event.id}-note:dependents", f"rq:job::{event.id}-note:dependencies")
        workplace.redis.lpush("rq:queue:default", f"{event.id}-note")
    workplace.redis.delete(f"rq:job:{events[0].id}-note:dependents")

    workplace.work()
    starts = workplace.redis.zcard("deskbell:rate:note")

    assert 1 <= len(ran) == starts
    drain(workplace)
    assert ran == ["0", "1", "2"]
