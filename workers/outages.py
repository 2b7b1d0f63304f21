"""Telling what Redis refuses for reasons of its own from what it refuses because of the keys it holds."""

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.outage import Outage, refusal

_DAMAGE = ("ERR", "WRONGTYPE")
_IN_PIPELINE = "caused error: "  # redis-py puts the command in front of the answer


def is_transient(error: BaseException) -> bool:
    """Whether the same command may succeed later: Redis is away, read-only, full, loading, short of replicas.

    Or when a person has mended its users or its configuration: no job is at fault for that.

    What is damaged stays so: a key of another type (WRONGTYPE), a value of another form (ERR), what parsers raise.
    """
    if isinstance(error, ResponseError):
        return _code(error) not in _DAMAGE or bool(refusal(error))
    return isinstance(error, RedisConnectionError | RedisTimeoutError)


class WorkerOutage(Outage):
    """An outage as a worker sees it, whatever part of the worker finds it out."""

    def __init__(self, connection: Redis) -> None:
        """There is none yet.

        Args:
            connection: for RQ's own code.
        """
        super().__init__()
        self._connection = connection

    def note(self, error: BaseException, part: str = "") -> bool:
        """Redis has not done what was asked; whether that is new.

        Idle connections are dropped: each may lead to where no server is any more, and would be found out by a time-out
        of its own.
        """
        is_new = super().note(error, part)
        if is_new:
            self._connection.connection_pool.disconnect(inuse_connections=False)
        return is_new


def _code(error: ResponseError) -> str:
    return error.status_code or str(error).rpartition(_IN_PIPELINE)[2].partition(" ")[0]
