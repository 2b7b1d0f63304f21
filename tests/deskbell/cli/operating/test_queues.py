"""`deskbell queues`: a queue is paused and resumed, and the audit log says who did."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from deskbell import ApiCall, Jobs
from deskbell.testing import api_call
from shared.redis.pauses import PAUSED_QUEUES_KEY
from tests import forked
from tests.conftest import WorkplaceFactory
from tests.deskbell.cli.doctor.conftest import look
from tests.deskbell.cli.doctor.looking import Look, problems, worker
from tests.processes import environment
from workers.audit import AuditLog

__all__ = ["look"]  # a fixture

Run = Callable[..., subprocess.CompletedProcess[str]]
JOBS = Jobs()


@JOBS.on(ApiCall, queue="erp")
async def push(event: ApiCall) -> None:
    """Do nothing."""


@JOBS.on(ApiCall, queue="crm")
async def write(event: ApiCall) -> None:
    """Do nothing."""


@pytest.fixture
def queues(tmp_path: Path, valkey_url: str) -> Run:
    """Run `deskbell queues`."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        given = environment(DESKBELL_REDIS_URL=valkey_url, USER="li")
        return forked.run("queues", *words, env=given, cwd=tmp_path)

    return run


def test_no_job_of_a_paused_queue_is_begun_until_it_is_resumed(
    open_workplace: WorkplaceFactory, queues: Run, redis: Redis
) -> None:
    """Those of other queues are; and of two people who press the same button, one has done it."""
    workplace = open_workplace(JOBS)
    workplace.put_jobs(api_call("order"))

    paused, again = queues("pause", "erp"), queues("pause", "erp", "--by", "wang")
    workplace.work("erp", "crm")
    lengths = [redis.llen(f"rq:queue:{name}") for name in ("erp", "crm")]
    resumed, nothing = queues("resume", "erp", "--by", "wang"), queues("resume", "erp")
    workplace.work("erp")

    assert (paused.stdout, again.stdout) == ("the queue erp is paused\n", "the queue erp is paused already\n")
    assert lengths == [1, 0]
    assert (resumed.stdout, nothing.returncode) == ("the queue erp goes on\n", 1)
    assert "nobody has paused the queue 'erp'" in nothing.stderr
    assert redis.llen("rq:queue:erp") == 0
    entries = [(each.by.partition("@")[0], each.action, each.selection, each.end) for each in AuditLog(redis).latest(9)]
    assert entries == [("wang", "resume", "erp", "done"), ("li", "pause", "erp", "done")]


def test_a_queue_that_nobody_knows_is_not_paused(queues: Run, redis: Redis) -> None:
    """A misspelt name would look as if it were done."""
    with worker(redis, "erp"):
        refused = queues("pause", "erpp")

    assert refused.returncode == 2
    assert "no job type, job or worker has the queue 'erpp'; did you mean erp?" in refused.stderr
    assert not redis.exists(PAUSED_QUEUES_KEY)


def test_doctor_says_who_paused_a_queue_and_when(look: Look, queues: Run, redis: Redis) -> None:
    """Also of a queue on which nothing waits, and when somebody has damaged the entry."""
    with worker(redis, "erp"):
        queues("pause", "erp", "--by", "wang")
        redis.hset(PAUSED_QUEUES_KEY, "a b", "[]")
        status, lines = look()

    assert status == 1
    first, second = [line for line in problems(lines) if " is paused" in line]
    assert first == "the queue a b is paused: no job of it is begun; write `deskbell queues resume 'a b'`"
    assert second.startswith("the queue erp is paused by wang since ")
    assert second.endswith(" UTC: no job of it is begun; write `deskbell queues resume erp`")
