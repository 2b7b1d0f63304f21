"""What is said of jobs that are left."""

import time

import pytest
from redis import Redis

from deskbell import Jobs
from deskbell.queues.findings import Finding
from deskbell.queues.looked import Looked
from deskbell.queues.reasons import of_the_queue
from deskbell.queues.state import Readers, read_queue
from deskbell.testing import api_call
from shared.redis.releases import declared_key
from shared.wire import events
from tests.conftest import WorkplaceFactory
from tests.workers.claiming import counting_jobs
from tests.workers.running import Workplace


@pytest.fixture
def workplace(open_workplace: WorkplaceFactory) -> Workplace:
    """A workplace for the job type `count`."""
    return open_workplace(counting_jobs()[0])


def undeclared(redis: Redis, queue: str) -> list[Finding]:
    """What is said of what a queue lacks."""
    state = read_queue(redis, queue, Readers(), None)
    return [each for each in of_the_queue(Looked(redis, state, 60)) if each.reason == "undeclared"]


def test_left_jobs_are_told_with_what_they_lack_and_since_when(
    workplace: Workplace, open_workplace: WorkplaceFactory
) -> None:
    """All of them are counted; while a living worker declares the type, it is no problem."""
    redis, other = workplace.redis, open_workplace(Jobs())
    for _ in range(30):
        workplace.put_jobs(api_call())
    other.work()

    (never,) = undeclared(redis, "default")
    redis.zadd(declared_key("default"), {"count": time.time()})
    (living,) = undeclared(redis, "default")
    redis.zadd(declared_key("default"), {"count": time.time() - 60})
    (ended,) = undeclared(redis, "default")

    assert never.text == "30 jobs of count wait, and no living worker of the queue default declares that type"
    assert "`deskbell dead replay --job count --as NEW`" in never.do
    assert (living.kind, never.kind, ended.kind) == ("said", "problem", "problem")
    assert ended.text.startswith(f"{never.text} since 20")


def test_events_of_a_newer_release_are_told(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the form that no living worker reads."""
    with monkeypatch.context() as newer:
        newer.setattr(events, "WIRE_VERSION", 2)
        workplace.put_event(api_call())
    workplace.work("events")

    (found,) = undeclared(workplace.redis, "events")

    assert found.kind == "problem"
    assert found.text == (
        "1 job of a newer release waits, and no living worker of the queue events reads form 2 of events"
    )
