"""Order: the jobs of one key run in event order, one at a time, whatever happens between."""

import asyncio
import dataclasses
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise, permutations
from pathlib import Path

import pytest
from redis import Redis
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer

from deskbell import ApiCall, Event, Jobs, Retry
from deskbell.testing import api_call
from shared.redis.queues import EVENTS, queue
from shared.wire.events import new_event_id
from tests.conftest import WorkplaceFactory
from tests.forked import Forked
from tests.logged import capture_logs
from tests.waiting import until
from tests.workers.flow.ordered import Ran, call, drain, fan_out, ordered
from tests.workers.running import Workplace, fetch, running_worker
from workers.flow.fifo_lock import wake
from workers.worker.execution import Execution
from workers.worker.rq_outcomes import RQOutcomes


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
