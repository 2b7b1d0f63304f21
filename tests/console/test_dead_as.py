"""Dead letters of a job type that nobody knows any more: they are replayed as another type."""

import html
import re
import sys
from types import ModuleType

import pytest
from redis import Redis

from deskbell import ApiCall, Jobs
from deskbell.testing import api_call
from shared.redis.workers import WorkerRecord
from tests.conftest import WorkplaceFactory
from tests.console.conftest import ConsoleFactory
from tests.console.dead_pages import counted, ended, fields, figures, link, meta
from tests.deskbell.cli.doctor.looking import worker
from tests.workers.failed_jobs import Unwilling, make_dead_letters
from workers.audit import AuditLog
from workers.declared import declared

MODULE = "jobs_of_a_test_of_replays"
GROUP = r'href="(/dead/group[^"]*)"><bdi>UnknownJobError'


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """The job types that DESKBELL_JOBS names: one that workers will declare, and one that none does."""
    found = Jobs()

    @found.on(ApiCall, name="acme.renamed", queue="crm", node="order_status")
    def renamed(event: ApiCall) -> None: ...

    @found.on(ApiCall, name="acme.planned")
    def planned(event: ApiCall) -> None: ...

    module = ModuleType(MODULE)
    module.__dict__["jobs"] = found
    monkeypatch.setitem(sys.modules, MODULE, module)
    return found


def put_unknown(redis: Redis, workplace_of: WorkplaceFactory, *nodes: str) -> list[str]:
    """Dead letters of a type that no worker knew; the ids of their events."""
    events = [api_call(node) for node in nodes]
    make_dead_letters(workplace_of(Unwilling().jobs), events=events)
    for event in events:
        meta(redis, f"{event.id}-acme-record", cause="UnknownJobError at workers/perform.py:33", made=1)
    return [event.id for event in events]


def test_they_are_replayed_as_a_type_that_a_living_worker_declares(
    sign_in: ConsoleFactory, open_workplace: WorkplaceFactory, jobs: Jobs, redis: Redis
) -> None:
    """After a dry run that says how many not, too; the audit log says as what. A type that nobody runs is not there."""
    first, second, _ = put_unknown(redis, open_workplace, "order_status", "order_status", "refund")
    redis.hset(f"rq:job:{second}-acme-renamed", "data", "[]")
    operator, viewer = (sign_in(role, jobs=f"{MODULE}:jobs") for role in ("operator", "viewer"))

    with worker(redis, "crm") as here:
        types = {"acme.renamed": declared(jobs.types[0]), "acme.elsewhere": declared(jobs.types[0])}
        record = WorkerRecord(name=here.name, host="h", pid=1, version="1", queues=("crm",), job_types=types, slots=1)
        redis.set(record.key, record.to_json())
        path = html.unescape(re.findall(GROUP, counted(operator, "/dead").text)[0])
        group = counted(operator, path)
        plan_path = f"/dead/plan?action=replay&group={path.rpartition('=')[2]}&as=acme.renamed"
        plan = counted(operator, plan_path)
        form = fields(plan, "start")
        refused = [
            viewer.get(plan_path),
            viewer.post("/dead/runs", data=form),
            operator.post("/dead/runs", data=form | {"as": "acme.planned"}),
            operator.post("/dead/runs", data=form | {"action": "discard"}),
        ]
        before = redis.llen("rq:queue:crm")
        run = ended(operator, operator.post("/dead/runs", data=form | {"rate": ""}))

    assert re.findall(r"<option>([a-z.]+)</option>", group.text) == ["acme.renamed"]
    assert 'id="replay-as"' not in counted(viewer, path).text
    assert figures(plan) | {"jobs behind": "0"} == {
        "would be replayed": "1",
        "not: the event has a job of that type": "1",
        "not: the type does not subscribe to such an event": "1",
        "jobs behind": "0",
    }
    assert "Put 1 dead letters back" in plan.text
    assert [each.status_code for each in refused] == [403, 403, 400, 400]
    assert (
        "as: expected one of the job types to replay as (acme.renamed), got &#39;acme.planned&#39;" in refused[2].text
    )
    assert (before, redis.lrange("rq:queue:crm", 0, -1)) == (0, [f"{first}-acme-renamed".encode()])
    assert (figures(run)["replayed"], figures(run)["of the dry run"], redis.zcard("rq:failed:default")) == ("1", "3", 2)
    entries = AuditLog(redis).latest(9)
    assert entries[0].selection.endswith(", this cause alone, on default --as acme.renamed")
    assert [(each.by, each.action, each.end, each.done) for each in entries] == [
        ("operator (console)", "replay", "done", 1),
        ("viewer (console)", "dead.runs", "refused", 1),
        ("viewer (console)", "dead.plan", "refused", 1),
    ]


def test_without_the_integrators_job_types_the_page_names_the_command(
    open_console: ConsoleFactory, open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """What a type subscribes to, and its limits, stand in no place but the integrator's code."""
    put_unknown(redis, open_workplace, "order_status")
    browser = open_console()

    group = counted(browser, html.unescape(re.findall(GROUP, counted(browser, "/dead").text)[0]))

    assert "This console has none to offer: DESKBELL_JOBS must name the job types" in group.text
    assert "<code>deskbell dead replay --job acme.record --as NEW</code>" in group.text
    assert figures(counted(browser, link(group, "replay-group")))["would be replayed"] == "1"
