"""What has become of the load under faults, then the end of everything: `tests/containers/run`."""

import json

import pytest

from tests.containers.project import EVERY_PROFILE, ROLES, Stack, patiently

pytestmark = pytest.mark.timeout(600)

ROWS = (
    "import json, sqlite3; database = sqlite3.connect('/data/analytics.db');"
    "rows = database.execute('select \"user\", count(*) from deskbell_events group by 1');"
    "print(json.dumps(dict(rows.fetchall())))"
)
ENQUIRIES = (
    "import json, sqlite3; database = sqlite3.connect('/data/crm.db');"
    "rows = database.execute('select contact, count(*) from enquiries group by 1');"
    "print(json.dumps(dict(rows.fetchall())))"
)


def test_what_was_acknowledged_under_faults_is_done_once(stack: Stack, acknowledged: list[str]) -> None:
    """One row and one entry in the CRM for each; a job that ran during the cut runs again when its lease is over."""
    expected = dict.fromkeys(acknowledged, 1)

    patiently(lambda: of_the_load(stack, "worker-analytics", ROWS) == expected)
    patiently(lambda: of_the_load(stack, "crm", ENQUIRIES) == expected)
    assert "no dead letters" in stack.execute("api", "deskbell", "dead", "list")


def of_the_load(stack: Stack, service: str, program: str) -> dict[str, int]:
    """How much there is of each user of the load."""
    counts: dict[str, int] = json.loads(stack.outcome(service, program) or "{}")
    return {user: count for user, count in counts.items() if user.startswith("light-")}


def test_every_role_logs_json_and_ends_with_status_0(stack: Stack) -> None:
    """Also those that are not Deskbell's own: rq-dashboard and the CRM's uvicorn."""
    stack.compose(*EVERY_PROFILE, "stop")

    for service, ids in stack.containers().items():
        assert len(ids) == 1
        state = stack.inspect(service)["State"]
        assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 0, False), service
    for role in sorted(ROLES):
        lines = stack.logs(role).splitlines()
        assert lines
        assert all(json.loads(line)["event"] for line in lines)
