"""Messages of real jobs when something is wrong: the stand-in gets each once."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from redis import Redis

from deskbell.simulator.rest.server import DeskRest
from deskbell.testing import api_call
from tests.conftest import SettingsFactory
from tests.logged import capture_logs
from tests.waiting import until
from tests.workers.running import LOG, Workplace, jobs_in, running_worker, status_of

APP, KEY = "1400000001", "a-secret-key"
SAID = "what-only-the-customer-may-read"
ACME = f"""
from deskbell import ApiCall, Jobs
from deskbell.desk import Desks, msg_random, text

jobs, desks = Jobs(), Desks()
jobs.lifespan(desks.lifespan)

@jobs.on(ApiCall)
async def tell(event: ApiCall) -> None:
    await desks.of(event).send_msg(event.session_id, [text("{SAID}")], random=msg_random(event, "tell"))
"""


def test_a_worker_killed_behind_its_message_sends_none_twice(
    redis: Redis, valkey_url: str, tmp_path: Path, make_settings: SettingsFactory
) -> None:
    """The message has arrived, the answer has not: the job runs again, and Desk drops what it has had by its number."""
    settings = make_settings()
    event = Workplace(redis, jobs_in(ACME), settings).put_jobs(api_call(SystemSessionID="a-session"))

    with DeskRest({APP: KEY}) as rest:
        rest.fail("send_msg", seconds=600)
        given = {"DESK_URL": rest.url, "DESK_KEYS": json.dumps({APP: KEY}), "ABANDONED_SECONDS": "5"}
        with running_worker(tmp_path, ACME, valkey_url, **given) as killed:
            until(lambda: rest.messages)
            os.kill(killed.pid, signal.SIGKILL)
        with running_worker(tmp_path, ACME, valkey_url, **given):
            until(lambda: status_of(redis, f"{event.id}-tell") == "finished")

        assert [(each.code, each.is_duplicate) for each in rest.received] == [(0, False), (0, True)]
        assert len(rest.messages) == 1

    log = (tmp_path / LOG).read_text()
    assert '"outcome":"done"' in log
    for secret in (KEY, SAID, "usersig"):
        assert secret not in log


def test_a_message_gets_through_every_fault_once(redis: Redis, make_settings: SettingsFactory) -> None:
    """On a worker, a server and Desk's stand-in: each attempt fails otherwise; no line holds a secret or a value."""
    with capture_logs() as lines, DeskRest({APP: KEY}) as rest:
        workplace = Workplace(redis, jobs_in(ACME), make_settings(desk_url=rest.url, desk_keys={APP: KEY}))
        faults: list[dict[str, Any]] = [
            {"half": True},
            {"status": 500},
            {"status": 503},
            {"status": 429, "retry_after": 1},
            {"code": 141002},
            {"code": 60007},
            {"code": 70009},
        ]
        for fault in faults:
            rest.fail("send_msg", **fault)
        event = workplace.put_jobs(api_call(SystemSessionID="a-session"))
        states = []
        for _ in (*faults, None):
            workplace.work()
            states.append((status_of(redis, f"{event.id}-tell"), workplace.job(event, "tell").meta["attempt"]))
            workplace.make_due()

        attempts = [1, 2, 2, 2, 2, 2, 2, 3]  # refusals that are nobody's fault use up none
        assert states == [*(("scheduled", attempt) for attempt in attempts[:-1]), ("finished", attempts[-1])]
        assert len(rest.messages) == 1

        rest.end_session("a-session")
        late = workplace.put_jobs(api_call(SystemSessionID="a-session"))
        workplace.work()
        dead = workplace.job(late, "tell")
        assert (dead.get_status(), dead.meta["cause"].partition(" at ")[0]) == ("failed", "SessionEnded 141005")

    log = str(lines)
    assert "141005" in log
    for secret in (KEY, SAID, "usersig", rest.url):
        assert secret not in log
