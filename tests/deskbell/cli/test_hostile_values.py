"""What anybody may have written into a callback or to Redis, shown on a terminal."""

import json
import time
from pathlib import Path

import pytest
from redis import Redis

from deskbell.testing import api_call
from shared.redis.breakers import PAUSED_KEY
from shared.runtime.blocks import LAST_BLOCKS_KEY
from shared.wire.events import Reply
from tests import forked
from tests.processes import environment
from tests.records import put_on_record, record_of
from tests.workers.failed_jobs import write_dead_letters
from workers.audit import AuditLog

HOSTILE = "\x1b[2J\x07\x9b\u202e\u2066<script>[red]\r\nno problem found"
LONG = HOSTILE + "x" * 200_000


@pytest.fixture
def ids(redis: Redis) -> tuple[str, str]:
    """Hostile values wherever there is room for one; the ids of an event and a dead letter."""
    event = api_call("order", SystemSessionID=HOSTILE, **{HOSTILE: "x", "V" + LONG: LONG})
    put_on_record(redis, record_of(event, Reply(variables={HOSTILE: LONG}, outcome="answered")))
    job_id, other = write_dead_letters(redis, 2)
    redis.hset(f"rq:job:{job_id}", "worker_name", LONG)
    for each in (job_id, other):
        redis.hset(f"rq:job:{each}", "meta", json.dumps({"attempt": 0, "cause": HOSTILE}))
        redis.delete(f"rq:results:{each}")
    redis.hset(f"rq:job:{other}", "meta", json.dumps({"attempt": 0, "cause": LONG}))
    AuditLog(redis).note("replay", HOSTILE, LONG, "done")
    redis.sadd("rq:queues", f"rq:queue:{HOSTILE}")
    redis.rpush(f"rq:queue:{HOSTILE}", HOSTILE)
    now = time.time()
    pause = {"queue": HOSTILE, "since": 1, "until": (now + 60) * 1000, "cause": LONG}
    redis.hset(PAUSED_KEY, "a", json.dumps(pause))
    redis.hset(LAST_BLOCKS_KEY, HOSTILE, json.dumps({"at": HOSTILE, "seconds": 1, "noted": now, "is_over": True}))
    return event.id, job_id


@pytest.mark.parametrize(
    "words",
    [
        ["audit"],
        ["dead", "list"],
        ["dead", "show", "DEAD"],
        ["dead", "show", "DEAD", "--values"],
        ["doctor"],
        ["doctor", HOSTILE],
        ["events"],
        ["events", "EVENT"],
        ["events", "--session", HOSTILE],
        ["top", "--once"],
    ],
    ids=lambda words: " ".join(words[:2]) if words[-1] != HOSTILE else words[0] + " hostile",
)
def test_a_hostile_value_is_shown_as_text(
    words: list[str], ids: tuple[str, str], valkey_url: str, tmp_path: Path
) -> None:
    """It steers no terminal, turns no line around and begins none of its own."""
    event_id, job_id = ids
    given = [{"EVENT": event_id, "DEAD": job_id}.get(word, word) for word in words]

    shown = forked.run(*given, env=environment(DESKBELL_REDIS_URL=valkey_url), cwd=tmp_path)

    lines = (shown.stdout + shown.stderr).split("\n")
    assert "?[2J" in shown.stdout
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("no problem") for line in lines)
    assert len(shown.stdout) < 20_000, "a text of 200 kB is cut"
