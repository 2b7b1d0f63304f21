"""An access token for all workers: a cache on Redis with a lock, so that a thousand jobs at its expiry fetch it once.

1. `get` gives the token that is on Redis. If there is none, one job takes the lock, whose lease ends by itself, and
   fetches a token; the others wait for it.
2. A token expires on Redis a little before the service would refuse it.
3. A service may end a token earlier, and refuses it. Then `forget` deletes that very token, and `call` asks once more
   with another: if some job has fetched a new one in the meantime, that is taken.

Whoever has the token may do what the app may, and more people read Redis (its backups, its replicas, a dashboard) than
know the app's secret. So the token is encrypted under a key made from the secret, which every worker has; the key's
name is a keyed digest. A new secret has tokens of its own.
"""

import hmac
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b, shake_256
from typing import TypeVar

from redis import Redis
from redis.exceptions import LockError, RedisError

from deskbell.adapters.outcomes import Reply
from shared.errors import OutOfTurnError, Unavailable
from shared.keys import DESKBELL
from workers.redis_errors import is_transient

_Result = TypeVar("_Result")

LEASE_SECONDS = 30
"""How long a fetch may take at most: more than its time-outs."""

TRIES, TRY_SECONDS = 40, 0.05  # a fetch takes less than a second: a job that waits longer gives its slot back
_USED_PART = 0.95  # of a token's time: what is under way should not be refused for a token that has just expired
_NONCE_BYTES, _TAG_BYTES = 16, 16
_DELETE_IF = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True, repr=False)
class Fetched:
    """A token that a service gave, and the seconds for which it is valid."""

    token: str
    seconds: float


class TokenRefused(Unavailable):
    """Raised when a service refuses the token; if it refuses the next one as well, nobody is served."""


def token_refused(reply: Reply) -> Exception:
    """The outcome of a reply that refuses the token, for an adapter's table."""
    return TokenRefused(reply.text, code=reply.code)


class SharedToken:
    """The access token of one app.

    Args:
        redis: where it is kept.
        app: what tells the app from others: the service's URL and the app's id.
        secret: the app's secret.
        fetch: asks the service for a token; what it raises reaches the job that asked.
    """

    def __init__(self, redis: Redis, app: str, secret: str, fetch: Callable[[], Fetched]) -> None:
        self._redis = redis
        self._secret = blake2b(secret.encode(), digest_size=32, person=b"deskbell-token").digest()
        digest = blake2b(app.encode(), key=self._secret, digest_size=16, person=b"deskbell-app").hexdigest()
        self._key = f"{DESKBELL}token:{digest}"
        self._fetch = fetch

    def call(self, send: Callable[[str], _Result]) -> _Result:
        """What `send` gives for the token; once more with another, if the token is refused.

        Raises:
            TokenRefused: the other is refused as well.
            OutOfTurnError: see `get`.
        """
        token = self.get()
        try:
            return send(token)
        except TokenRefused:
            self.forget(token)
        return send(self.get())

    def get(self) -> str:
        """The token.

        Raises:
            OutOfTurnError: another job is fetching it, or Redis is away; tried again in a second.
        """
        try:
            for _ in range(TRIES):
                if token := self._kept() or self._fetch_alone():
                    return token
                time.sleep(TRY_SECONDS)
        except RedisError as error:
            if is_transient(error):
                raise OutOfTurnError(f"Redis did not give the access token: {type(error).__name__}") from None
            raise
        raise OutOfTurnError("another job fetches the access token")

    def forget(self, token: str) -> None:
        """Delete the token, unless another is there: the service refuses it."""
        with suppress(RedisError):  # the next job is refused as well, and deletes it
            kept = self._redis.get(self._key)
            if isinstance(kept, bytes) and self._opened(kept) == token:
                self._redis.register_script(_DELETE_IF)(keys=[self._key], args=[kept])

    def _kept(self) -> str | None:
        kept = self._redis.get(self._key)
        return self._opened(kept) if isinstance(kept, bytes) else None

    def _fetch_alone(self) -> str | None:
        """Fetch the token under the lock; None while another job does."""
        lock = self._redis.lock(f"{self._key}:lock", timeout=LEASE_SECONDS)
        if not lock.acquire(blocking=False):
            return None
        try:
            if kept := self._kept():  # fetched between the look and the lock
                return kept
            fetched = self._fetch()
            kept_ms = max(1, int(fetched.seconds * 1000 * _USED_PART))
            self._redis.set(self._key, self._sealed(fetched.token), px=kept_ms)
            return fetched.token
        finally:
            with suppress(LockError, RedisError):  # the lease has ended, or will
                lock.release()

    # Encrypt, then authenticate, with the standard library's keyed hashes: a dependency for one short text would have
    # to be kept free of known vulnerabilities for ever.

    def _sealed(self, token: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        text = self._crypted(token.encode(), nonce)
        return nonce + self._tag(nonce + text) + text

    def _opened(self, sealed: bytes) -> str | None:
        nonce, tag, text = (
            sealed[:_NONCE_BYTES],
            sealed[_NONCE_BYTES:][:_TAG_BYTES],
            sealed[_NONCE_BYTES + _TAG_BYTES :],
        )
        if not hmac.compare_digest(tag, self._tag(nonce + text)):
            return None  # somebody has written over it
        return self._crypted(text, nonce).decode()

    def _crypted(self, text: bytes, nonce: bytes) -> bytes:
        stream = shake_256(self._secret + nonce).digest(len(text))
        return bytes(one ^ other for one, other in zip(text, stream, strict=True))

    def _tag(self, data: bytes) -> bytes:
        return blake2b(data, key=self._secret, digest_size=_TAG_BYTES, person=b"deskbell-tag").digest()
