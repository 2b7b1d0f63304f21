"""Pipelining: a client whose commands share a connection; the answer to one is not awaited before the next is sent.

Commands that are sent in one turn of the event loop leave in one packet, in their order. Redis carries them out in one
turn of its own, so with `appendfsync always` one fsync is for all of them.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.connection import AbstractConnection
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError


class TooFewReplicasError(RedisConnectionError):
    """Raised when Redis did what it was asked to, and fewer replicas than asked for have it."""


@dataclass(eq=False)
class _Line:
    """A connection with commands under way."""

    connection: AbstractConnection
    commands: int = 0
    last_is_read: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.last_is_read.set()


class PipelinedRedis(AsyncRedis):
    """A client on the event loop on which it was made; it has the connections of another to itself.

    Args:
        redis: a client whose connections have no time-out of their own.
        seconds: the longest wait for one answer.
    """

    def __init__(self, redis: AsyncRedis, seconds: float) -> None:
        super().__init__(connection_pool=redis.connection_pool)
        self.auto_close_connection_pool = True
        self._seconds = seconds
        self._connecting = asyncio.Lock()
        self._line: _Line | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command, and wait for its answer.

        Raises:
            RedisError: as any client; also when another command's answer did not come: then the connection is closed.
        """
        try:
            async with asyncio.timeout(self._seconds):
                return await self._execute(*args, **options)
        except TimeoutError:
            raise RedisTimeoutError("Redis did not answer in time") from None

    async def _execute(self, *args: Any, **options: Any) -> Any:
        async with self._connecting:
            line = self._line = self._line or _Line(await self.connection_pool.get_connection())
        before, is_read = line.last_is_read, asyncio.Event()
        line.last_is_read = is_read
        line.commands += 1
        try:
            await line.connection.send_packed_command(line.connection.pack_command(*args), check_health=False)
            await before.wait()
            if line is not self._line:
                raise RedisConnectionError("an earlier answer did not come")  # noqa: TRY301 - as one that breaks here
            return await self.parse_response(line.connection, args[0], **options)  # type: ignore[arg-type]  # any kind
        except ResponseError:
            raise
        except BaseException:  # also when it was cancelled: the answer that comes next is not the next command's
            if line is self._line:
                self._line = None
            await line.connection.disconnect(nowait=True)
            raise
        finally:
            is_read.set()
            line.commands -= 1
            if not line.commands:
                self._line = None if line is self._line else self._line
                await self.connection_pool.release(line.connection)


async def run_replicated(
    redis: AsyncRedis, script: AsyncScript, keys: Sequence[str], arguments: Sequence[Any], replicas: int, wait_ms: int
) -> Any:
    """Run a script, and wait until replicas have what it wrote: WAIT follows it on its connection.

    Args:
        redis: a pipelined client, if it is to wait for any.
        script: to run.
        keys: the script's.
        arguments: the script's.
        replicas: how many must have it.
        wait_ms: how long to wait for them, in milliseconds.

    Raises:
        TooFewReplicasError: fewer had it in time; the script was run all the same.
    """
    if not replicas:
        return await script(keys, arguments)
    run = redis.evalsha(script.sha, len(keys), *keys, *arguments)
    try:
        answer, count = await asyncio.gather(run, redis.execute_command("WAIT", replicas, wait_ms))
    except NoScriptError:
        await redis.script_load(script.script)
        return await run_replicated(redis, script, keys, arguments, replicas, wait_ms)
    if count < replicas:
        raise TooFewReplicasError
    return answer
