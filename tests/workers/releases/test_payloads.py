"""What earlier releases have written to Redis and to spools is read, and run."""

import json
from pathlib import Path

import pytest

from deskbell import Event, Jobs
from shared.redis.job_data import read_data
from shared.wire.events import WIRE_VERSION
from tests.conftest import WorkplaceFactory
from tests.payloads import JOB, Hash, from_text, kept_events, releases, written


def rows(path: Path) -> list[tuple[str, Hash]]:
    """The queue and the hash of each job of a release."""
    return [(each["queue"], from_text(each["hash"])) for each in json.loads(path.read_text())]


@pytest.mark.parametrize("release", releases(), ids=lambda path: path.stem)
def test_events_and_jobs_of_every_release_run(release: Path, open_workplace: WorkplaceFactory) -> None:
    """Each job once, given the event that the release had; its own jobs, and those that its events become now."""
    jobs = Jobs()
    given: dict[str, list[Event]] = {"kept": [], "now": []}

    @jobs.on(Event, name=JOB, app="9")  # no event becomes one
    def kept(event: Event) -> None:
        given["kept"].append(event)

    @jobs.on(Event)
    def now(event: Event) -> None:
        given["now"].append(event)

    workplace = open_workplace(jobs)
    for name, fields in rows(release):
        job_id = read_data(fields["data"])[2][-1]["id"] + (f"-{JOB}" if name == "default" else "")
        workplace.redis.hset(f"rq:job:{job_id}", mapping=fields)  # type: ignore[arg-type]
        workplace.redis.rpush(f"rq:queue:{name}", job_id)

    workplace.work("events", "default")

    wanted = list(kept_events())
    assert [sorted(each, key=lambda event: event.id) for each in given.values()] == [wanted, wanted]
    assert not workplace.queue().failed_job_registry.count
    assert not workplace.queue("events").failed_job_registry.count


def test_the_form_of_events_is_that_of_the_last_release() -> None:
    """Who changes it raises WIRE_VERSION, unless older workers may ignore what is new, and writes another file."""
    last = [read_data(fields["data"]) for _, fields in rows(releases()[-1])]

    assert [read_data(fields["data"]) for _, fields in written()] == last
    assert {data[2][-1].get("v", 1) for data in last} == {WIRE_VERSION}
