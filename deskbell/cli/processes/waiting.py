"""Waits for Redis at the start of a worker or of the dashboard, with one log line."""

import select
import signal
import sys
from contextlib import suppress

from redis import Redis
from redis.exceptions import RedisError

from deskbell.cli.exit import stop
from deskbell.cli.processes.signals import end_cleanly, handle_signals
from shared.redis.connections import connect
from shared.redis.outages import CLUSTER, Outage, check_redis, is_cluster, refusal
from shared.runtime.parent import Parent
from shared.settings.config import Settings

_PAUSE_SECONDS = 0.5
_REFUSED = 1


def wait_for_redis(settings: Settings, parent: Parent | None = None) -> Redis:
    """A connection to a Redis that answers; waits for it if necessary.

    Ends the process with a sentence if Redis refuses at the first try for a reason that only a person can remove, and
    with status 0 if the process is told to end while it waits.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    handle_signals(end_cleanly, *before)
    connection, outage = connect(settings), Outage()
    if problem := _ask(connection, outage):
        _stop(problem)
    if outage.cause and parent:
        parent.say_ready()
    while outage.cause:
        if _is_alone(parent):
            sys.exit(0)
        _ask(connection, outage)
    for number, handler in before.items():
        signal.signal(number, handler)
    return connection


def refuse_cluster(settings: Settings) -> None:
    """End the process with a sentence if Redis runs in cluster mode against the setting; does not wait for Redis."""
    if settings.shards:
        return
    with suppress(RedisError, OSError), connect(settings, settings.redis_timeout_ms / 1000) as connection:
        if is_cluster(connection):
            _stop(CLUSTER)


def _ask(connection: Redis, outage: Outage) -> str:
    """Check Redis; what a person must do before it can be used, or "" if nothing or if Redis is away."""
    try:
        check_redis(connection)
    except (RedisError, OSError) as error:
        if not outage.cause and (problem := refusal(error)):
            return problem
        outage.record_error(error)
    else:
        outage.record_success()
    return ""


def _is_alone(parent: Parent | None) -> bool:
    """Whether the supervisor is gone; takes half a second unless it is."""
    select.select([parent] if parent else [], [], [], _PAUSE_SECONDS)
    return parent is not None and parent.is_gone()


def _stop(problem: str) -> None:
    stop(f"DESKBELL_REDIS_URL: {problem}", _REFUSED)
