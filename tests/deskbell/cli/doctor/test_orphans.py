"""`deskbell doctor` and orphaned jobs: those that nobody would ever run or end are told, and no others."""

import json
import threading
from pathlib import Path

import pytest
from redis import Redis

from deskbell import ApiCall, Jobs
from deskbell.queues import orphans
from deskbell.queues.orphans import Orphan, read_orphans
from deskbell.testing import api_call
from tests import forked
from tests.conftest import WorkplaceFactory, open_workplace
from tests.deskbell.cli.doctor.looking import APPS, Look, problems, worker
from tests.processes import environment
from tests.workers.running import Workplace

__all__ = ["open_workplace"]  # a fixture

RAN: list[str] = []


def jobs_of_erp(**options: object) -> Jobs:
    """One job type that notes what it has run."""
    jobs = Jobs()

    @jobs.on(ApiCall, queue="erp", **options)  # type: ignore[arg-type]
    def push(event: ApiCall) -> None:
        RAN.append(event.id)

    return jobs


@pytest.fixture
def workplace(open_workplace: WorkplaceFactory) -> Workplace:
    """A queue erp with three jobs that wait."""
    workplace = open_workplace(jobs_of_erp())
    for _ in range(3):
        workplace.put_jobs(api_call("order"))
    return workplace


def test_jobs_that_move_are_no_orphans(redis: Redis, workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that wait, run, have ended or are dead, and those that go from one to another while they are looked at."""
    monkeypatch.setattr(orphans, "AGAIN_SECONDS", 0)
    for _ in range(60):
        workplace.put_event(api_call("order"))
    found: list[Orphan] = []
    is_over = threading.Event()

    def look() -> None:
        with Redis(connection_pool=redis.connection_pool) as other:
            while not is_over.is_set():
                found.extend(read_orphans(other).found)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        workplace.work("events", concurrency=4)
        workplace.work("erp", concurrency=4)
    finally:
        is_over.set()
        looking.join()

    assert found == []
    assert read_orphans(redis).is_whole


def test_an_id_without_a_job_is_told_and_harmless(look: Look, redis: Redis, workplace: Workplace) -> None:
    """A worker drops it."""
    gone, *_ = workplace.queue("erp").job_ids
    redis.delete(f"rq:job:{gone}")

    with worker(redis, "erp"):
        _, lines = look("erp")

    assert any(
        line.startswith(f"warning: 1 id on the queue erp has no job, which was deleted or has expired ({gone}); ")
        for line in lines
    )


def test_jobs_in_no_queue_are_a_problem_that_can_be_mended_as_told(
    look: Look, redis: Redis, workplace: Workplace
) -> None:
    """Under way without a lease, queued or scheduled and on no list: as a hand, or a restored file, may leave them."""
    erp = workplace.queue("erp")
    ids = dict(zip(("started", "queued", "scheduled"), erp.job_ids, strict=True))
    for says, job_id in ids.items():
        redis.lrem(erp.key, 1, job_id)
        redis.hset(f"rq:job:{job_id}", "status", says)

    with worker(redis, "erp", "events"):
        status, lines = look()
        _, of_another = look("events")
    told = [text for text in problems(lines) if "in no queue or registry" in text]
    commands = [text.rpartition("`redis-cli ")[2].rstrip("`").split() for text in told]
    for command in commands:
        redis.execute_command(*command)
    RAN.clear()
    workplace.work("erp")

    assert status == 1
    assert told[0].startswith("1 job of the queue erp is queued, as it says, and in no queue or registry")
    assert [command[-1] for command in commands] == [ids["queued"], ids["scheduled"], ids["started"]]
    assert not any("in no queue or registry" in line for line in of_another)
    assert sorted(RAN) == sorted(job_id.partition("-")[0] for job_id in ids.values())


def test_a_job_that_is_held_behind_one_that_is_gone_is_told(
    look: Look, redis: Redis, open_workplace: WorkplaceFactory
) -> None:
    """A worker queues it within half a minute, if its type is ordered there."""
    workplace = open_workplace(jobs_of_erp(ordered_by="session"))
    first, _ = (workplace.put_jobs(api_call("order", SystemSessionID="s-1")) for _ in range(2))
    redis.delete(f"rq:job:{first.id}-push")
    redis.lrem("rq:queue:erp", 1, f"{first.id}-push")

    with worker(redis, "erp"):
        _, lines = look("erp")

    assert any(line.startswith("warning: 1 job of the queue erp is held behind one that is gone (") for line in lines)


def test_what_was_not_looked_at_is_said(
    look: Look, redis: Redis, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis with more keys, or a queue with more ids, than are looked at."""
    assert workplace.queue("erp").count == 3
    for number in range(3000):
        redis.set(f"other:{number}", 1)
    monkeypatch.setattr(orphans, "MOST_KEYS", 1000)
    monkeypatch.setattr(orphans, "MOST_IDS", 2)

    with worker(redis, "erp"):
        _, lines = look("erp")

    (told,) = [line for line in lines if "orphaned jobs" in line]
    assert told.startswith("unknown: looked for orphaned jobs in 1000 of 3")
    assert "and not at all in erp, where too many wait or a key is damaged: there may be more" in told
    assert told.endswith("; look again when Redis and this host are less busy")


def test_what_a_program_reads_has_sentence_action_and_reason(redis: Redis, tmp_path: Path, valkey_url: str) -> None:
    """As JSON; of a queue without a worker."""
    redis.sadd("rq:queues", "rq:queue:erp")
    redis.rpush("rq:queue:erp", "x")
    env = environment(DESKBELL_REDIS_URL=valkey_url, DESKBELL_APPS=APPS)

    found = forked.run("doctor", "erp", "--json", env=env, cwd=tmp_path)

    document = json.loads(found.stdout)
    assert (found.returncode, document["ok"]) == (1, False)
    assert {
        "kind": "problem",
        "text": "no living worker reads the queue erp",
        "do": "start `deskbell worker erp`",
        "reason": "unread",
        "dead_letter": "",
    } in document["findings"]
