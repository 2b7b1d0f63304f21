"""Telling what Redis refuses for reasons of its own from what it refuses because of the keys it holds."""

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

_DAMAGE = ("ERR", "WRONGTYPE")
_IN_PIPELINE = "caused error: "  # redis-py puts the command in front of the answer


def is_outage(error: BaseException) -> bool:
    """Whether the same command may succeed later: Redis is away, read-only, full, loading, short of replicas.

    What is damaged stays so: a key of another type (WRONGTYPE), a value of another form (ERR), what parsers raise.
    """
    if isinstance(error, ResponseError):
        return _code(error) not in _DAMAGE
    return isinstance(error, RedisConnectionError | RedisTimeoutError)


def _code(error: ResponseError) -> str:
    return error.status_code or str(error).rpartition(_IN_PIPELINE)[2].partition(" ")[0]
