"""How a role begins that can do nothing without Redis: it waits, with one line, and begins when Redis is there."""

import select
import signal
import socket
import sys
from contextlib import suppress

from redis import Redis
from redis.exceptions import RedisError

from deskbell.cli.exit import stop
from deskbell.cli.processes.signals import end_cleanly, handle_signals
from shared.redis.connections import connect
from shared.redis.outages import CLUSTER, Outage, check_redis, is_cluster, refusal
from shared.settings.config import Settings

_PAUSE_SECONDS = 0.5
_REFUSED = 1


def wait_for_redis(settings: Settings, parent: socket.socket | None = None) -> Redis:
    """A connection to Redis, which answers; it is waited for if need be.

    Ends the process with a sentence when Redis refuses at once what only a person can make it do, and with status 0
    when it is told to end while it waits.

    Args:
        settings: where Redis is.
        parent: a socket on which a supervisor is told that this process has begun, before it waits; when it closes,
            that one is gone.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    handle_signals(end_cleanly, *before)
    connection, outage = connect(settings), Outage()
    if problem := _ask(connection, outage):
        _stop(problem)
    if outage.cause and parent:
        parent.send(b"1")
    while outage.cause:
        if _is_alone(parent):
            sys.exit(0)
        _ask(connection, outage)
    for number, handler in before.items():
        signal.signal(number, handler)
    return connection


def refuse_cluster(settings: Settings) -> None:
    """End the process with a sentence when Redis answers, and runs in cluster mode; nothing is waited for."""
    with suppress(RedisError, OSError), connect(settings, settings.redis_timeout_ms / 1000) as connection:
        if is_cluster(connection):
            _stop(CLUSTER)


def _ask(connection: Redis, outage: Outage) -> str:
    """Ask Redis for what is needed; what a person must do before it does that, if so."""
    try:
        check_redis(connection)
    except (RedisError, OSError) as error:
        if not outage.cause and (problem := refusal(error)):
            return problem
        outage.note(error)
    else:
        outage.end()
    return ""


def _is_alone(parent: socket.socket | None) -> bool:
    """Whether the supervisor is gone; takes a moment."""
    return bool(select.select([parent] if parent else [], [], [], _PAUSE_SECONDS)[0])


def _stop(problem: str) -> None:
    stop(f"DESKBELL_REDIS_URL: {problem}", _REFUSED)
