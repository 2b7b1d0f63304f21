"""Redis behind Sentinel: the master dies under load, and nothing that was acknowledged is lost."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from redis import Redis
from rq import Worker

from deskbell import Settings
from deskbell.cli.dashboard import serve_dashboard
from deskbell.cli.processes.listening import listen
from shared.redis.connections import connect
from shared.redis.queues import EVENTS, queue
from tests import forked
from tests.desk import APP, TOKEN
from tests.processes import ALONE, environment
from tests.replicated import PASSWORD, Replicated, replicated, wait_for
from tests.serving import Load, running_api
from tests.waiting import until
from tests.workers.running import running_worker, unfinished

JOBS = """
import os
from deskbell import ApiCall, Jobs

jobs = Jobs()

def note(line: str) -> None:
    with open(os.environ["DESKBELL_APP_DIR"] + "/ran", "a") as ran:
        ran.write(line + "\\n")

@jobs.on(ApiCall, queue="together")
async def together(event: ApiCall) -> None:
    note(f"together {event.id}")

@jobs.on(ApiCall, queue="apart", when={"Apart": "1"}, isolation="process")
def apart(event: ApiCall) -> None:
    note(f"apart {event.id}")
"""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Replicated]:
    """A master, two replicas and three sentinels, all behind passwords."""
    with replicated(tmp_path) as running:
        yield running


def test_the_master_dies_under_load_and_nothing_acknowledged_is_lost(servers: Replicated, tmp_path: Path) -> None:
    """An answer waits for a replica, or is spooled; api and workers find the new master, though a sentinel is dead."""
    (tmp_path / "jobs").mkdir()
    settings = Settings(redis_url=SecretStr(servers.url))
    with ExitStack() as stack:
        api = stack.enter_context(running_api(servers.url, tmp_path, *ALONE, DESKBELL_MIN_REPLICAS="1"))
        workers = [
            stack.enter_context(running_worker(tmp_path / "jobs", JOBS, servers.url, *words, ABANDONED_SECONDS="5"))
            for words in ((EVENTS, "together", "--processes", "2"), ("apart",))
        ]
        redis = stack.enter_context(connect(settings))
        until(lambda: len(Worker.all(redis)) == 3)
        known = {worker.name for worker in Worker.all(redis)}
        load = stack.enter_context(Load(api.desk.url))
        until(lambda: len(load.kept) >= 200)

        servers.kill_sentinel(0)
        dead = servers.kill_master()
        killed = len(load.kept)
        until(lambda: servers.master_port != dead)
        elected = len(load.kept)
        until(lambda: len(load.kept) >= elected + 200)
        load.__exit__()

        until(lambda: "deskbell_spool_events 0.0" in api.desk.http.get("/metrics").text)
        wait_for(lambda: unfinished(redis, EVENTS, "together", "apart") == 0)
        ran = (tmp_path / "jobs" / "ran").read_text().split()
        assert {worker.name for worker in Worker.all(redis)} == known
        assert [worker.poll() for worker in workers] == [None, None]

    assert elected > killed
    assert set(load.answers) <= {(200, 0), (503, 1010)}
    assert set(load.kept) <= set(ran)


def test_the_commands_and_the_dashboard_find_the_master(servers: Replicated, tmp_path: Path) -> None:
    """`doctor`, `dead` and `dashboard` take the same setting."""
    ours = environment(DESKBELL_REDIS_URL=servers.url, DESKBELL_APPS=json.dumps({APP: [TOKEN]}))
    with Redis.from_url(f"redis://:{PASSWORD}@127.0.0.1:{servers.master_port}") as master:
        queue("crm", master).enqueue("shared.redis.queues.queue_key", "x")

    doctor = forked.run("doctor", env=ours, cwd=tmp_path)
    dead = forked.run("dead", "list", env=ours, cwd=tmp_path)
    with listen("127.0.0.1", 0) as listener:
        server = serve_dashboard(listener, Settings(redis_url=SecretStr(servers.url)))
        port = listener.getsockname()[1]
        shown = httpx.get(f"http://127.0.0.1:{port}/0/data/queues.json").json()
        page = httpx.get(f"http://127.0.0.1:{port}/").text
        server.shutdown()

    assert "Redis answers" in doctor.stdout
    assert dead.returncode == 0, dead.stderr
    assert [found["name"] for found in shown["queues"]] == ["crm", EVENTS]  # the latter named by what doctor asks
    assert PASSWORD not in page
