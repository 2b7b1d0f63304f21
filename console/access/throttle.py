"""Throttles sign-ins: after some that failed, the next has to wait, by name and address and by address alone.

The counts are on Redis, so they hold for all consoles together; while Redis is away nobody signs in. A try is counted
before its password is checked, so that many at once are not more than one after the other.
"""

import hmac
from hashlib import sha256

from redis import Redis

from shared.keys import DESKBELL

PERIOD_SECONDS = 300
MOST_OF_A_NAME = 5
MOST_OF_AN_ADDRESS = 50

TRIES_KEY = f"{DESKBELL}console:tries:"
"""Prefix of a count that ends with its period; a digest stands behind it, since what was typed may be a password."""


class Throttle:
    """Counts sign-ins that have not succeeded.

    Args:
        redis: where the counts are.
        key: of the digests.
    """

    def __init__(self, redis: Redis, key: bytes) -> None:
        self._redis = redis
        self._key = key

    def begin(self, name: str, address: str) -> int:
        """Count a try; 0 when it may be made, else for how many seconds this name may not be tried from this address.

        Raises:
            RedisError: Redis does not answer.
        """
        limits = {self._of_name(name, address): MOST_OF_A_NAME, self._of_address(address): MOST_OF_AN_ADDRESS}
        with self._redis.pipeline() as pipeline:
            for key in limits:
                pipeline.incr(key)
                pipeline.expire(key, PERIOD_SECONDS, nx=True)
                pipeline.ttl(key)
            counts = iter(pipeline.execute())
        tries = zip(counts, counts, counts, limits.values(), strict=True)
        return max((max(1, left) for count, _, left, most in tries if count > most), default=0)

    def succeed(self, name: str, address: str) -> None:
        """The password was right: what failed before does not count for this name, nor this try for the address."""
        self._redis.delete(self._of_name(name, address))
        self._take_back(self._of_address(address))

    def withdraw(self, name: str, address: str) -> None:
        """The try was not made: it does not count."""
        self._take_back(self._of_name(name, address))
        self._take_back(self._of_address(address))

    def _take_back(self, key: str) -> None:
        with self._redis.pipeline() as pipeline:
            pipeline.decr(key)
            pipeline.expire(key, PERIOD_SECONDS, nx=True)  # the count may have ended meanwhile
            pipeline.execute()

    def _of_name(self, name: str, address: str) -> str:
        return self._digest(f"{address}\0{name}")

    def _of_address(self, address: str) -> str:
        return self._digest(address)

    def _digest(self, what: str) -> str:
        return TRIES_KEY + hmac.new(self._key, what.encode(errors="replace"), sha256).hexdigest()[:32]
