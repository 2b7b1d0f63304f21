"""Shards on a Redis or Valkey Cluster: the keys of a shard have one hash tag, so they are on one master, found here.

1. `ShardMap` asks the nodes of the setting which master has the slot of a shard, as a Sentinel client asks sentinels.
2. A connection goes to that master alone. When the slot has moved or its master has failed, the connection ends, and
   the next one asks again: an outage like any other.
3. `Translation` is what becomes of a command on its way: keys of this process become those of the connection's shard,
   and back again in an answer, so that RQ's code and ours work on each shard; and every script has a fence.

The fence is a key that does not exist, declared by each script. While a slot is moved key by key, Redis compares the
declared keys with those it still has before a script begins, and refuses it (ASK); a key that a script only comes to
know as it runs would stop it half-way, and what it has written would stay.
"""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from redis.asyncio.connection import AbstractConnection as AsyncConnection
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.connection import AbstractConnection, HiredisRespSerializer
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MasterDownError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import MasterNotFoundError, Sentinel

from shared.errors import ConfigError
from shared.keys import PREFIX, SHARD, shard_prefix

_HALF_MOVED = "non local key in a cluster node"
_FENCED = "table.remove(KEYS) "
_ADVICE = (
    "DESKBELL_REDIS_URL: this command works on one shard at a time: expected `deskbell --shard 0 …`, or --shard all"
)


def prefix_of(shard: int | None, shards: int) -> str:
    """What the keys of a shard begin with, by default those of this process' own.

    Raises:
        ConfigError: this process has none, or there is no such shard.
    """
    if SHARD is None:
        raise ConfigError(_ADVICE)
    shard = SHARD if shard is None else shard
    if shard >= shards:
        raise ConfigError(f"DESKBELL_REDIS_URL: expected a shard from 0 to {shards - 1}, got {shard}")
    return shard_prefix(shard)


class ShardMap(Sentinel):
    """Finds the master of a shard, whose name here is what its keys begin with."""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """Its address, from another node each time: one that is cut off from the others knows an old one."""
        for _ in range(len(self.sentinels)):
            self.sentinels.append(self.sentinels.pop(0))
            node = self.sentinels[-1]
            try:
                slots: Any = node.execute_command("CLUSTER SLOTS")
            except (RedisConnectionError, RedisTimeoutError):
                continue
            if found := _master(slots, service_name, node.connection_pool.connection_kwargs["host"]):
                return found
        raise MasterNotFoundError(f"no node knows the master of {service_name!r}")


class AsyncShardMap(AsyncSentinel):
    """The same on an event loop."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """See `ShardMap`."""
        for _ in range(len(self.sentinels)):
            self.sentinels.append(self.sentinels.pop(0))
            node = self.sentinels[-1]
            try:
                slots: Any = await node.execute_command("CLUSTER SLOTS")
            except (RedisConnectionError, RedisTimeoutError):
                continue
            if found := _master(slots, service_name, node.connection_pool.connection_kwargs["host"]):
                return found
        raise MasterNotFoundError(f"no node knows the master of {service_name!r}")


def _master(slots: Sequence[Any], prefix: str, asked: str) -> tuple[str, int] | None:
    slot = key_slot(prefix.encode())
    for first, last, (host, port, *_), *_ in slots:
        if first <= slot <= last:
            return (host or b"").decode() or asked, port  # a node that does not know its own address leaves it out
    return None


class Translation:
    """What becomes of commands on a connection to a shard, and of their answers."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._in_answers = prefix.encode()
        self._fence = f"{prefix}deskbell:fence"
        self._serializer = HiredisRespSerializer()
        self._shas: dict[str, str] = {}

    def pack(self, *args: Any) -> Any:
        """The bytes of a command."""
        return self._serializer.pack(*self(args))

    def __call__(self, args: Sequence[Any]) -> Sequence[Any]:
        """The command as it is sent."""
        name = args[0]
        if name == "SCRIPT LOAD":
            return name, self._script(args[1])
        if name in ("EVALSHA", "EVAL"):
            end = 3 + int(args[2])
            script = self._script(args[1]) if name == "EVAL" else self._shas.get(args[1], args[1])
            args = (name, script, end - 2, *args[3:end], self._fence, *args[end:])
        return args if self._prefix == PREFIX else [self._argument(each) for each in args]

    def answer(self, value: Any) -> Any:
        """What is read as the answer, of which keys are a part."""
        if isinstance(value, list) and self._prefix != PREFIX:
            return [self.answer(each) for each in value]
        if isinstance(value, bytes) and value.startswith(self._in_answers):
            return _PREFIX + value.removeprefix(self._in_answers)
        return value

    def _argument(self, value: Any) -> Any:
        if isinstance(value, str) and value.startswith(PREFIX):
            return self._prefix + value.removeprefix(PREFIX)
        if isinstance(value, bytes) and value.startswith(_PREFIX):
            return self._prefix.encode() + value.removeprefix(_PREFIX)
        return value

    def _script(self, text: str) -> str:
        flags, line, rest = text.partition("\n") if text.startswith("#!") else ("", "", text)
        sent = flags + line + _FENCED + rest.replace(f"'{PREFIX}", f"'{self._prefix}")
        self._shas[_sha(text)] = _sha(sent)
        return sent


_PREFIX = PREFIX.encode()


def _sha(text: str) -> str:
    return sha1(text.encode(), usedforsecurity=False).hexdigest()  # by which Redis knows a script


class ShardConnection(AbstractConnection):
    """A connection to the master of a shard."""

    translation: Translation

    def read_response(self, *args: Any, **options: Any) -> Any:
        """The answer to a command.

        Raises:
            ConnectionError: also when this is not the slot's master any more.
        """
        try:
            return self.translation.answer(super().read_response(*args, **options))
        except ResponseError as error:
            if not _has_moved(error):
                raise
            self.disconnect()  # type: ignore[no-untyped-call]
            raise _moved(error) from None


class AsyncShardConnection(AsyncConnection):
    """The same on an event loop."""

    translation: Translation

    def pack_command(self, *args: Any) -> list[bytes]:
        """The bytes of a command."""
        return super().pack_command(*self.translation(args))

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """See `ShardConnection`."""
        try:
            return await super().read_response(*args, **options)
        except ResponseError as error:
            if not _has_moved(error):
                raise
            await self.disconnect()
            raise _moved(error) from None


def _has_moved(error: ResponseError) -> bool:
    moved = isinstance(error, AskError | TryAgainError | ClusterDownError | MasterDownError)  # MOVED is a kind of ASK
    return moved or _HALF_MOVED in str(error)


def _moved(error: ResponseError) -> RedisConnectionError:
    return RedisConnectionError(f"the slot of this shard is being moved, or has no master: {type(error).__name__}")
