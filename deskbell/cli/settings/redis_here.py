"""The Redis of a command that does nothing without it."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from redis.exceptions import RedisError

from deskbell.cli.exit import stop
from deskbell.cli.settings.running import load_settings_here, no_redis
from shared.redis.connections import connect
from shared.settings.config import Settings

_FAILED = 1
_SECONDS = 10.0


@contextmanager
def redis_here(seconds: float = _SECONDS) -> Iterator[tuple[Redis, Settings]]:
    """A connection, and the settings; a server that does not answer ends the command in one sentence, with status 1.

    Args:
        seconds: that one answer may take.
    """
    settings = load_settings_here(for_redis=True)
    try:
        with connect(settings, seconds) as redis:
            yield redis, settings
    except RedisError as error:
        stop(no_redis(error, settings), _FAILED)
