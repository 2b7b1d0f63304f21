"""RQ's commands to a worker, read from its pub/sub channel: shut down, and stop jobs (`rq.command`)."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis as AsyncRedis

from shared.logs import get_log
from workers.redis_errors import is_transient
from workers.worker.execution import Executor, KilledError, StoppedError

_PAUSE_SECONDS = 1.0


class RQCommands:
    """Carries out what RQ's tools send to one worker."""

    def __init__(self, redis: AsyncRedis, channel: str, executor: Executor, shut_down: Callable[[], None]) -> None:
        self._redis = redis
        self._channel = channel
        self._executor = executor
        self._shut_down = shut_down
        self._log = get_log()

    async def listen(self) -> None:
        """Carry out commands until cancelled, whatever happens to the connection."""
        while True:
            try:
                await self._read()
            except Exception as error:  # noqa: BLE001 - whatever it is, commands are listened for again
                if not is_transient(error):  # else the worker itself says that Redis is away
                    self._log.error("maintenance_failed", error=error)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _read(self) -> None:
        """Carry out commands until the connection is lost."""
        async with self._redis.pubsub() as channel:
            await channel.subscribe(self._channel)
            # Without a time-out: when the kernel gives an idle socket up (ETIMEDOUT), redis-py takes that for the end
            # of one, and answers None at once, for ever. So None is the end of this connection.
            while message := await channel.get_message(timeout=None):
                if message["type"] == "message":
                    self._handle(message["data"])

    def _handle(self, data: bytes) -> None:
        try:
            self._execute(json.loads(data))
        except Exception as error:  # noqa: BLE001 - whatever was sent, the next command is read
            self._log.error("command_unreadable", error=error)

    def _execute(self, command: dict[str, Any]) -> None:
        """Carry out a command; an unknown one is ignored."""
        match command["command"]:
            case "shutdown":
                self._shut_down()
            case "kill-horse":
                self._executor.stop(KilledError("killed by command"))
            case "stop-job":
                self._executor.stop(StoppedError("stopped by command"), job_id=command["job_id"])
            case "stop-execution":
                self._executor.stop(StoppedError("stopped by command"), execution_id=command["execution_id"])
