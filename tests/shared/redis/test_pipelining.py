"""A client whose commands share a connection: each gets its own answer, also when another's does not come."""

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from deskbell import Settings
from shared.redis.connections import connect_pipelined
from shared.redis.pipelining import PipelinedRedis
from tests.waiting import eventually

PATIENCE = 30
NEVER = ("BLPOP", "never", 0)
BEHIND = 2 * len("*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n")  # bytes of two commands


async def client(url: str, seconds: float = PATIENCE) -> PipelinedRedis:
    """A client on the running loop."""
    return connect_pipelined(Settings(redis_url=SecretStr(url)), seconds)


async def answers(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """What commands that are sent in one turn are answered; errors by their types."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    return [type(result) if isinstance(result, BaseException) else result for result in results]


def test_commands_of_one_turn_share_a_connection_and_each_gets_its_own_answer(valkey_url: str, redis: Redis) -> None:
    """In the order in which they were sent; an error is an answer like any other."""
    redis.set("text", "x")

    async def ask() -> tuple[list[Any], int]:
        async with aclosing(await client(valkey_url)) as pipelined:
            words = [("CLIENT ID",), ("INCR", "n"), ("INCR", "text"), ("INCR", "n"), ("CLIENT ID",)]
            got = await answers(*[pipelined.execute_command(*each) for each in words])
            return got, await pipelined.execute_command("CLIENT ID")

    (first_id, *counted, last_id), later_id = asyncio.run(ask())

    assert counted == [1, ResponseError, 2]
    assert first_id == last_id == later_id


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["in time", "before its caller went away"])
def test_an_answer_that_does_not_come_is_no_other_commands(
    valkey_url: str, redis: Redis, *, is_cancelled: bool
) -> None:
    """What was sent behind it fails, since nobody can know what was done; what is sent then has a new connection."""

    def received() -> int:
        """How many bytes the server has of the client that it blocks; 0 if it blocks none."""
        return sum(int(each["tot-net-in"]) for each in redis.client_list() if each["cmd"] == "blpop")

    async def ask() -> tuple[list[Any], Any]:
        async with aclosing(await client(valkey_url, PATIENCE if is_cancelled else 0.2)) as pipelined:
            blocking = asyncio.create_task(pipelined.execute_command(*NEVER))
            if is_cancelled:
                await eventually(received)
            first = received()
            behind = [asyncio.create_task(pipelined.execute_command("INCR", "n")) for _ in range(2)]
            if is_cancelled:
                await eventually(lambda: received() >= first + BEHIND)
                blocking.cancel()
            failed = await answers(*[wait(task) for task in (blocking, *behind)])
            return failed, await pipelined.get("text")

    redis.set("text", "x")
    (first, *others), later = asyncio.run(ask())

    assert first is (asyncio.CancelledError if is_cancelled else RedisTimeoutError)
    assert set(others) <= {RedisConnectionError, RedisTimeoutError}
    assert later == b"x"


async def wait(task: "asyncio.Task[Any]") -> Any:
    """A task's result."""
    return await task
