"""`deskbell doctor QUEUE` for a queue that was stopped, in every way there is: what holds it up, and what to do."""

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from deskbell.queues.reasons import names
from deskbell.queues.state import Readers, read_queue
from tests import forked
from tests.deskbell.cli.doctor.looking import APPS
from tests.deskbell.queues import stopping
from tests.deskbell.queues.stopping import Floor, Way
from tests.processes import environment
from tests.redis_outages import a_server

DOCUMENT = Path(__file__).parent.parent.parent.parent / "docs" / "how-to" / "stuck-queues.md"

# The way, the reason, a part of the sentence, what to do.
WAYS: list[tuple[Way, str, str, str]] = [
    (stopping.suspended, "suspended", "all workers are suspended by `rq suspend`", "write `rq resume`"),
    (
        stopping.paused_by_hand,
        "paused_by_hand",
        "the queue paused_by_hand is paused by li since ",
        "write `deskbell queues resume paused_by_hand`",
    ),
    (stopping.spooled, "spooled", "1 events wait on this disk", "start one with this DESKBELL_SPOOL_DIR"),
    (stopping.unread, "unread", "no living worker reads the queue unread", "start `deskbell worker unread`"),
    (stopping.paused, "pauses", "because jobs of paused keep failing (OSError at ", "mend what the cause names"),
    (stopping.rate, "limits", "1 job of rate waits for its limit, 1 starts in 3600 s; it may start at ", ""),
    (stopping.semaphore, "limits", "1 job of semaphore waits for its limit, 1 at once, of which 1 are taken", ""),
    (
        stopping.far_behind,
        "far_behind",
        "the first 500 jobs are all of semaphored",
        "give that type a queue of its own",
    ),
    (
        stopping.slots,
        "taken_slots",
        "all 2 slots of the workers ",
        "start another `deskbell worker slots`, or raise --concurrency",
    ),
    (stopping.frozen, "silent_workers", "has given no sign of life for 3", "see loop_blocked or redis_away in its log"),
    (stopping.died, "expired_leases", "1 job (1 of died) was under way in a worker that died", "wait: a worker of "),
    (stopping.twice, "already_running", "1 job is queued again while it runs", ""),
    (stopping.ordered, "held_by_others", "1 job waits for earlier ones of its key: 1 behind one ", ""),
    (stopping.gap, "not_due", "an earlier Seq of its execution has not come: it is waited for 10 s", ""),
    (stopping.early, "not_due", "an earlier event of its key has no job yet, and is waited for 180 s", ""),
    (
        stopping.held,
        "held_by_dead_letters",
        "1 job is held behind the dead letter ",
        "write `deskb",
    ),
    (stopping.retried, "not_due", "1 job waits for its next try at ", ""),
    (stopping.overdue, "not_due", "a scheduler that may have died has the lock for ", "wait: then a living worker "),
    (stopping.renamed, "undeclared", "1 job of before_it_was_renamed waits, and no living worker ", "deploy a worker "),
    (stopping.lost, "orphaned", "1 job of the queue lost is queued, as it says, and in no queue", "put each back "),
    (stopping.damaged, "key_damaged", "rq:wip:damaged: expected a zset, got a string", "delete it, or restore it"),
]
SAID = {"limits", "already_running", "held_by_others", "not_due"}
"""What goes on as it was declared, and needs nobody."""


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    """One stack for all."""
    folder = tmp_path_factory.mktemp("floor")
    with a_server() as server, ExitStack() as stack:
        server.start()
        redis = stack.enter_context(server.connect())
        yield Floor(redis, server.url, folder, stack)
        (folder / "gate").touch()


def ask(floor: Floor, queue: str) -> tuple[int, list[dict[str, Any]]]:
    """What the command finds, as JSON, and its status; on a host of an api, which has no job types."""
    env = environment(DESKBELL_REDIS_URL=floor.url, DESKBELL_APPS=APPS, DESKBELL_SPOOL_DIR=str(floor.spool))
    found = forked.run("doctor", queue, "--json", env=env, cwd=floor.folder)
    return found.returncode, json.loads(found.stdout)["findings"]


@pytest.mark.parametrize(("way", "reason", "text", "action"), WAYS, ids=[way.__name__ for way, *_ in WAYS])
def test_it_is_told_why_the_queue_stands_still(floor: Floor, way: Way, reason: str, text: str, action: str) -> None:
    """The first reason is the true one, with what to do; status 1 if it needs a person."""
    way(floor)
    try:
        status, findings = ask(floor, "events" if way is stopping.spooled else way.__name__)
    finally:
        floor.redis.delete("rq:suspended")

    beside = "unread" if way is stopping.spooled else ""  # nobody reads `events` here
    first = next(each for each in findings if each["reason"] not in ("", beside))
    assert (first["reason"], status) == (reason, int(first["kind"] == "problem"))
    assert text in first["text"]
    assert first["do"].startswith(action)
    assert first["kind"] == "problem" or reason in SAID


def test_every_reason_there_is_was_made_and_has_its_row_in_the_document() -> None:
    """With what is seen, how soon, and the alert."""
    made = {reason for _, reason, _, _ in WAYS}
    rows = set(re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text(), re.MULTILINE))

    assert made >= names()
    assert rows >= made


def test_a_job_that_ends_while_its_queue_is_read_is_not_one_of_a_worker_that_died(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease is gone because it has ended: a busy queue always has such jobs."""
    redis.zadd("rq:wip:crm", {"ended:1": 1, "lost:1": 2})
    pipeline, calls = redis.pipeline, itertools.count()

    def ending(*options: Any, **named: Any) -> Any:
        if next(calls):  # the first has read the registry
            redis.zrem("rq:wip:crm", "ended:1")
        return pipeline(*options, **named)

    monkeypatch.setattr(redis, "pipeline", ending)

    assert [(each.id, each.is_held) for each in read_queue(redis, "crm", Readers(), None).running] == [("lost", False)]


def test_a_queue_is_read_on_a_redis_that_is_full() -> None:
    """It then refuses transactions, and why its queue is so long is asked just then."""
    with a_server() as server:
        server.start()
        with server.connect() as redis:
            redis.rpush("rq:queue:crm", "a", "b")
            redis.config_set("maxmemory", "1")

            assert read_queue(redis, "crm", Readers(), None).waiting == 2
