"""`wecom.remark` in worker processes: one token, five at once, nothing lost, whatever is killed or ends meanwhile."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from tests.conftest import WorkplaceFactory
from tests.deskbell.jobs.stand_in import call, serving
from tests.deskbell.jobs.wecom_server import CORP, CUSTOMER, SECRET, WeCom
from tests.waiting import until
from tests.workers.running import LOG, jobs_in, running_worker, unfinished

pytestmark = pytest.mark.timeout(300)

JOBS = """
import logging

from deskbell import Backoff
from deskbell.adapters import contacts, tokens
from deskbell.jobs.wecom import Remark, remark_jobs
from tests.deskbell.jobs.wecom_server import CUSTOMER, MEMBER

logging.getLogger().setLevel("DEBUG")  # as an integrator may
contacts.LEASE_SECONDS = tokens.LEASE_SECONDS = 5
jobs = remark_jobs(
    lambda event: Remark(
        userid=MEMBER, external_userid=CUSTOMER + event.user_id, description=event.variables["OrderID"]
    )
)
jobs.adjust("wecom.remark", backoff=Backoff(base=1, cap=1), attempts=30)
"""
CUSTOMERS, EACH = 30, 3


def test_a_token_ends_and_a_worker_is_killed_while_two_workers_write(
    open_workplace: WorkplaceFactory, redis: Redis, valkey_url: str, tmp_path: Path
) -> None:
    """One is killed while WeCom has its requests and has not answered; the token expires, and another is ended.

    Each customer has the newest remark in the end, and the workers asked for three tokens in all.
    """
    workplace = open_workplace(jobs_in(JOBS))
    events = [call(f"order-{number}", f"u{number % CUSTOMERS}") for number in range(CUSTOMERS * EACH)]

    with serving(WeCom()) as service, ExitStack() as stack:
        settings = {"WECOM_URL": service.url, "WECOM_CORP_ID": CORP, "WECOM_SECRET": SECRET, "ABANDONED_SECONDS": "5"}

        def start() -> int:
            return stack.enter_context(running_worker(tmp_path, JOBS, valkey_url, "wecom", **settings)).pid

        for event in events:
            workplace.put_event(event)
        workplace.work("events")
        service.pause.clear()
        first = start()
        until(lambda: service.at_once == 5)
        os.kill(first, signal.SIGKILL)  # between request and ack
        service.pause.set()
        redis.delete("rq:scheduler-lock:wecom")  # let the minute pass for which a dead worker holds RQ's scheduler
        start(), start()
        until(lambda: len(service.written) > CUSTOMERS // 3, seconds=100)
        service.expire()
        until(lambda: len(service.written) > CUSTOMERS * 2 // 3, seconds=100)
        service.end_token()
        until(lambda: not unfinished(redis, "wecom"), seconds=200)

        newest = {CUSTOMER + event.user_id: str(event.variables["OrderID"]) for event in events}
        assert {customer: texts[-1] for customer, texts in service.written.items()} == newest
        assert workplace.queue("wecom").failed_job_registry.count == 0
        assert service.most_seen_at_once <= 5
        assert service.fetches == 3

    lines = (tmp_path / LOG).read_text()
    assert "wecom.remark" in lines
    assert not [word for word in (SECRET, "wecom-token", CUSTOMER, "order-") if word in lines]
