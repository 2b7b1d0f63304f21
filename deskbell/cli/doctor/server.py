"""The Redis server: which it is, what an answer is worth on it, and whether it takes events."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

from pydantic import SecretStr
from redis.exceptions import RedisError

from api.acceptance.accept import AcceptScript, SequenceNumber
from api.acceptance.lost_writes import read_lost_writes
from api.admission.token_usage import TokenUsage
from api.lateness import Lateness
from api.metrics import Metrics
from api.monitoring.durability import WORTH_OF_THE_SPOOL, Durability, read_durability
from deskbell.cli.doctor.findings import Checked, describe
from deskbell.queues.findings import Finding, problem, said, warning
from shared.records.packing import Packing
from shared.records.users import FORGOTTEN_USERS_KEY
from shared.redis.connections import connect_async
from shared.redis.outages import ADVICE, refusal
from shared.redis.queues import EVENTS, queue_key
from shared.sentences import sentence
from shared.settings.config import Settings

_OLDEST_REDIS = 7
_PATIENCE_MS = 5000
_OURS = SequenceNumber("0" * 32, 0)  # of a producer that sends no events


def version(checked: Checked) -> Iterator[Finding]:
    """Which server it is."""
    info: Any = checked.connection.info("server")
    number = str(info["redis_version"])
    waiting = checked.connection.llen(queue_key(EVENTS))
    yield said(f"Redis answers; {waiting} events wait to be fanned out")
    yield said(f"Redis {number}, run id {info.get('run_id', 'unknown')}, up for {info.get('uptime_in_seconds', 0)} s")
    if int(number.partition(".")[0]) < _OLDEST_REDIS:
        text = sentence(
            "expected Redis {least} or later, or Valkey, got {version}", least=_OLDEST_REDIS, version=number
        )
        yield problem(text)


def durability(checked: Checked) -> Iterator[Finding]:
    """What an acknowledgement is worth."""
    found = asyncio.run(_read_durability(checked.settings, checked.shard))
    yield said(found.worth if checked.takes_events else WORTH_OF_THE_SPOOL)
    yield from map(warning, found.warnings)
    yield from map(problem, found.problems)


def accepting(checked: Checked) -> Iterator[Finding]:
    """Whether Redis takes events: the api's own script, with none in it, as this command's user and as the api's."""
    settings = checked.settings
    users = {"": settings}
    if checked.api_redis_url is not None:
        url = SecretStr(checked.api_redis_url)
        users = {
            sentence(" as this command's user"): settings,
            sentence(" as the api's user"): settings.model_copy(update={"redis_url": url}),
        }
    for who, each in users.items():
        began = time.monotonic()
        try:
            asyncio.run(_accept_nothing(each, checked.shard))
        except (RedisError, OSError) as error:
            advice = ADVICE.get(type(error).__name__) or refusal(error)
            text = sentence("Redis takes no events{who}: {error}", who=who, error=describe(error))
            yield problem(text, advice, "redis_refuses")
            checked.takes_events = False
            return
        took_ms = round((time.monotonic() - began) * 1000)
        if took_ms > settings.redis_timeout_ms:
            yield warning(
                sentence(
                    "Redis took {took} ms for a connection and an empty call{who}; the api waits "
                    "DESKBELL_REDIS_TIMEOUT_MS, {ms}, for each",
                    took=took_ms,
                    who=who,
                    ms=settings.redis_timeout_ms,
                )
            )
        checked.takes_events = True
    try:
        asyncio.run(_check_token_script(each, checked.shard))
    except (RedisError, OSError) as error:
        checked.notes_tokens = False
        yield problem(sentence("the api cannot note when a token was used: {error}", error=describe(error)))


async def _accept_nothing(settings: Settings, shard: int | None) -> None:
    patient = settings.model_copy(update={"redis_timeout_ms": max(_PATIENCE_MS, settings.redis_timeout_ms)})
    async with aclosing(connect_async(patient, shard=shard)) as redis:
        await AcceptScript(redis, patient, Lateness(Metrics()), Packing(patient)).accept([], _OURS)
        await redis.zmscore(FORGOTTEN_USERS_KEY, ["nobody"])  # as a drain does: else nothing leaves the spool


async def _read_durability(settings: Settings, shard: int | None) -> Durability:
    async with aclosing(connect_async(settings, seconds=_PATIENCE_MS / 1000, shard=shard)) as redis:
        return await read_durability(redis, settings.min_replicas)


async def _check_token_script(settings: Settings, shard: int | None) -> None:
    async with aclosing(connect_async(settings, seconds=_PATIENCE_MS / 1000, shard=shard)) as redis:
        await TokenUsage(redis).check()


def forgotten(checked: Checked) -> Iterator[Finding]:
    """Whether Redis has forgotten what it had acknowledged."""
    found = read_lost_writes(checked.connection)
    if found:
        yield problem(found, sentence("when that is dealt with, write `deskbell doctor --ack-lost-writes`"))
