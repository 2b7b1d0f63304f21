"""A worker dies between a message and its ack: the stand-in gets one message."""

import json
import os
import signal
from pathlib import Path

from redis import Redis

from deskbell.simulator.rest.server import DeskRest
from deskbell.testing import api_call
from tests.conftest import SettingsFactory
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
