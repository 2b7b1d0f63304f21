"""What an acknowledgement is worth, as `/readyz` reports it, and how replicas raise it."""

import asyncio
import re
import time
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import BusyLoadingError

from api.monitoring.durability import Durability, DurabilityWatch, judge, read_durability
from deskbell import Callbacks
from deskbell.testing import api_call
from shared.redis.connections import connect_async
from shared.redis.queues import EVENTS, queue
from shared.wire.events import Reply
from tests.api.intakes import open_intake
from tests.conftest import SettingsFactory
from tests.desk import serving
from tests.logged import capture_logs
from tests.redis_outages import Line, Server, a_server
from tests.waiting import eventually, until

NO_FILE = "Redis writes no append-only file; set appendonly yes and appendfsync always"


def found_on(server: Server, **user: Any) -> Durability:
    """What a server says of itself to a user."""

    async def read() -> Durability:
        async with AsyncRedis.from_url(server.url, **user) as redis:
            return await read_durability(redis, 0)

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("config", "worth", "warning", "persistence"),
    [
        ({"appendonly": "yes", "appendfsync": "always"}, "is on Redis' disk.", "", "always"),
        (
            {"appendonly": "yes", "appendfsync": "everysec"},
            "on its disk within a second or two",
            "is everysec",
            "everysec",
        ),
        ({"appendonly": "yes", "appendfsync": "no"}, "when the system writes it out", "appendfsync is no", "no"),
        ({"appendonly": "no", "save": "3600 1"}, "with the next snapshot", NO_FILE, "snapshots"),
        ({"appendonly": "no", "save": ""}, "in Redis' memory alone", NO_FILE, "none"),
    ],
)
def test_what_an_answer_is_worth_is_what_redis_is_configured_to(
    server: Server, config: dict[str, str], worth: str, warning: str, persistence: str
) -> None:
    """Of a real server, for each way of writing to its disk."""
    with server.connect() as redis:
        for name, value in config.items():
            redis.config_set(name, value)

        found = found_on(server)

    assert worth in found.worth
    assert found.persistence == persistence
    assert found.used_bytes > 0
    assert any(warning in text for text in found.warnings) if warning else not found.warnings
    assert not found.problems


