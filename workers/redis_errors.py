"""Transient errors of Redis: those after which the same command may succeed, and no job is at fault."""

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.redis.outages import Outage, refusal

_LASTING = ("ERR", "WRONGTYPE")
_IN_PIPELINE = "caused error: "  # redis-py puts the command in front of the answer


def is_transient(error: BaseException) -> bool:
    """Whether the same command may succeed later, by itself or when a person has corrected users or configuration.

    Redis is away, read-only, full, loading, or has too few replicas. A key of another type (WRONGTYPE), a value of
    another form (ERR) and whatever parsers raise stay as they are.
    """
    if isinstance(error, ResponseError):
        return _code(error) not in _LASTING or bool(refusal(error))
    return isinstance(error, RedisConnectionError | RedisTimeoutError)


class WorkerOutage(Outage):
    """An outage as all parts of a worker see it; `connection` is the one that RQ's own code uses."""

    def __init__(self, connection: Redis) -> None:
        super().__init__()
        self._connection = connection

    def record_error(self, error: BaseException, part: str = "") -> bool:
        """Record that Redis did not do what was asked; True at the beginning of an outage.

        Idle connections are then dropped: each may lead to a server that is gone, and would cost a time-out of its own,
        or to a master that has been replaced, and would tell what was.
        """
        self._connection.connection_pool.disconnect(inuse_connections=False)
        return super().record_error(error, part)


def _code(error: ResponseError) -> str:
    return error.status_code or str(error).rpartition(_IN_PIPELINE)[2].partition(" ")[0]
