"""`deskbell doctor` about Redis itself: its latency, its memory, its clock and those of the hosts; and tokens."""

import json
import time

import pytest
from redis import Redis

from shared.redis.api_hosts import API_HOSTS_KEY, ApiHost
from shared.redis.queues import TOKENS_KEY, queue
from shared.redis.workers import WORKER_KEY, WorkerRecord
from shared.wire.protocol import fingerprint
from tests.deskbell.cli.doctor.looking import Look, problems, worker
from tests.redis_outages import Server


def test_how_soon_redis_answers_and_what_was_slow_is_told(look: Look, server: Server) -> None:
    """Measured now, and as SLOWLOG and LATENCY have it."""
    with server.connect() as redis, worker(redis):
        redis.config_set("slowlog-log-slower-than", 100_000)
        redis.config_set("latency-monitor-threshold", 100)
        redis.slowlog_reset()
        _, well = look(REDIS_URL=server.url)
        redis.eval("local began = os.clock() while os.clock() - began < 0.3 do end", 0)
        _, slow = look(REDIS_URL=server.url)

    assert any(line.startswith("Redis answers this host in ") for line in well)
    assert "no command was slow on Redis within the last hour, as SLOWLOG has it" in well
    assert "Redis saw nothing that made it late by 100 ms" in well
    (by_slowlog,) = [line for line in slow if "commands were slow" in line]
    assert by_slowlog.startswith(
        "warning: 1 commands were slow on Redis within the last hour (1 of EVAL), the slowest EVAL with "
    )
    (by_monitor,) = [line for line in slow if "made Redis late" in line]
    assert by_monitor.startswith("warning: command made Redis late by ")


def test_what_redis_does_not_note_or_tell_is_not_none(look: Look, server: Server) -> None:
    """Neither a switch that is off, nor a user who may not ask."""
    with server.connect() as redis, worker(redis):
        redis.config_set("slowlog-log-slower-than", -1)
        redis.config_set("latency-monitor-threshold", 0)
        _, off = look(REDIS_URL=server.url)
        commands = ["+@all", "-slowlog", "-config", "-latency"]
        redis.acl_setuser("worker", enabled=True, passwords=["+p"], keys=["*"], commands=commands)
        _, refused = look(REDIS_URL=server.url.replace("unix://", "unix://worker:p@"))

    assert (
        "unknown: Redis notes no slow commands: slowlog-log-slower-than is -1; set slowlog-log-slower-than to 10000"
        in off
    )
    assert "Redis does not watch its own latency: latency-monitor-threshold is 0" in off
    unread = [line for line in refused if line.startswith("unknown: ") and "Redis did not tell: NoPermission" in line]
    assert len([line for line in unread if "commands have taken long" in line or "made it late" in line]) == 2


def test_the_room_in_memory_is_told(look: Look, server: Server) -> None:
    """Against maxmemory; without it the kernel decides."""
    with server.connect() as redis, worker(redis):
        redis.config_set("maxmemory", 0)
        _, unlimited = look(REDIS_URL=server.url)
        redis.config_set("maxmemory", "200mb")
        _, limited = look(REDIS_URL=server.url)
        redis.config_set("maxmemory", 10**16)
        _, too_much = look(REDIS_URL=server.url)

    assert any(
        line.startswith("warning: Redis has used ") and "no maxmemory; the machine has " in line for line in unlimited
    )
    assert any(" of its 210 MB of memory, " in line for line in limited)
    assert any(line.startswith("warning: maxmemory is 10,000,000,000 MB, and the machine has ") for line in too_much)


def test_hosts_whose_clocks_differ_are_named(look: Look, redis: Redis) -> None:
    """As each has compared its own with Redis' at its last heartbeat; half a minute is a problem."""
    record = WorkerRecord(
        name="",
        host="vm-1",
        pid=1,
        version="1",
        queues=("events",),
        job_types={},
        slots=1,
        noted=time.time(),
        ahead=-3.4,
    )
    host = ApiHost(
        host="api-2", folder="/spool", events=0, oldest=None, noted=time.time(), has_ended=False, ahead=3600.4
    )
    redis.hset(API_HOSTS_KEY, host.field, host.to_json())

    with worker(redis) as here:
        redis.set(WORKER_KEY + here.name, record.to_json().replace(b'"name":""', f'"name":"{here.name}"'.encode()))
        status, lines = look()

    assert status == 1
    assert [text.partition(":")[0] for text in problems(lines)] == [
        "the clock of the host api-2 is 3600.4 s ahead of that of Redis"
    ]
    assert any(line.startswith("warning: the clock of the host vm-1 is 3.4 s behind that of Redis: ") for line in lines)
    assert any(line.startswith("the clock of this host is 0.") for line in lines)


def test_this_hosts_own_clock_is_compared_with_that_of_redis(
    look: Look, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some seconds are a warning."""
    true = time.time
    with worker(redis), monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: true() + 5)
        _, lines = look()

    (told,) = [line for line in lines if "the clock of this host" in line]
    assert told.startswith("warning: the clock of this host is 5.0 s ahead of that of Redis; set it by NTP")


def test_while_this_hosts_own_clock_is_wrong_nobody_is_taken_for_silent(
    look: Look, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long ago somebody was heard of is told by Redis' clock, which dates it."""
    true, now = time.time, time.time()
    host = ApiHost(host="api-2", folder="/spool", events=0, oldest=None, noted=now, has_ended=False)
    redis.hset(API_HOSTS_KEY, host.field, host.to_json())
    queue("events", redis).enqueue("workers.fan_out.fan_out")

    with worker(redis) as here, monkeypatch.context() as patch:
        record = WorkerRecord(
            name=here.name, host="vm", pid=1, version="1", queues=("events",), job_types={}, slots=1, noted=now
        )
        redis.set(WORKER_KEY + here.name, record.to_json())
        patch.setattr(time, "time", lambda: true() + 3600)
        _, lines = look()

    (told,) = problems(lines)
    assert told.startswith("the clock of this host is 3600 s ahead of that of Redis")


def test_a_token_that_is_not_used_is_told_while_another_is(look: Look, redis: Redis) -> None:
    """So is one that was used last a month ago; not one of an app that nobody calls yet."""
    apps = json.dumps({"1400000001": ["old-token", "new-token", "older-token"], "1400000002": ["first-token"]})
    now = int(time.time())
    redis.hset(TOKENS_KEY, f"1400000001:{fingerprint('new-token')}", now)
    redis.hset(TOKENS_KEY, f"1400000001:{fingerprint('older-token')}", now - 40 * 86400)

    with worker(redis):
        status, lines = look(APPS=apps)

    told = [line.removeprefix("warning: ") for line in lines if line.startswith("warning: the token ")]
    assert status == 0
    assert told[0].startswith(
        f"the token {fingerprint('old-token')} of the app 1400000001 was never used, and another "
    )
    assert told[1].startswith(f"the token {fingerprint('older-token')} of the app 1400000001 was last used at ")
    assert len(told) == 2
