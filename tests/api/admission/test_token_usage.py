"""When each token was last used."""

import asyncio

import pytest
from pydantic import SecretStr
from redis import Redis

from api.admission import token_usage
from api.admission.token_usage import TokenUsage
from shared.redis.connections import connect_async
from shared.redis.queues import TOKENS_KEY
from tests.conftest import SettingsFactory
from tests.logged import capture_logs

NOWHERE = SecretStr("redis://127.0.0.1:1/0")


def test_a_use_is_written_at_the_end_and_what_could_not_be_written_the_next_time(
    redis: Redis, make_settings: SettingsFactory
) -> None:
    """The last of each token, by app and fingerprint, in Unix seconds; nothing is written of the tokens themselves."""

    async def use() -> None:
        connection = connect_async(make_settings())
        uses = TokenUsage(connection)
        redis.set(TOKENS_KEY, "in the way")
        uses.record("1", "aaaaaaaa", 100)
        uses.record("2", "bbbbbbbb", 100.9)
        await uses.close()
        redis.delete(TOKENS_KEY)
        uses.record("1", "aaaaaaaa", 200.9)
        await uses.close()
        await connection.aclose()

    asyncio.run(use())

    assert redis.hgetall(TOKENS_KEY) == {b"1:aaaaaaaa": b"200", b"2:bbbbbbbb": b"100"}


def test_a_use_is_written_while_the_api_runs(
    redis: Redis, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every few seconds; another process's later use is not undone."""
    monkeypatch.setattr(token_usage, "WRITE_SECONDS", 0.01)
    redis.hset(TOKENS_KEY, "1:bbbbbbbb", 500)

    async def use() -> None:
        connection = connect_async(make_settings())
        uses = TokenUsage(connection)
        uses.start()
        uses.record("1", "aaaaaaaa", 100)
        uses.record("1", "bbbbbbbb", 100)
        async with asyncio.timeout(10):
            while not await connection.hexists(TOKENS_KEY, "1:aaaaaaaa"):  # noqa: ASYNC110 - Redis has no event
                await asyncio.sleep(0.01)
        await uses.close()
        await connection.aclose()

    asyncio.run(use())

    assert redis.hgetall(TOKENS_KEY) == {b"1:aaaaaaaa": b"100", b"1:bbbbbbbb": b"500"}


def test_a_use_that_redis_refuses_to_write_is_logged_once(redis: Redis, make_settings: SettingsFactory) -> None:
    """Nobody would know why a token in use seems to be out of use; an outage is logged elsewhere."""

    async def use() -> None:
        connection, nowhere = connect_async(make_settings()), connect_async(make_settings(redis_url=NOWHERE))
        redis.set(TOKENS_KEY, "in the way")
        uses, away = TokenUsage(connection), TokenUsage(nowhere)
        for each in (uses, away):
            each.record("1", "aaaaaaaa", 100)
            await each.close()
            await each.close()
        await connection.aclose()
        await nowhere.aclose()

    with capture_logs() as lines:
        asyncio.run(use())

    assert [(line["event"], line["error"]) for line in lines] == [("token_uses_not_saved", "ResponseError")]
