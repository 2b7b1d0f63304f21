"""Deploys, one worker after the other and in any order: nothing is dead, lost, or run by a worker without its type."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from deskbell import Jobs
from deskbell.testing import api_call
from shared.redis.releases import read_left
from shared.wire import events
from tests.conftest import WorkplaceFactory
from tests.forked import Forked
from tests.waiting import until
from tests.workers.running import LOG, Workplace, logged, running_worker

SOURCE = """
import os
from redis import Redis
from deskbell import Event, Jobs
from shared.wire import events

events.WIRE_VERSION = FORM
jobs = Jobs()
redis = Redis.from_url(os.environ["DESKBELL_REDIS_URL"])

def on(name):
    @jobs.on(Event, name=name, queue="crm")
    def run(event: Event) -> None:
        redis.rpush("ran", f"{event.id} {name} RELEASE")

for name in NAMES:
    on(name)
"""


class Deploy:
    """Workers of releases, each with its job types, and what they ran."""

    def __init__(self, workplace: Workplace, folder: Path, url: str, stack: ExitStack) -> None:
        self.redis = workplace.redis
        self._workplace, self._folder, self._url, self._stack = workplace, folder, url, stack
        self._running = dict[str, Forked]()

    def start(self, name: str, *queues: str, types: tuple[str, ...], form: int = 1) -> None:
        """Start a worker, and wait until it works; the first word of its name is its release."""
        folder = self._folder / name.replace(" ", "-")
        folder.mkdir(exist_ok=True)
        source = (
            SOURCE.replace("FORM", str(form))
            .replace("RELEASE", name.split(maxsplit=1)[0])
            .replace("NAMES", repr(types))
        )
        before = len(logged(folder, "working")) if (folder / LOG).exists() else 0
        running = running_worker(folder, source, self._url, *queues, ABANDONED_SECONDS="10")
        self._running[name] = self._stack.enter_context(running)
        until(lambda: len(logged(folder, "working")) > before)

    def stop(self, name: str) -> None:
        """End a worker in good order."""
        process = self._running.pop(name)
        process.terminate()
        process.wait(20)

    def until_logged(self, name: str, event: str, times: int = 1) -> None:
        """Wait for a line of a worker."""
        until(lambda: len(logged(self._folder / name.replace(" ", "-"), event)) >= times)

    def put(self, count: int = 20) -> list[str]:
        """Put events; their ids."""
        return [self._workplace.put_event(api_call()).id for _ in range(count)]

    def ran(self, ids: list[str]) -> Counter[tuple[str, str]]:
        """How many of the jobs of events each release has run, by type."""
        lines: Any = self.redis.lrange("ran", 0, -1)
        rows = [line.decode().split() for line in lines]
        return Counter((name, release) for event_id, name, release in rows if event_id in ids)

    def dead(self) -> int:
        """How many dead letters there are."""
        return sum(int(self.redis.zcard(f"rq:failed:{queue}")) for queue in ("events", "crm"))


@pytest.fixture
def deploy(open_workplace: WorkplaceFactory, tmp_path: Path, valkey_url: str) -> Iterator[Deploy]:
    """No worker runs yet."""
    with ExitStack() as stack:
        yield Deploy(open_workplace(Jobs()), tmp_path, valkey_url, stack)


def test_a_new_job_type_comes_and_goes_with_its_release(deploy: Deploy) -> None:
    """Its jobs are made and run from the first new worker on, by that alone; after a rollback the old one goes on."""
    deploy.start("old", types=("note",))
    before = deploy.put()
    until(lambda: deploy.ran(before).total() == 20)
    deploy.start("new", types=("note", "extra"))
    deploy.until_logged("old", "fan_out_left")
    beside = deploy.put()
    until(lambda: deploy.ran(beside).total() == 40)
    deploy.stop("new")
    deploy.until_logged("old", "fan_out_resumed")
    after = deploy.put()
    until(lambda: deploy.ran(after).total() == 20)

    assert deploy.ran(before) == deploy.ran(after) == {("note", "old"): 20}
    assert deploy.ran(beside)["extra", "new"] == 20
    assert deploy.dead() == 0


def test_jobs_are_left_until_a_worker_of_their_release_comes(deploy: Deploy) -> None:
    """The wrong order: the worker of events is new, and that of the queue old; a rename, and a newer form of events."""
    deploy.start("old crm", "crm", types=("note",))
    deploy.start("new events", "events", types=("renamed",))
    ids = deploy.put()
    until(lambda: sum(each.count for each in read_left(deploy.redis)) == 20)
    left = [(each.queue, each.job_type, each.is_declared) for each in read_left(deploy.redis)]
    deploy.start("new crm", "crm", types=("renamed",))
    until(lambda: deploy.ran(ids).total() == 20)
    deploy.start("newest events", "events", types=("renamed",), form=2)
    deploy.until_logged("new events", "fan_out_left")

    with pytest.MonkeyPatch.context() as newer:
        newer.setattr(events, "WIRE_VERSION", 2)
        newer_ids = deploy.put()
    until(lambda: sum(each.count for each in read_left(deploy.redis)) == 20)
    left += [(each.queue, each.need, each.is_declared) for each in read_left(deploy.redis)]
    deploy.start("newest crm", "crm", types=("renamed",), form=2)
    until(lambda: deploy.ran(newer_ids).total() == 20)

    assert left == [("crm", "renamed", False), ("crm", ":2", False)]
    assert deploy.ran(ids) == {("renamed", "new"): 20}
    assert deploy.ran(newer_ids) == {("renamed", "newest"): 20}
    assert deploy.dead() == 0
    assert not read_left(deploy.redis)


def test_a_job_type_is_renamed_under_way(deploy: Deploy) -> None:
    """Each event becomes a job of the one name or of the other; what is left of the old one runs after a rollback."""
    ids = []
    deploy.start("old", types=("before",))
    ids += deploy.put()
    deploy.start("new", types=("after",))
    ids += deploy.put()
    deploy.until_logged("old", "fan_out_left")
    ids += deploy.put()
    deploy.stop("old")
    ids += deploy.put()
    until(lambda: deploy.ran(ids).total() + sum(each.count for each in read_left(deploy.redis)) == len(ids))
    deploy.start("old", types=("before",))
    deploy.stop("new")
    until(lambda: deploy.ran(ids).total() == len(ids))
    last = deploy.put()
    until(lambda: deploy.ran(last).total() == 20)

    assert deploy.ran(ids).keys() == {("before", "old"), ("after", "new")}
    assert deploy.ran(last) == {("before", "old"): 20}
    assert deploy.dead() == 0
