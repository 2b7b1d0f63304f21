"""Outages of Redis, as they are logged, and which errors do not pass by themselves.

The log says once that Redis is away, and once, with the length, that it is back. An error that only a person can
correct, such as a wrong password, is logged each minute with what to do.
"""

import re
import time
from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterCrossSlotError,
    MovedError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from shared.keys import SHARD
from shared.logs import get_log
from shared.sentences import sentence

_AGAIN_SECONDS = 60.0
_COMMAND = re.compile(r"to run the '([A-Za-z|_-]{1,40})' command")
_IN_SCRIPTS = ("ACL failure in script", "The user executing the script can't")  # the second is Redis 7.0's
_UNNAMED = "executing the script can't run this command"
_OF_CLUSTERS = ("non local key in a cluster node", "not allowed in cluster mode")
_PLAIN = {
    "unknown command": sentence(
        "Redis does not know a command: expected Redis 7 or later, or Valkey, and no command renamed"
    ),
    "CERTIFICATE_VERIFY_FAILED": sentence(
        "Redis' certificate is not trusted: expected ssl_ca_certs in DESKBELL_REDIS_URL to name its authority"
    ),
    "cluster support disabled": sentence("Redis does not run in cluster mode: expected redis:// in DESKBELL_REDIS_URL"),
    "DB index is out of range": sentence("Redis has no database of the number in DESKBELL_REDIS_URL"),
}

ADVICE = {
    "OutOfMemoryError": sentence("its memory is full: raise maxmemory, or see what fills it"),
    "ReadOnlyError": sentence("it is a replica: DESKBELL_REDIS_URL must lead to the master"),
    "NoPermissionError": sentence("its user may do too little: see docs/how-to/operate.md"),
    "AuthenticationError": sentence("see user and password in the URL"),
    "TooFewReplicasError": sentence("fewer replicas have what was written than DESKBELL_MIN_REPLICAS asks for"),
}
"""What to do about an error that Redis answered with, by its type."""

CLUSTER = sentence(
    "Redis runs in cluster mode: expected redis+cluster:// and how many shards, ?shards=16, in DESKBELL_REDIS_URL"
)


def refusal(error: BaseException) -> str:
    """Why Redis will never do what was asked, and what a person must do; "" when the error may pass by itself.

    Nothing of the error's text is quoted but the name of a command: it may hold what was sent.
    """
    if problem := _refusal(error):
        return problem
    # On a Unix socket redis-py wraps what it was refused when it connected.
    return refusal(error.__cause__) if error.__cause__ else ""


def answered(error: BaseException) -> str:
    """What Redis refused, though it answers, and what a person can do; "" when it did not answer."""
    refused = refusal(error) or ADVICE.get(type(error).__name__, "")
    return refused or (type(error).__name__ if isinstance(error, ResponseError) else "")


def unreachable(error: BaseException) -> str:
    """The message of a command that needs Redis: what a person must do, or that Redis does not answer."""
    problem = refusal(error) or sentence("expected a server that answers, got {error}", error=type(error).__name__)
    return sentence("DESKBELL_REDIS_URL: {problem}", problem=problem)


def _refusal(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, AuthenticationError):
        return sentence(
            "Redis refuses the user or the password in DESKBELL_REDIS_URL, or that there is none: correct it"
        )
    if isinstance(error, MovedError | AskError | ClusterCrossSlotError) or any(each in text for each in _OF_CLUSTERS):
        return CLUSTER
    if problem := next((problem for part, problem in _PLAIN.items() if part in text), ""):
        return problem
    command = _COMMAND.search(text)
    if isinstance(error, NoPermissionError) or any(each in text for each in _IN_SCRIPTS):
        unnamed = sentence("run a command of a script") if _UNNAMED in text else sentence("reach a key or a channel")
        what = sentence("run {command}", command=command[1]) if command else unnamed
        return sentence(
            "Redis does not let this user {what}: give it the rights that docs/how-to/operate.md lists", what=what
        )
    return ""


class Outage:
    """Whether Redis is away, and since when.

    Attributes:
        cause: the type of the last error; "" while there is no outage.
        refusal: what a person must do about it; "" when it may pass by itself.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.cause = ""
        self.refusal = ""
        self._clock = clock
        self._since = 0.0
        self._refused_since = 0.0
        self._logged_at = float("-inf")
        self._parts: set[str] = set()
        self._log = get_log()

    @property
    def refused_seconds(self) -> float:
        """For how long Redis has refused what only a person can make it do; 0 while it does not."""
        return self._clock() - self._refused_since if self.refusal else 0.0

    def record_error(self, error: BaseException, part: str = "") -> bool:
        """Record an error; whether it begins an outage. A part is one of several callers with their own success."""
        now = self._clock()
        self._parts.add(part)
        is_new = not self.cause
        if is_new:
            self._since = now
            self._log.error("redis_away", error=error)
        self.cause = type(error).__name__
        before, self.refusal = self.refusal, refusal(error)
        if self.refusal and not before:
            self._refused_since = now
        if self.refusal and now >= self._logged_at + _AGAIN_SECONDS:
            self._logged_at = now
            self._log.error("redis_refuses", problem=self.refusal, error=self.cause)
        return is_new

    def record_success(self, part: str = "") -> bool:
        """Record a success; whether it ends the outage, because no other part is left that had an error."""
        self._parts.discard(part)
        if self._parts or not self.cause:
            return False
        self._log.info("redis_back", away_seconds=round(self._clock() - self._since, 3), cause=self.cause)
        self.cause, self.refusal, self._logged_at = "", "", float("-inf")
        return True


def check_redis(redis: Redis) -> None:
    """Ask for what the api and the workers need: an answer, no cluster mode, and scripts.

    Raises:
        RedisError: Redis does not do one of them; `refusal` says whether it ever will.
    """
    redis.ping()
    if is_cluster(redis):
        raise RedisError(_OF_CLUSTERS[1])
    redis.eval("return 1", 0)


def is_cluster(redis: Redis) -> bool:
    """Whether the server runs in cluster mode, and these keys are no shard's; a managed Redis may not say so."""
    try:
        found: Any = redis.info("cluster")
    except ResponseError:
        return False
    return SHARD is None and bool(found.get("cluster_enabled"))
