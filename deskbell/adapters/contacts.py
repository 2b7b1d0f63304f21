"""Last write wins for contacts: a lock with a lease for each contact, and a record of the newest event written.

1. `begin` takes the contact's lock. An event that is older than the newest one begun is not written any more; if
   another job writes the contact, the job comes again a second later. The event is recorded as the newest before it is
   sent, so a worker may die at any moment.
2. The job calls the CRM.
3. `end` releases the lock. After a refusal `withdraw` also forgets the event, so that an older one may be written.
4. If the CRM gave no answer, it may still be writing: the job calls neither, and the lock stays until its lease
   expires.

All of this is on Redis, for all workers together; the CRM needs to support nothing. It cannot prevent a write that
takes effect more than a lease after it was begun.
"""

import time
import uuid
from contextlib import suppress
from functools import partial
from hashlib import blake2b

from redis import Redis
from redis.exceptions import RedisError

from deskbell.adapters.once import Once
from shared.errors import Discard, OutOfTurnError
from shared.keys import DESKBELL, HOME
from shared.logs import get_log
from shared.redis.connections import client
from shared.redis.scripts import script_text
from shared.settings.config import Settings
from shared.wire.events import Event
from workers.redis_errors import is_transient

LEASE_SECONDS = 60
"""How long a write may take at most: more than the time-out of the job."""

KEPT_SECONDS = 90 * 24 * 3600
"""How long the newest event of a contact is recorded; an older event than this cannot be compared."""

_REDIS_SECONDS = 2.0
TRIES, TRY_SECONDS = 20, 0.05  # most writes take less than a second: a job that waits longer gives its slot back


class Write:
    """One write of a contact."""

    def __init__(self, redis: Redis, key: str, event_id: str) -> None:
        self._redis = redis
        self._key = key
        self._event_id = event_id
        self._id = uuid.uuid4().hex

    def begin(self) -> bool:
        """Take the contact's lock; False when a newer event has been written.

        Raises:
            OutOfTurnError: the contact is being written, or Redis is away.
            Discard: the event is too old to tell.
        """
        answer = self._ask()
        for _ in range(TRIES):
            if answer != "busy":
                break
            time.sleep(TRY_SECONDS)
            answer = self._ask()
        if answer == "busy":
            raise OutOfTurnError("another job writes this contact")
        if answer == "forgotten":
            raise Discard("the event is older than 90 days, and what its contact holds is not remembered so long")
        return answer == "go"

    def end(self) -> None:
        """Release the lock: the CRM has answered."""
        self._finish("end")

    def withdraw(self) -> None:
        """Release the lock, and forget the event: the CRM has not written it."""
        self._finish("withdraw")

    def _ask(self) -> str:
        try:
            return self._run("begin", self._event_id, LEASE_SECONDS, KEPT_SECONDS)
        except RedisError as error:
            if is_transient(error):
                raise OutOfTurnError(f"Redis did not give the contact's lock: {type(error).__name__}") from None
            raise

    def _finish(self, how: str) -> None:
        with suppress(RedisError):  # the CRM has answered all the same; the lease expires
            if self._run(how) == "lost":
                get_log().error("contact_overtaken", event_id=self._event_id)

    def _run(self, what: str, *arguments: str | int) -> str:
        script = self._redis.register_script(script_text("deskbell.adapters", "contacts"))
        answer = script(keys=[self._key], args=[what, self._id, *arguments])
        return str(answer.decode())


def begin_write(settings: Settings, url: str, event: Event) -> Write | None:
    """Take the lock of the contact of an event's user; None when a newer event has been written.

    Args:
        settings: name the Redis.
        url: the CRM that holds the contact.
        event: the one that is to be written.

    Raises:
        OutOfTurnError, Discard: see `Write.begin`.
    """
    write = Write(redis_of(settings.redis_url.get_secret_value()), contact_key(url, event.user_id), event.id)
    return write if write.begin() else None


redis_of = Once(partial(client, seconds=_REDIS_SECONDS, shard=HOME), Redis.close)
"""The Redis of a URL, for what adapters record."""


def contact_key(url: str, user_id: str) -> str:
    """The key of a contact's record: a digest, since everybody who reads Redis sees its keys."""
    return f"{DESKBELL}contact:" + blake2b(f"{url}\n{user_id}".encode(errors="replace"), digest_size=16).hexdigest()
