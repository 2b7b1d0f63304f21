import asyncio
import threading

from redis.asyncio import Redis as AsyncRedis

from deskbell import ApiCall, Jobs
from deskbell.testing import api_call
from tests.conftest import WorkplaceFactory
from tests.waiting import DEADLINE_SECONDS, until
from workers.worker.polling import QueueWakeups, polling_orders


def test_one_claim_in_eight_begins_with_a_later_queue_each_in_its_turn() -> None:
    """The other claims keep the order given; every claim has all queues."""
    rotation = polling_orders(["a", "b", "c"])

    orders = ["".join(next(rotation)) for _ in range(32)]

    assert [order for at, order in enumerate(orders, start=1) if at % 8] == ["abc"] * 28
    assert sorted(orders[7::8]) == ["bca", "bca", "cab", "cab"]


def test_a_single_queue_is_always_first() -> None:
    """There is no later queue to begin with."""
    rotation = polling_orders(["a"])

    assert [next(rotation) for _ in range(16)] == [["a"]] * 16


def test_a_job_that_was_fanned_out_wakes_an_idle_worker_of_its_queue_at_once(
    open_workplace: WorkplaceFactory, valkey_url: str
) -> None:
    """The script that makes jobs pushes them as any client does: the read of a worker that waits ends with it."""
    jobs = Jobs()

    @jobs.on(ApiCall, queue="crm")
    def contact(event: ApiCall) -> None: ...

    workplace, waits, woken = open_workplace(jobs), threading.Event(), threading.Event()
    waiting = threading.Thread(target=lambda: asyncio.run(wait(valkey_url, "crm", waits, woken)))
    waiting.start()
    assert waits.wait(DEADLINE_SECONDS)
    until(lambda: any(client["cmd"] == "blmove" for client in workplace.redis.client_list()))
    ended_by_itself = woken.is_set()

    workplace.put_jobs(api_call())

    assert woken.wait(DEADLINE_SECONDS)
    waiting.join(DEADLINE_SECONDS)
    assert not ended_by_itself
    assert workplace.queue("crm").count == 1, "the read takes nothing"


async def wait(url: str, queue: str, waits: threading.Event, woken: threading.Event) -> None:
    """Wait for a job as an idle worker does, with no other way to learn of it."""
    async with AsyncRedis.from_url(url) as redis:
        wakeups = QueueWakeups(redis, woken.set)
        wakeups.watch([queue])
        waits.set()
        await asyncio.to_thread(woken.wait, DEADLINE_SECONDS)
        await wakeups.close()


def test_more_slots_than_a_script_may_claim_for_are_filled_by_several_claims(
    open_workplace: WorkplaceFactory,
) -> None:
    """Any number of slots works: all of these jobs run at once, and each finds a connection to write its failure."""
    jobs, slots = Jobs(), 300
    all_run = threading.Barrier(slots)

    @jobs.on(ApiCall, attempts=1)
    def fail(event: ApiCall) -> None:  # noqa: ARG001
        all_run.wait(DEADLINE_SECONDS)
        raise OSError

    workplace = open_workplace(jobs)
    for _ in range(slots):
        workplace.put_event(api_call())
    workplace.work("events")

    workplace.work(concurrency=slots)

    assert workplace.queue().failed_job_registry.count == slots
    assert not all_run.broken
