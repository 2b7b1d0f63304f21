"""rq-dashboard at our queues: every page and every button, with jobs in each state."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Worker
from rq.job import Job

from deskbell.cli.dashboard import dashboard_app
from deskbell.testing import api_call
from shared.redis.queues import EVENTS, events_job, queue
from shared.settings.config import Settings
from tests.conftest import SettingsFactory
from tests.waiting import until
from tests.workers.running import fetch, running_worker

SECRET = "what the customer wrote"
STATES = ("queued", "started", "failed", "deferred", "scheduled", "finished", "canceled")

JOBS = """
import asyncio
from pathlib import Path
from deskbell import ApiCall, Backoff, Jobs

jobs = Jobs()
GATE = Path(__file__).parent / "gate"

@jobs.on(ApiCall, queue="crm", ordered_by="session")
async def ordered(event: ApiCall) -> None:
    while not GATE.exists():
        await asyncio.sleep(0.02)

@jobs.on(ApiCall, queue="crm", attempts=1)
async def dies(event: ApiCall) -> None:
    raise ValueError("said by the CRM")

@jobs.on(ApiCall, queue="crm", attempts=2, backoff=Backoff(base=900, factor=1, cap=900, jitter=0))
async def waits(event: ApiCall) -> None:
    raise ValueError

@jobs.on(ApiCall, queue="crm")
async def succeeds(event: ApiCall) -> None: ...

@jobs.on(ApiCall, queue="nobody")
async def stays(event: ApiCall) -> None: ...
"""


@pytest.fixture
def settings(redis: Redis, make_settings: SettingsFactory, tmp_path: Path) -> Iterator[Settings]:
    """A busy worker; a job that runs, and others that wait, are deferred, scheduled, done, cancelled and dead."""
    (tmp_path / "jobs").mkdir()
    settings = make_settings()
    url = settings.redis_url.get_secret_value()
    crm = queue("crm", redis)
    with running_worker(tmp_path / "jobs", JOBS, url, EVENTS, "crm", GRACE_SECONDS="0"):
        for _ in range(2):
            event = api_call(Wish=SECRET, SystemSessionID="one")
            events = queue(EVENTS, redis)
            events.enqueue_job(events_job(events, event.command, event.to_wire(), event.id))
            until(lambda: crm.started_job_registry.count == 1)  # only now the next one waits for its turn
        until(lambda: crm.failed_job_registry.count == 2 and crm.scheduled_job_registry.count == 2)
        until(lambda: crm.deferred_job_registry.count == 1 and crm.finished_job_registry.count == 2)
        queue("nobody", redis).fetch_job(queue("nobody", redis).job_ids[0]).cancel()  # type: ignore[union-attr]
        yield settings


def pages(app: Any, redis: Redis) -> Iterator[str]:
    """The path of each page and JSON route, for each queue, state, order and job."""
    keys: list[bytes] = redis.keys("rq:job:*")  # type: ignore[assignment]  # typed for async too
    jobs = [key.removeprefix(b"rq:job:").decode() for key in keys if key.count(b":") == 2]
    values: dict[str, tuple[Any, ...]] = {
        "instance_number": (0,),
        "queue_name": ("events", "crm", "nobody"),
        "registry_name": STATES,
        "per_page": (8,),
        "order": ("asc", "dsc"),
        "page": (1,),
        "job_id": tuple(jobs),
        "filename": ("css/main.css",),
    }
    adapter = app.url_map.bind("")
    for rule in app.url_map.iter_rules():
        if "GET" in rule.methods and rule.endpoint not in ("rq_dashboard.requeue_all", "static"):
            named: list[dict[str, Any]] = [{}]
            for name in rule.arguments:
                named = [{**one, name: value} for one in named for value in values[name]]
            yield from (adapter.build(rule.endpoint, one) for one in named)


def answers(app: Any, paths: list[str]) -> dict[str, tuple[int, bytes]]:
    """Status and content of each."""
    found = {}
    for path in paths:
        with app.test_client().get(path) as answer:
            found[path] = answer.status_code, answer.get_data()
    return found


def test_every_page_answers_while_a_worker_is_busy_and_when_it_is_idle(
    redis: Redis, settings: Settings, tmp_path: Path
) -> None:
    """With jobs in every state; no page shows what a customer wrote."""
    app = dashboard_app(settings)
    paths = sorted(set(pages(app, redis)))
    workers = "/0/data/workers.json"

    busy = answers(app, paths)
    (tmp_path / "jobs" / "gate").touch()
    until(lambda: Worker.all(redis)[0].get_state() == "idle")
    idle = answers(app, paths)

    assert len(paths) > 100
    for found in (busy, idle):
        assert {path: status for path, (status, _) in found.items() if status != 200} == {}
        assert not [path for path, (_, page) in found.items() if SECRET.encode() in page]
    assert [each["current_job"]["job_id"][-7:] for each in json.loads(busy[workers][1])["workers"]] == ["ordered"]
    assert [each["current_job"] for each in json.loads(idle[workers][1])["workers"]] == ["idle"]
    listed = {state: json.loads(busy[f"/0/data/jobs/crm/{state}/8/asc/1.json"][1])["jobs"] for state in STATES}
    assert [len(listed[state]) for state in STATES] == [0, 1, 2, 1, 2, 2, 0]


def test_a_job_put_back_by_a_button_keeps_what_we_note_in_it(redis: Redis, settings: Settings) -> None:
    """Its attempts and its position: whether one is put back or all of a queue."""
    client = dashboard_app(settings).test_client()
    crm = queue("crm", redis)
    (running,) = crm.started_job_registry.get_job_ids()
    one, other = crm.failed_job_registry.get_job_ids()
    before = {job_id: fetch(redis, job_id).get_meta() for job_id in (one, other)}

    first = client.post(f"/job/{one}/requeue").json
    again = client.post("/requeue/crm").json

    assert (first, again["status"]) == ({"status": "OK"}, "OK")
    assert all(before.values())
    for job_id in (one, other):
        until(lambda job_id=job_id: fetch(redis, job_id).get_status(refresh=True) == "failed")  # type: ignore[misc]
        meta = json.loads(redis.hget(Job.key_for(job_id), "meta"))  # type: ignore[arg-type]
        assert meta.keys() >= before[job_id].keys()
    assert crm.started_job_registry.get_job_ids() == [running]


def test_jobs_are_deleted_by_the_buttons(redis: Redis, settings: Settings) -> None:
    """One, and all of a state."""
    client = dashboard_app(settings).test_client()
    crm = queue("crm", redis)
    one, other = crm.failed_job_registry.get_job_ids()

    answers = [client.post(f"/job/{one}/delete"), client.post("/queue/nobody/compact")]
    answers += [client.post(f"/queue/crm/{state}/empty") for state in ("failed", "scheduled", "queued")]

    assert [answer.json["status"] for answer in answers] == ["OK"] * 5
    assert not Job.exists(one, redis)
    assert not Job.exists(other, redis)
    assert (crm.failed_job_registry.count, crm.scheduled_job_registry.count) == (0, 0)
