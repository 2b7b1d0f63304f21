"""A Redis that lacks what it had acknowledged: restored from an older copy, or a replica that lagged."""

import asyncio
import os

from pydantic import SecretStr
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from api.acceptance.lost_writes import LostWriteDetector, read_lost_writes
from deskbell import Callbacks
from deskbell.testing import api_call
from shared.redis.connections import connect_async
from shared.redis.queues import FORGOTTEN_KEY, MARK_KEY
from shared.wire.events import Reply
from tests.api.intakes import open_intake
from tests.conftest import SettingsFactory
from tests.desk import serving
from tests.logged import capture_logs
from tests.redis_outages import Server
from tests.waiting import eventually, until


def mark_of(redis: Redis) -> str:
    """The key with the number of the last call; another has that of the calls that bring no event, which are fewer."""
    return max(map(os.fsdecode, redis.keys(MARK_KEY + "*")), key=lambda key: int(redis.get(key) or 0))


def test_a_redis_that_went_back_in_time_between_two_calls_is_noticed(
    redis: Redis, make_settings: SettingsFactory
) -> None:
    """By the number of the last call, in the next one; logged once, kept for `doctor`."""

    async def keep() -> str:
        async with open_intake(make_settings()) as intake:
            for number in range(2):
                await intake.keep(api_call(), Reply(), str(number))
            mark = mark_of(redis)
            older = redis.dump(mark) or b""
            for number in range(2, 5):
                await intake.keep(api_call(), Reply(), str(number))
            redis.restore(mark, 0, older, replace=True)
            assert not intake.lost_writes.missing
            for number in range(5, 8):
                await intake.keep(api_call(), Reply(), str(number))
            return intake.lost_writes.missing

    with capture_logs() as lines:
        said = asyncio.run(keep())

    assert " UTC Redis lacked 3 calls, each of one event or more, that it had acknowledged: " in said
    assert read_lost_writes(redis) == said
    assert 0 < redis.ttl(FORGOTTEN_KEY) <= 7 * 24 * 3600
    assert [(line["calls"], line["log_level"]) for line in lines if line["event"] == "redis_lost_writes"] == [
        (3, "error")
    ]


def test_a_redis_that_went_back_in_time_is_noticed_though_nobody_calls(
    redis: Redis, make_settings: SettingsFactory
) -> None:
    """By a process whose callers have gone to another since; logged once, also when it is called again."""

    async def keep() -> None:
        async with open_intake(make_settings()) as intake:
            for number in range(5):
                await intake.keep(api_call(), Reply(), str(number))
            redis.delete(mark_of(redis))
            intake.breaker.probe_soon()  # it looks at once instead of some seconds later
            await eventually(lambda: intake.lost_writes.missing)
            await intake.keep(api_call(), Reply(), "after")

    with capture_logs() as lines:
        asyncio.run(keep())

    assert [line["calls"] for line in lines if line["event"] == "redis_lost_writes"] == [5]


def test_a_redis_that_comes_back_without_its_data_is_noticed(server: Server, make_settings: SettingsFactory) -> None:
    """After an outage, in which events went to the disk: before the first of them is sent."""
    settings = make_settings(redis_url=SecretStr(server.url))
    with capture_logs() as lines, serving(settings, Callbacks()) as desk:
        assert [desk.call(Number=str(number)).status_code for number in range(3)] == [200] * 3
        server.kill()
        assert desk.call(Number="spooled").status_code == 200
        server.forget()
        server.start()
        until(lambda: desk.http.get("/readyz").json()["status"] == "degraded")
        assert desk.call(Number="after").status_code == 200
        warnings = desk.http.get("/readyz").json()["durability"]["warnings"]
        with server.connect() as redis:
            noted = read_lost_writes(redis)

    assert "Redis lacked 3 calls" in warnings[0]
    assert noted.startswith(warnings[0])
    assert [line["calls"] for line in lines if line["event"] == "redis_lost_writes"] == [3]


def test_an_outage_that_loses_nothing_is_none(server: Server, make_settings: SettingsFactory) -> None:
    """A call that was sent and not answered is no loss, either."""
    settings = make_settings(redis_url=SecretStr(server.url), redis_timeout_ms=300)

    async def keep() -> str:
        async with open_intake(settings) as intake:
            for number in range(3):
                await intake.keep(api_call(), Reply(), str(number))
            with server.frozen():
                await intake.keep(api_call(), Reply(), "unanswered")
            await eventually(lambda: not intake.breaker.is_open and not intake.spool.all_waiting)
            await asyncio.to_thread(server.kill)
            await intake.keep(api_call(), Reply(), "spooled")
            await asyncio.to_thread(server.start)
            await eventually(lambda: not intake.breaker.is_open and not intake.spool.all_waiting)
            await intake.keep(api_call(), Reply(), "after")
            return intake.lost_writes.missing

    assert asyncio.run(keep()) == ""


def test_a_producer_that_was_closed_is_no_lost_write(redis: Redis, make_settings: SettingsFactory) -> None:
    """A call that never arrived was closed, and Redis goes away again before another is sent."""

    async def check() -> str:
        connection = connect_async(make_settings())
        acknowledged = LostWriteDetector(connection)
        await acknowledged.acknowledge("sender", 3, 2)
        redis.set(MARK_KEY + "sender", "closed")
        await acknowledged.check()
        await connection.aclose()
        return acknowledged.missing

    assert asyncio.run(check()) == ""


def test_all_are_told_of_lost_writes_when_redis_takes_writes_again(server: Server) -> None:
    """What is found while Redis is still a replica is kept for `doctor` later."""

    async def find() -> str:
        async with AsyncRedis.from_url(server.url) as redis:
            detector = LostWriteDetector(redis)
            await detector.acknowledge("producer", 5, 4)
            await redis.replicaof("127.0.0.1", "1")
            await detector.check()
            await redis.replicaof("NO", "ONE")
            await detector.check()
            return detector.missing

    missing = asyncio.run(find())

    with server.connect() as redis:
        assert missing
        assert read_lost_writes(redis).startswith(missing)