def test_a_redis_that_forbids_config_is_asked_for_what_it_allows(server: Server) -> None:
    """The rest is said to be unknown."""
    with server.connect() as redis:
        redis.acl_setuser("guest", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config"])
    found = found_on(server, username="guest", password="any")

    assert "unknown, since Redis forbids CONFIG" in found.worth
    assert found.warnings == ["appendfsync is unknown; set it to always"]


@pytest.mark.parametrize(
    ("policy", "problems", "warnings"), [("allkeys-lru", 1, 0), ("volatile-ttl", 0, 1), ("noeviction", 0, 0)]
)
def test_a_policy_that_evicts_is_named(server: Server, policy: str, problems: int, warnings: int) -> None:
    """Jobs may vanish, or answers be forgotten; without a limit of memory nothing is evicted."""
    with server.connect() as redis:
        redis.config_set("maxmemory-policy", policy)
        unlimited = found_on(server)
        redis.config_set("maxmemory", "1gb")
        limited = found_on(server)

    assert (unlimited.problems, unlimited.warnings) == ([], [])
    assert (len(limited.problems), len(limited.warnings)) == (problems, warnings)
    assert all(policy in text for text in limited.problems + limited.warnings)


def test_a_redis_that_still_reads_its_files_is_not_judged() -> None:
    """While it loads its append-only file, INFO says that there is none."""

    class Loading(AsyncRedis):
        async def info(self, *_: Any, **__: Any) -> dict[str, Any]:
            return {"loading": 1, "aof_enabled": 0}

    with pytest.raises(BusyLoadingError):
        asyncio.run(read_durability(Loading(), 0))


def test_write_errors_and_missing_replicas_are_problems() -> None:
    """What INFO says of them."""
    info: dict[str, Any] = {
        "aof_enabled": 1,
        "aof_last_write_status": "err",
        "rdb_last_bgsave_status": "err",
        "role": "slave",
    }

    found = judge(info, {"appendfsync": "always", "save": ""}, 2, 0)

    assert len(found.problems) == 4
    assert "has reached 2 replicas" in found.worth


def test_a_replica_without_min_replicas_is_worth_a_warning() -> None:
    """A failover may lose what it has not received."""
    found = judge({"aof_enabled": 1, "connected_slaves": 1}, {"appendfsync": "always", "save": ""}, 0, 0)

    assert len(found.warnings) == 1
    assert "DESKBELL_MIN_REPLICAS" in found.warnings[0]


def test_a_redis_that_takes_no_events_is_not_ready(server: Server, make_settings: SettingsFactory) -> None:
    """A process that has just begun knows it, too: it asks before the first event comes, and INFO says why."""
    settings = make_settings(redis_url=SecretStr(server.url))
    with server.connect() as redis:
        redis.replicaof("127.0.0.1", "1")

        with serving(settings, Callbacks()) as desk:
            until(lambda: desk.http.get("/readyz").json()["status"] == "spooling")
            until(lambda: desk.http.get("/readyz").json()["durability"]["warnings"])
            warnings = desk.http.get("/readyz").json()["durability"]["warnings"]

    assert warnings[0].startswith("this Redis is a replica, and takes no events")


GOOD = {"aof_enabled": 1}


@pytest.mark.parametrize(
    ("info", "kind", "text"),
    [
        ({"maxmemory": 100, "used_memory": 100, "maxmemory_policy": "noeviction"}, "problems", "all of its maxmemory"),
        ({"maxmemory": 100, "used_memory": 91, "maxmemory_policy": "noeviction"}, "warnings", "91% of its maxmemory"),
        ({"maxmemory": 100, "used_memory": 50}, "warnings", "does not tell its maxmemory-policy"),
        ({"cluster_enabled": 1}, "problems", "in cluster mode"),
        ({"server_time_usec": 3_600_000_000}, "problems", "clock of this host is 3600 s ahead of that of Redis"),
        ({"server_time_usec": 9_000_000_000}, "problems", "clock of this host is 1800 s behind that of Redis"),
    ],
)
def test_what_keeps_events_out_is_said(info: dict[str, Any], kind: str, text: str) -> None:
    """A memory that is full, or nearly; an unknown policy; cluster mode; clocks that differ."""
    found = judge(GOOD | info, {"appendfsync": "always", "save": ""}, 0, 7200)

    assert [text in each for each in getattr(found, kind)] == [True]
    assert len(found.problems + found.warnings) == 1


def test_clocks_are_compared_with_a_real_servers(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what its INFO says, which the api's user may read."""
    agreed = found_on(server)
    ahead = time.time() + 3600
    monkeypatch.setattr("api.monitoring.durability.time.time", lambda: ahead)
    differing = found_on(server)

    assert not agreed.problems
    assert [re.sub(r"\d+", "N", each)[:52] for each in differing.problems] == [
        "the clock of this host is N s ahead of that of Redis"
    ]


def test_another_server_is_logged(
    server: Server, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the id of its run: restarted, or another has taken over."""
    monkeypatch.setattr("api.monitoring.durability.FRESH_SECONDS", 0)

    async def watch() -> None:
        redis = connect_async(make_settings(redis_url=SecretStr(server.url)))
        watch = DurabilityWatch(redis, 0)
        await eventually(lambda: "is on Redis' disk" in watch.latest().worth)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await eventually(lambda: watch.latest().worth and lines)
        await watch.close()
        await redis.aclose()

    with capture_logs() as lines:
        asyncio.run(watch())

    (changed,) = [line for line in lines if line["event"] == "redis_changed"]
    assert len(changed["run_id"]) == len(changed["before"]) == 40
    assert changed["run_id"] != changed["before"]


def test_readyz_tells_of_now_and_not_of_the_last_time_that_it_was_asked(
    server: Server, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read though nobody asks: a report once a day is of the last seconds."""
    monkeypatch.setattr("api.monitoring.durability.FRESH_SECONDS", 0.05)
    monkeypatch.setattr("api.monitoring.health.SHOW_SECONDS", 0.05)

    def readings() -> int:
        return int(redis.info("commandstats").get("cmdstat_config|get", {}).get("calls", 0))

    with server.connect() as redis, serving(make_settings(redis_url=SecretStr(server.url)), Callbacks()) as desk:
        until(lambda: readings() > 0)
        redis.config_set("appendfsync", "everysec")
        before = readings()
        until(lambda: readings() > before + 1)
        worth = desk.http.get("/readyz").json()["durability"]["worth"]

    assert "on its disk within a second or two" in worth


def test_readyz_says_it_soon_and_never_waits_for_it(server: Server, make_settings: SettingsFactory) -> None:
    """It answers while the server hangs."""
    settings = make_settings(redis_url=SecretStr(server.url), redis_timeout_ms=300)

    with serving(settings, Callbacks()) as desk:
        until(lambda: "is on Redis' disk" in desk.http.get("/readyz").json()["durability"]["worth"])
        with server.frozen():
            kept = desk.call()
            hanging = desk.http.get("/readyz")

    assert kept.status_code == 200
    assert hanging.json()["status"] == "spooling"


def test_an_event_is_answered_when_enough_replicas_have_it(server: Server, make_settings: SettingsFactory) -> None:
    """Without them it goes to the spool, though the master has it; it is not doubled when they are back."""
    settings = make_settings(redis_url=SecretStr(server.url), min_replicas=1, redis_timeout_ms=1000)

    with ExitStack() as stack:
        replica = stack.enter_context(a_server())
        line = stack.enter_context(Line(server.url))
        replica.start(appendonly="no")
        of_replica = stack.enter_context(replica.connect())
        of_master = stack.enter_context(server.connect())

        async def keep() -> list[str]:
            async with open_intake(settings) as intake:
                first = await intake.keep(api_call(), Reply(), "with a replica")
                assert not intake.spool.all_waiting
                assert queue(EVENTS, of_replica).job_ids == [first.event_id]
                of_replica.replicaof("NO", "ONE")
                second = await intake.keep(api_call(), Reply(), "without")
                assert intake.breaker.outage.cause == "TooFewReplicasError"
                assert queue(EVENTS, of_master).job_ids == [first.event_id, second.event_id]
                third = await intake.keep(api_call(), Reply(), "spooled at once")
                of_replica.replicaof("127.0.0.1", str(line.port))
                await eventually(lambda: not intake.spool.all_waiting)
                return [first.event_id, second.event_id, third.event_id]

        of_master.config_set("repl-diskless-sync-delay", 0)
        of_replica.replicaof("127.0.0.1", str(line.port))
        until(lambda: of_replica.info("replication")["master_link_status"] == "up")
        ids = asyncio.run(keep())

        assert queue(EVENTS, of_master).job_ids == ids
        assert queue(EVENTS, of_replica).job_ids == ids
