"""What workers of different releases learn of one another, and do with it."""

import asyncio
import json
import time
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from deskbell import ApiCall, Jobs
from deskbell.testing import api_call
from shared.redis.queues import EVENTS
from shared.redis.releases import FAN_OUT_KEY, INTRODUCED_KEY, declared_key
from shared.redis.workers import SILENT_SECONDS
from shared.wire import events
from tests.conftest import WorkplaceFactory
from tests.workers.claiming import claim, worker_of
from workers.releases.declarations import Declarations
from workers.worker.leases import Leases


def jobs_of(*names: str) -> Jobs:
    """Job types of these names."""
    jobs = Jobs()
    for name in names:

        @jobs.on(ApiCall, name=name)
        def run(event: ApiCall) -> None: ...

    return jobs


class Fleet:
    """Workers by name, and what each was told at its last turn to pass by."""

    def __init__(self, url: str, redis: Redis, *queues: str) -> None:
        self.redis = redis
        self._url, self._queues = url, queues or (EVENTS, "crm")
        self._jobs: dict[str, Jobs] = {}
        self.told: dict[str, tuple[list[str], list[str]]] = {}

    def start(self, worker: str, *names: str) -> None:
        """Start a worker that declares job types."""
        self._jobs[worker] = jobs_of(*names)

    def turn(self, *workers: str) -> None:
        """Let workers take their turn."""
        for worker in workers:
            asyncio.run(self._take(worker, "declare"))

    def end(self, worker: str) -> None:
        """End a worker in good order."""
        asyncio.run(self._take(worker, "close"))

    def kill(self, worker: str) -> None:
        """Let so much time pass that a worker without a turn counts as dead; the others take theirs after it."""
        del self._jobs[worker]
        for key in (FAN_OUT_KEY, *map(declared_key, self._queues)):
            members: Any = self.redis.zrange(key, 0, -1, withscores=True)
            for member, score in members:
                self.redis.zadd(key, {member: score - SILENT_SECONDS - 1})
        self.turn(*self._jobs)

    def fans_out(self, worker: str) -> bool:
        """Whether a worker claims events."""
        return not self.told[worker][1]

    async def _take(self, worker: str, step: str) -> None:
        def pass_by(*given: Any) -> None:
            self.told[worker] = given

        async with AsyncRedis.from_url(self._url) as redis:
            declarations = Declarations(redis, worker, self._queues, self._jobs[worker], pass_by)
            await getattr(declarations, step)()


@pytest.fixture
def fleet(valkey_url: str, redis: Redis) -> Fleet:
    """Workers of `events` and `crm`."""
    return Fleet(valkey_url, redis)


def test_a_worker_passes_by_the_jobs_of_types_that_only_others_of_its_queue_declare(fleet: Fleet) -> None:
    """They are left on the queue for those; of a worker that has died, or has ended, nothing is expected."""
    fleet.start("old", "both")
    fleet.start("new", "both", "crm.new")
    fleet.turn("new", "old")
    beside = fleet.told["old"][0]
    fleet.kill("new")
    after_its_death = fleet.told["old"][0]
    fleet.start("new", "both", "crm.new")
    fleet.turn("new", "old")
    fleet.end("new")
    fleet.turn("old")

    assert beside == ["crm-new"]
    assert after_its_death == fleet.told["old"][0] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["a"], ["a", "b"]),
        (["a"], ["b"]),
        (["a", "b"], ["b", "c"]),
    ],
)
def test_events_are_fanned_out_by_the_release_whose_job_types_are_newest(
    old: list[str], new: list[str], fleet: Fleet
) -> None:
    """From the first new worker on, whoever starts again, until the last of them has ended."""
    fleet.start("old", *old)
    fleet.turn("old")
    fleet.start("new", *new)
    fleet.turn("new", "old")
    beside = fleet.fans_out("new"), fleet.fans_out("old")
    fleet.start("restarted", *old)
    fleet.turn("restarted", "new")
    restarted = fleet.fans_out("new"), fleet.fans_out("restarted")
    fleet.end("new")
    fleet.turn("old", "restarted")

    assert beside == restarted == (True, False)
    assert fleet.fans_out("old")
    assert fleet.fans_out("restarted")


def test_a_release_without_a_job_type_fans_out_when_the_one_with_it_has_gone(fleet: Fleet) -> None:
    """A removal: whichever type was introduced last, one of the two releases fans out at each moment, never none."""
    fleet.start("old", "a", "z")
    fleet.turn("old")
    fleet.start("new", "a")
    fleet.turn("new", "old")
    beside = fleet.fans_out("new"), fleet.fans_out("old")
    fleet.kill("old")

    assert beside == (False, True)
    assert fleet.fans_out("new")


def test_workers_of_one_release_all_fan_out(fleet: Fleet) -> None:
    """They are equals."""
    for worker in ("one", "two", "three"):
        fleet.start(worker, "a", "b")
    fleet.turn("one", "two", "three", "one")

    assert all(map(fleet.fans_out, ("one", "two", "three")))


def test_a_job_type_that_nobody_had_for_an_hour_is_introduced_anew(fleet: Fleet) -> None:
    """A type that was removed, and comes back later, is newer than what was introduced between."""
    fleet.start("first", "back")
    fleet.turn("first")
    fleet.redis.zadd(declared_key(EVENTS), {"back": time.time() - 4000})
    fleet.redis.hset(INTRODUCED_KEY, "back", 1)
    fleet.start("old", "a")
    fleet.turn("old")
    fleet.start("new", "a", "back")
    fleet.turn("new", "old")

    assert fleet.fans_out("new")
    assert not fleet.fans_out("old")


def test_a_worker_that_reads_newer_events_fans_out_before_those_that_do_not(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form of events counts as what was introduced with it."""
    fleet.start("old", "a")
    fleet.turn("old")
    fleet.start("new", "a")
    with monkeypatch.context() as newer:
        newer.setattr(events, "WIRE_VERSION", 2)
        fleet.turn("new")
    fleet.turn("old")

    assert fleet.fans_out("new")
    assert not fleet.fans_out("old")
    assert fleet.told["old"][0] == [":2"]


def test_a_claim_passes_jobs_by_and_takes_those_behind_them(
    open_workplace: WorkplaceFactory, valkey_url: str, redis: Redis
) -> None:
    """Without a look at them: they stay where they are; one of a type that nobody declares is claimed, to be left."""
    newer, workplace = open_workplace(jobs_of("mine", "crm.new", "gone")), open_workplace(jobs_of("mine"))
    event = newer.put_jobs(api_call())

    with worker_of(workplace, valkey_url) as step:
        step(_pass_by_crm_new)
        claimed = claim(step)

    assert sorted(lease.type_slug for lease in claimed.leases) == ["gone", "mine"]
    assert (claimed.held, redis.lrange("rq:queue:default", 0, -1)) == (1, [f"{event.id}-crm-new".encode()])


async def _pass_by_crm_new(leases: Leases) -> None:
    leases.attempts_text = json.dumps(leases.attempts | {"crm-new": 0})
