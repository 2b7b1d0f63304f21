"""`wecom.remark` and `salesforce.contact` in worker processes: one token each, nothing lost and nothing twice."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from tests.conftest import WorkplaceFactory
from tests.deskbell.jobs import salesforce_server, wecom_server
from tests.deskbell.jobs.salesforce_server import Salesforce
from tests.deskbell.jobs.stand_in import call, serving
from tests.deskbell.jobs.wecom_server import CUSTOMER, WeCom
from tests.waiting import until
from tests.workers.running import LOG, jobs_in, running_worker, unfinished

pytestmark = pytest.mark.timeout(300)

JOBS = """
import logging

from deskbell import Backoff, Jobs
from deskbell.adapters import contacts, tokens
from deskbell.jobs import salesforce, wecom
from tests.deskbell.jobs.salesforce_server import CONTACT_ID, TASK_ID
from tests.deskbell.jobs.wecom_server import CUSTOMER, MEMBER

logging.getLogger().setLevel("DEBUG")  # as an integrator may
contacts.LEASE_SECONDS = tokens.LEASE_SECONDS = 5


def remark_of(event):
    order = event.variables["OrderID"]
    return wecom.Remark(userid=MEMBER, external_userid=CUSTOMER + event.user_id, description=order)


def contact_of(event):
    order = event.variables["OrderID"]
    return salesforce.Contact(
        external_id=event.user_id,
        fields={"Description": order},
        fields_of_new={"LastName": "Desk user"},
        task={"Subject": order},
    )


jobs = Jobs()
jobs.include(wecom.remark_jobs(remark_of))
jobs.include(salesforce.contact_jobs(contact_of, id_field=CONTACT_ID, task_id_field=TASK_ID))
for name in jobs.names:
    jobs.adjust(name, backoff=Backoff(base=1, cap=1), attempts=30)
"""
QUEUES = ("wecom", "salesforce")
CUSTOMERS, EACH = 20, 3


def test_tokens_end_and_a_worker_is_killed_while_two_workers_write(
    open_workplace: WorkplaceFactory, redis: Redis, valkey_url: str, tmp_path: Path
) -> None:
    """One is killed when requests of its are carried out and not answered; the tokens end while jobs run.

    Each customer is as of the newest event in the end, each event has one task, and each token was fetched once: five
    for all workers. With the level at DEBUG, no line of theirs holds a secret, a token or a value.
    """
    workplace = open_workplace(jobs_in(JOBS))
    events = [call(f"order-{number}", f"user-{number % CUSTOMERS}") for number in range(CUSTOMERS * EACH)]
    remarks, org = WeCom(), Salesforce()

    with serving(remarks), serving(org), ExitStack() as stack:
        settings = {
            "WECOM_URL": remarks.url,
            "WECOM_CORP_ID": wecom_server.CORP,
            "WECOM_SECRET": wecom_server.SECRET,
            "SALESFORCE_URL": org.url,
            "SALESFORCE_CLIENT_ID": salesforce_server.CLIENT,
            "SALESFORCE_CLIENT_SECRET": salesforce_server.SECRET,
            "ABANDONED_SECONDS": "5",
        }

        def start() -> int:
            return stack.enter_context(running_worker(tmp_path, JOBS, valkey_url, *QUEUES, **settings)).pid

        for event in events:
            workplace.put_event(event)
        workplace.work("events")
        remarks.pause.clear()
        org.pause.clear()
        first = start()
        until(lambda: remarks.at_once == wecom_server.MOST_AT_ONCE and org.paused > 1, seconds=60)
        os.kill(first, signal.SIGKILL)  # between request and ack
        # Those that were checked before, at most four, are still written; every other write needs the next token.
        remarks.after = {CUSTOMERS // 3: remarks.expire, CUSTOMERS * 2 // 3: remarks.end_token}
        org.after = {org.writes + 3: org.end_token}
        remarks.pause.set()
        org.pause.set()
        for name in QUEUES:
            redis.delete(f"rq:scheduler-lock:{name}")  # let the minute pass for which a dead worker holds it
        start(), start()
        until(lambda: not unfinished(redis, *QUEUES), seconds=200)

    newest = {event.user_id: str(event.variables["OrderID"]) for event in events}
    assert {customer.removeprefix(CUSTOMER): texts[-1] for customer, texts in remarks.written.items()} == newest
    assert {user: record["Description"] for user, (record,) in org.records["Contact"].items()} == newest
    assert {event.id for event in events} == set(org.records["Task"])
    assert all(len(records) == 1 for records in org.records["Task"].values())
    assert [workplace.queue(name).failed_job_registry.count for name in QUEUES] == [0, 0]
    assert remarks.most_seen_at_once <= wecom_server.MOST_AT_ONCE
    assert (remarks.fetches, org.fetches) == (3, 2)

    lines = (tmp_path / LOG).read_text()
    assert "wecom.remark" in lines
    hidden = (wecom_server.SECRET, salesforce_server.SECRET, "-token-", CUSTOMER, "order-", "user-")
    assert not [word for word in hidden if word in lines]
