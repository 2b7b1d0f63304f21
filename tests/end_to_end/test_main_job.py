"""The main job in real processes: `deskbell demo`, and what the logs of a whole run say."""

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from deskbell.cli.defaults import DEV_APP, DEV_TOKEN
from deskbell.cli.stack import Stack
from deskbell.testing import packet, signed_query
from shared.redis.queues import EVENTS, queue
from shared.wire.protocol import API_CALL
from tests.desk import Desk
from tests.processes import PATIENT, environment, unmeasured

pytestmark = pytest.mark.timeout(600)  # a whole stack is started, more than once, on a machine that may be busy

DESKBELL = [sys.executable, "-P", "-m", "deskbell"]

PLANTED = """
from deskbell import ApiCall, Callbacks, Discard, Event, Jobs, Refuse

callbacks = Callbacks()
jobs = Jobs()

@callbacks.api_call("fails")
async def fails(Phone: str) -> dict[str, str]:
    raise ValueError(f"no customer has the phone {Phone}")

@callbacks.api_call("refuses")
def refuses(Phone: str) -> dict[str, str]:
    raise Refuse("we do not know this phone")

@callbacks.api_call("answers")
def answers(Phone: str, Count: int = 1) -> dict[str, str]:
    return {"Echo": Phone}

@jobs.on(ApiCall, attempts=1)
async def bursts(event: ApiCall) -> None:
    raise RuntimeError(f"cannot call {event.variables['Phone']}")

@jobs.on(ApiCall, queue="other")
def discards(event: ApiCall) -> None:
    raise Discard(f"not calling {event.variables['Phone']}")
"""


def test_the_demo_shows_the_main_job_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Two at once in an empty folder, one in hostile surroundings: both exit 0, show all, and write nothing there."""
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "cwd": tmp_path}
    hostile = environment(
        HOME="/", ALL_PROXY="socks://127.0.0.1:9", http_proxy="http://127.0.0.1:9", PYTHONIOENCODING="ascii"
    )
    running = [subprocess.Popen([*DESKBELL, "demo"], env=env, **options) for env in (unmeasured(HOME="/"), hostile)]
    outputs = [process.communicate(timeout=120)[0] for process in running]

    for process, output in zip(running, outputs, strict=True):
        assert process.returncode == 0, output
        assert '"Body":{"testKey1":"shipped","testKey3":"2"}' in output
        assert '"Body":{"OrderStatus":"shipped","Carrier":"YTO Express"}' in output
        for job in ("crm.contact", "analytics.event", "record_enquiry"):
            assert job in output
        assert '"last_node": "order_status"' in output
        assert re.search(r"rq-dashboard served http://127\.0\.0\.1:\d+ with the queues analytics, crm, events", output)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def planted(tmp_path: Path) -> dict[str, str]:
    """The settings of an integrator whose functions fail and quote their customers."""
    tmp_path.joinpath("planted.py").write_text(PLANTED)
    return {
        "DESKBELL_APP_DIR": str(tmp_path),
        "DESKBELL_CALLBACKS": "planted:callbacks",
        "DESKBELL_JOBS": "planted:jobs",
    } | PATIENT


def test_no_log_line_of_a_whole_run_holds_what_a_customer_wrote(planted: dict[str, str], tmp_path: Path) -> None:
    """Neither values, tokens, Sign nor query: not on success, not when handlers, jobs and senders fail."""
    secrets = ["13800138000", "user-named-zhang", "session-4711", DEV_TOKEN, "planted-request-id", "198.51.100.7"]
    variables = {"Phone": secrets[0], "SystemClientUserID": secrets[1], "SystemSessionID": secrets[2]}
    logs = tmp_path / "logs"

    with Stack(tmp_path / "data", given=planted, logs=logs) as stack:
        desk = Desk(stack.api_url)
        signs = [post(desk, node, variables) for node in ("answers", "fails", "refuses", "nowhere", "")]
        signs.append(post(desk, "answers", variables | {"Count": secrets[0] + "x"}))
        desk.http.post(f"/callback?{secrets[5]}&Sign={secrets[3]}", content=b"{" + secrets[0].encode())
        desk.http.post(f"/{secrets[3]}/callback", content=secrets[0].encode())
        wait_for_dead_letters(stack.environment["DESKBELL_REDIS_URL"], {"default": 6, "other": 6})
        desk.http.close()

    text = logs.read_text()
    for secret in [*secrets, *signs, "Sign=", "RequestTime="]:
        assert secret not in text
    assert text.count('"event":"callback"') == 6
    assert text.count('"event":"refused"') >= 1
    assert text.count('"outcome":"dead"') == 6
    assert text.count('"outcome":"discarded"') == 6
    assert '"error":"ValueError"' in text
    assert "planted.py" in text


def post(desk: Desk, node: str, variables: dict[str, str]) -> str:
    """Post a signed call; its Sign."""
    query = signed_query(DEV_APP, DEV_TOKEN, API_CALL)
    query = re.sub("RequestID=[^&]*", "RequestID=planted-request-id-" + (node or "none") + str(len(variables)), query)
    query = query.replace("127.0.0.1", "198.51.100.7")
    answer = desk.http.post(f"/callback/{node}?{query}" if node else f"/callback?{query}", json=packet(**variables))
    assert answer.status_code == 200
    found = re.search("Sign=([0-9a-f]{64})", query)
    assert found
    return found[1]


def wait_for_dead_letters(redis_url: str, expected: dict[str, int]) -> None:
    """Wait until every queue has its dead letters and nothing is under way."""
    deadline = time.monotonic() + 60
    with Redis.from_url(redis_url) as redis:
        while time.monotonic() < deadline:
            found = {name: queue(name, redis).failed_job_registry.count for name in expected}
            if found == expected and queue(EVENTS, redis).count == 0:
                return
            time.sleep(0.05)
    pytest.fail(f"expected the dead letters {expected}, got {found}")
