"""A cache: values of one type, by app and key, each with the time at which it was written.

1. A job puts a value; `put.lua` drops what has expired, and then the oldest until the cache's bounds are kept.
2. A handler gets it with its age, and answers. It never waits for the back end.
3. A job that keeps the cache warm claims the refresh first: of many jobs for one key, one asks the back end.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError, to_json
from redis import Redis
from redis.exceptions import ResponseError

from deskbell.cache.store import store
from shared.declarations.options import check_name
from shared.errors import DeclarationError, DeskbellError
from shared.keys import DESKBELL
from shared.wire.events import Event

T = TypeVar("T")

MOST_BYTES = 65_536
"""The largest value, as JSON."""

_KEY = f"{DESKBELL}cache:"
_NAME_FORM = r"[a-z][a-z0-9_]{0,63}"
_LONGEST_SECONDS = 30 * 24 * 3600
_CLAIM_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Cached(Generic[T]):
    """A value that was kept.

    Attributes:
        age: seconds since it was put.
    """

    value: T = field(repr=False)
    age: float


class Cache(Generic[T]):
    """Values on the Redis of `DESKBELL_REDIS_URL`, for handlers and jobs of all processes.

    `def` functions call `get`, `put`, `claim` and `drop`; `async def` functions await `async_get`, `async_put`,
    `async_claim` and `async_drop`. Under an empty key there is nothing, and nothing can be put.

    Attributes:
        name: its name on Redis.
        ttl: seconds for which a value is kept.
        entries: how many values are kept.
        megabytes: how many megabytes they may take as JSON; their keys and Redis' own records take some 300 bytes each.
    """

    def __init__(self, name: str, of: type[T], *, ttl: float, entries: int = 10_000, megabytes: int = 64) -> None:
        """Declare a cache, in a module that handlers and jobs import.

        Args:
            name: letters, digits and `_`; chosen once, since it is part of the keys.
            of: the type of its values: a pydantic model, a dataclass, or what JSON has, such as `dict[str, int]`. After
                it has changed, values of the older type are not found any more.
            ttl: seconds after which a value is deleted, at most 30 days.
            entries: how many values are kept; the oldest goes first.
            megabytes: how many megabytes they may take.

        Raises:
            DeclarationError: one of them cannot be used.
        """
        where = f"Cache({name!r})"
        check_name(where, name, _NAME_FORM, "its name", '"quotes"')
        if type(ttl) not in (int, float) or not 0 < ttl <= _LONGEST_SECONDS:
            raise DeclarationError(f"{where}: ttl= must be seconds from 1 to {_LONGEST_SECONDS}, got {ttl!r}")
        for option, number in (("entries", entries), ("megabytes", megabytes)):
            if type(number) is not int or number < 1:
                raise DeclarationError(f"{where}: {option}= must be a whole number of 1 or more, got {number!r}")
        self.name, self.ttl, self.entries, self.megabytes = name, ttl, entries, megabytes
        try:
            self._adapter: TypeAdapter[T] = TypeAdapter(of)
            schema = to_json(self._adapter.json_schema())
        except PydanticUserError as error:
            raise DeclarationError(
                f"{where}: expected a type that JSON can hold, such as a pydantic model, a dataclass or "
                f"dict[str, int], got {getattr(of, '__name__', of)}"
            ) from error
        self._schema = schema
        declared.add(self)

    def get(self, event: Event, key: str | int) -> Cached[T] | None:
        """The value of a key, or None: it was not put, it has expired, it is of another type, or Redis is away.

        Args:
            event: what is answered, or run for: each app has values of its own.
            key: such as an order's number; on Redis there is a digest of it.

        Raises:
            DeskbellError: an event loop runs in this thread.
        """
        self._refuse_loop("get")
        if key == "":
            return None
        entry = self._entry(event, key)
        return self._read(store().ask("get", lambda redis: _text_of(redis, entry), None))

    async def async_get(self, event: Event, key: str | int) -> Cached[T] | None:
        """What `get` gives, on an event loop."""
        return await store().in_thread(self.get, event, key)

    def put(self, event: Event, key: str | int, value: T) -> bool:
        """Keep a value; whether Redis has it: a job that must not lose it says `raise Retry(…)` when not.

        Args:
            event: what is run for.
            key: the key.
            value: of the cache's type, at most `MOST_BYTES` as JSON.

        Raises:
            DeskbellError: the value is of another type or too large, the key is empty, or an event loop runs in this
                thread. No message holds a value or a key.
        """
        self._refuse_loop("put")
        if key == "":
            raise DeskbellError(f"cache {self.name}: expected a key to put a value under, got an empty text")
        text, now_ms = self._written(value), round(time.time() * 1000)
        digest = self._digest(event, key)
        entry = f"{self.index}:{digest}"
        ttl_ms, most_bytes = round(self.ttl * 1000), self.megabytes * 1_000_000
        keys = [self.index, entry, f"{entry}:claim", self.sizes]
        return store().put(keys, [digest, b"%d %b" % (now_ms, text), now_ms, ttl_ms, self.entries, most_bytes])

    async def async_put(self, event: Event, key: str | int, value: T) -> bool:
        """What `put` does, on an event loop."""
        return await store().in_thread(self.put, event, key, value)

    def drop(self, event: Event, key: str | int) -> bool:
        """Delete a value, if there is one; whether Redis was reached: a job that must delete it retries when not.

        Args:
            event: what is run for: `UserForgotten`, whose app's value it is.
            key: the key.

        Raises:
            DeskbellError: an event loop runs in this thread.
        """
        self._refuse_loop("drop")
        digest = self._digest(event, key)
        entry = f"{self.index}:{digest}"
        return store().drop([self.index, entry, f"{entry}:claim", self.sizes], digest)

    async def async_drop(self, event: Event, key: str | int) -> bool:
        """What `drop` does, on an event loop."""
        return await store().in_thread(self.drop, event, key)

    def claim(self, event: Event, key: str | int, *, older_than: float | None = None) -> bool:
        """Whether this job is to refresh a value: it is missing or too old, and no job for another event does so.

        A claim ends with `put`, or after 60 seconds. A job that runs again for its event has its claim still. While
        Redis is away, the answer is True.

        Args:
            event: what the job is run for.
            key: the key.
            older_than: seconds; a younger value is not refreshed. By default only a value that is missing is.

        Raises:
            DeskbellError: an event loop runs in this thread.
        """
        self._refuse_loop("claim")
        if key == "":
            return False
        entry = self._entry(event, key)
        oldest = self.ttl if older_than is None else older_than

        def ask(redis: Redis) -> bool:
            # First the claim, then the value: who claims after a put sees what was put.
            held: Any = redis.set(f"{entry}:claim", event.id, nx=True, get=True, px=_CLAIM_SECONDS * 1000)
            if held not in (None, event.id.encode()):
                return False
            there = self._read(_text_of(redis, entry))
            if there is None or there.age >= oldest:
                return True
            redis.delete(f"{entry}:claim")
            return False

        return store().ask("claim", ask, instead=True)

    async def async_claim(self, event: Event, key: str | int, *, older_than: float | None = None) -> bool:
        """What `claim` does, on an event loop."""
        return await store().in_thread(lambda: self.claim(event, key, older_than=older_than))

    @property
    def index(self) -> str:
        """The key of the sorted set of its entries; those have it and a digest as their keys."""
        return _KEY + self.name

    @property
    def sizes(self) -> str:
        """The key of the hash of their sizes."""
        return f"{self.index}:sizes"

    def _entry(self, event: Event, key: str | int) -> str:
        return f"{self.index}:{self._digest(event, key)}"

    def _digest(self, event: Event, key: str | int) -> str:
        """What stands for app, key and type: everybody who reads Redis sees its keys."""
        if not all((isinstance(event, Event), isinstance(key, str | int))):
            raise DeskbellError(
                f"cache {self.name}: expected an event, and a key that is a text or a number, got "
                f"{type(event).__name__} and {type(key).__name__}"
            )
        named = f"{event.app_id}\n{key}\n".encode(errors="replace")
        return blake2b(named + self._schema, digest_size=16).hexdigest()

    def _written(self, value: T) -> bytes:
        try:
            text = self._adapter.dump_json(value, warnings="error")
            self._adapter.validate_json(text)
        except (ValueError, PydanticSerializationError):
            raise DeskbellError(
                f"cache {self.name}: expected a value of its type that JSON can hold, got a {type(value).__name__}"
            ) from None
        if len(text) > MOST_BYTES:
            raise DeskbellError(
                f"cache {self.name}: expected a value of at most {MOST_BYTES} bytes as JSON, got {len(text)}"
            )
        return text

    def _read(self, text: bytes | None) -> Cached[T] | None:
        """What an entry holds; None when it is too old, or anything else than a value of this type."""
        written_ms, _, value = (text or b"").partition(b" ")
        with suppress(Exception):  # the integrator's validators may raise anything
            age = time.time() - int(written_ms) / 1000
            if age < self.ttl:
                return Cached(self._adapter.validate_json(value), max(0.0, age))
        return None

    def _refuse_loop(self, method: str) -> None:
        """Refuse to block an event loop, and all callbacks or jobs that run on it."""
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            raise DeskbellError(f"cache {self.name}: an event loop runs here; write await async_{method}(…)")


declared: WeakSet[Cache[Any]] = WeakSet()
"""The caches of this process, for `deskbell doctor`."""


def _text_of(redis: Redis, entry: str) -> bytes | None:
    """The text under a key; None when there is none, or something else."""
    try:
        found: Any = redis.get(entry)
    except ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        return None
    return bytes(found) if found is not None else None
