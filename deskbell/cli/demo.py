"""`deskbell demo`: the main job, once, from a signed callback to its contact and its row."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from redis import Redis
from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, select

from deskbell.calls.following import FollowedJob, ended_jobs
from deskbell.cli.defaults import CRM_TOKEN, DEV_APP, DEV_TOKEN
from deskbell.cli.exit import stop
from deskbell.cli.processes.signals import end_on_signals
from deskbell.cli.stack import Stack
from deskbell.http import HTTPError, client
from deskbell.jobs.analytics import events_table
from deskbell.simulator.packets import FIXTURES
from deskbell.simulator.signing import signed_query
from deskbell.testing import packet
from shared.settings.proxies import PROXIES
from shared.wire.protocol import API_CALL

_PATIENCE_SECONDS = 60
_GIVEN = {
    "DESKBELL_ENV_FILE": os.devnull,  # the demonstration runs the example, in whatever folder it is started
    # a laptop's disk may be busy
    "DESKBELL_LONG_BUDGET": "1",
    "DESKBELL_BUDGET_MS": "10000",
    "DESKBELL_REDIS_TIMEOUT_MS": "4000",
}
_FAILED = 1
_USER = "user517"


class DemoError(Exception):
    """Raised when the demonstration does not go as it must."""


def demo() -> None:
    """Run the main job on an embedded server: two callbacks, their answers and their jobs."""
    end_on_signals()
    for name in os.environ.keys() & PROXIES:  # nothing here leaves this machine
        del os.environ[name]
    console = Console(soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="deskbell-demo-") as folder:
        logs = Path(folder) / "logs"
        try:
            with Stack(Path(folder), given=_GIVEN, logs=logs) as stack:
                _demonstrate(stack, console)
        except (DemoError, HTTPError) as error:
            console.print(logs.read_text(), markup=False, highlight=False, style="dim")
            stop(f"the demo failed: {error}", _FAILED)


def _demonstrate(stack: Stack, console: Console) -> None:
    documented = (FIXTURES / "api_call.json").read_bytes()
    order = json.dumps(packet(OrderID="1002", SystemClientUserID=_USER, SystemSessionID="s-1")).encode()
    first = _call(stack, console, "The packet of Tencent's documentation, signed", "", documented)
    _wait_for_jobs(stack, [first])  # a worker performs many jobs at once: the contact is to show the second call
    events = [first, _call(stack, console, "A question about an order, signed", "order_status", order)]
    jobs = _wait_for_jobs(stack, events)
    _show_jobs(console, jobs)
    _show_contact(stack, console)
    _show_rows(stack, console, events)
    _show_dashboard(stack, console)


def _call(stack: Stack, console: Console, title: str, node: str, body: bytes) -> str:
    """Post a callback and print it and its answer; the event's id."""
    path = "/callback" + (f"/{node}" if node else "")
    console.print(f"\n[bold]{title}[/bold]")
    query = signed_query(DEV_APP, DEV_TOKEN, API_CALL)
    console.print(f"> POST {path}?{query}", markup=False, highlight=False)
    console.print(f"> {body.decode().strip()}", markup=False, highlight=False)
    with client(stack.api_url, seconds=_PATIENCE_SECONDS) as api:
        answer = api.post(f"{path}?{query}", content=body)
    console.print(f"< {answer.status_code} {answer.text}", markup=False, highlight=False)
    if answer.json().get("ErrorCode") != 0 or not answer.json().get("Body"):
        raise DemoError("the callback was not answered with variables")
    return answer.headers["X-Deskbell-Event"]


def _wait_for_jobs(stack: Stack, events: list[str]) -> list[FollowedJob]:
    """All jobs of the events, once they have ended."""
    try:
        with Redis.from_url(stack.environment["DESKBELL_REDIS_URL"]) as redis:
            return [job for event in events for job in ended_jobs(redis, event, seconds=_PATIENCE_SECONDS)]
    except TimeoutError as error:
        dead = stack.dead()
        raise DemoError(f"the process {min(dead)} has ended" if dead else str(error)) from None


def _show_jobs(console: Console, jobs: list[FollowedJob]) -> None:
    table = Table("queue", "job", "state", "attempts", title="\nThe jobs", title_justify="left", title_style="bold")
    for job in jobs:
        table.add_row(job.queue, job.name, job.state, str(job.attempts))
    console.print(table)
    for job in jobs:
        if job.state == "dead":
            raise DemoError(f"the job {job.name} is a dead letter")


def _show_contact(stack: Stack, console: Console) -> None:
    with client(stack.crm_url, headers={"Authorization": f"Bearer {CRM_TOKEN}"}) as crm:
        answer = crm.get(f"/contacts/{_USER}")
    console.print("\n[bold]The contact in the CRM[/bold]")
    console.print_json(answer.text)
    if answer.is_error or not answer.json()["enquiries"]:
        raise DemoError("the CRM has no contact with an enquiry")


def _show_rows(stack: Stack, console: Console, events: list[str]) -> None:
    engine = create_engine(stack.environment["DESKBELL_ANALYTICS_URL"])
    with engine.connect() as connection:
        rows = connection.execute(select(events_table).where(events_table.c.id.in_(events))).all()
    engine.dispose()
    columns = ("id", "node", "user", "outcome", "handler_ms")
    table = Table(*columns, title="\nThe analytics rows", title_justify="left", title_style="bold")
    for row in rows:
        table.add_row(*(str(row._mapping[column]) for column in columns))  # noqa: SLF001 - SQLAlchemy's public name
    console.print(table)
    if len(rows) != len(events):
        raise DemoError(f"expected {len(events)} analytics rows, got {len(rows)}")


def _show_dashboard(stack: Stack, console: Console) -> None:
    with client(stack.dashboard_url) as dashboard:
        queues: Any = dashboard.get("/0/data/queues.json").raise_for_status().json()
    names = ", ".join(sorted(queue["name"] for queue in queues["queues"]))
    console.print(f"\nrq-dashboard served {stack.dashboard_url} with the queues {names}.", highlight=False)
    console.print("Everything is stopped again. [bold]make dev[/bold] keeps it running.")
