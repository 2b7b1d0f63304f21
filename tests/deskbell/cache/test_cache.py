"""Caches: what is found, for how long and for whom; bounds; one refresh; and Redis that is away, slow or refuses."""

import asyncio
import dataclasses
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, field_validator
from redis import ConnectionPool, Redis

from deskbell import ApiCall
from deskbell.cache import MOST_BYTES, Cache
from deskbell.cache.store import caches_on
from deskbell.testing import Clock, api_call, async_reply
from shared.errors import DeclarationError, DeskbellError
from shared.handlers.callbacks import Callbacks
from shared.redis.connections import connect
from tests.conftest import SettingsFactory
from tests.logged import capture_logs
from tests.redis_outages import Server
from tests.waiting import until

SECRET = "Wang Li, 138 0013 8000"
CALL = api_call("quote")


@dataclass
class Quote:
    """A value of a cache."""

    price: int
    customer: str = ""


quotes = Cache("quotes", Quote, ttl=60)


@pytest.fixture(autouse=True)
def _on_the_server(redis: Redis) -> Iterator[None]:
    """The caches are on the server, which is empty."""
    with caches_on(redis):
        yield


@pytest.fixture
def clock() -> Iterator[Clock]:
    """Time stands still."""
    with Clock() as clock:
        yield clock


def test_a_value_is_found_with_its_age_until_its_time_is_over(clock: Clock) -> None:
    """A number and its text are one key: handlers have the one, jobs the other."""
    assert quotes.get(CALL, 1002) is None
    assert quotes.put(CALL, "1002", Quote(12))

    clock.advance(59)
    found = quotes.get(CALL, 1002)
    assert found
    assert (found.value, found.age) == (Quote(12), 59)
    clock.advance(1)
    assert quotes.get(CALL, 1002) is None


def test_an_app_has_values_of_its_own_and_nothing_is_under_an_empty_key() -> None:
    """A customer whom Desk does not name gets nobody else's value."""
    other = dataclasses.replace(CALL, app_id="1400000002")
    quotes.put(CALL, "1002", Quote(12))

    assert quotes.get(other, "1002") is None
    assert quotes.get(CALL, "") is None
    assert not quotes.claim(CALL, "")
    with pytest.raises(DeskbellError, match=r"^cache quotes: expected a key to put a value under, got an empty text$"):
        quotes.put(CALL, "", Quote(12))


def test_what_is_no_value_of_the_type_is_a_miss(redis: Redis) -> None:
    """An older version's value, another type's, rubbish, a key of a foreign type, a validator that raises anything."""

    class Wary(BaseModel):
        price: int

        @field_validator("price")
        @classmethod
        def _wary(cls, price: int) -> int:
            if not wary:
                raise KeyError
            return price

    wary = True
    Cache("quotes", dict[str, int], ttl=60).put(CALL, "older", {"price": 1})
    assert quotes.get(CALL, "older") is None

    warily = Cache("wary", Wary, ttl=60)
    warily.put(CALL, "1", Wary(price=1))
    wary = False
    assert warily.get(CALL, "1") is None

    redis.flushall()
    quotes.put(CALL, "1002", Quote(12))
    (entry,) = (key for key in redis.keys("deskbell:cache:quotes:*") if redis.type(key) == b"string")
    for rubbish in (b"", b"x", b"1795744684000", b'1795744684000 {"price": "much"}', b"\xff\xfe {}", b"9" * 5000):
        redis.set(entry, rubbish)
        assert quotes.get(CALL, "1002") is None
    redis.delete(entry)
    redis.rpush(entry, "a list")
    assert quotes.get(CALL, "1002") is None
    assert quotes.claim(CALL, "1002")
    assert quotes.put(CALL, "1002", Quote(13))
    assert quotes.get(CALL, "1002")


def test_the_oldest_go_when_there_are_too_many(redis: Redis, clock: Clock) -> None:
    """A value that is put again is the newest; what has expired goes first of all."""
    few = Cache("few", int, ttl=60, entries=3)
    for number in (1, 2, 3, 1, 4):
        few.put(CALL, number, number)
        clock.advance(1)

    assert [bool(few.get(CALL, number)) for number in (1, 2, 3, 4)] == [True, False, True, True]
    clock.advance(58)
    few.put(CALL, 5, 5)
    assert [bool(few.get(CALL, number)) for number in (1, 3, 4, 5)] == [False, False, True, True]
    assert redis.zcard(few.index) == 2
    assert redis.hget(few.sizes, "total") == str(2 * len("1795744684000 4")).encode()


def test_the_oldest_go_when_they_are_too_large(redis: Redis, clock: Clock) -> None:
    """The bytes are those on Redis; other caches lose nothing."""
    large = Cache("large", str, ttl=60, megabytes=1)
    quotes.put(CALL, "1002", Quote(12))
    for number in range(20):
        large.put(CALL, number, "x" * (MOST_BYTES - 2))
        clock.advance(1)

    found = [number for number in range(20) if large.get(CALL, number)]
    assert found == list(range(5, 20))
    held = [redis.strlen(key) for key in redis.keys(f"{large.index}:*") if redis.type(key) == b"string"]
    assert sum(held) == int(redis.hget(large.sizes, "total") or 0) <= 1_000_000
    assert quotes.get(CALL, "1002")


def test_everything_is_gone_when_its_time_is_over_and_no_key_names_anybody(redis: Redis) -> None:
    """Also when nobody puts anything any more: personal values do not outlive the ttl."""
    quotes.claim(CALL, SECRET)
    quotes.put(CALL, SECRET, Quote(12, SECRET))
    quotes.claim(CALL, SECRET, older_than=0)

    keys = redis.keys()
    assert len(keys) == 4
    assert not [key for key in keys if b"Wang" in key]
    assert all(0 < redis.pttl(key) <= 60_000 for key in keys)


def test_of_many_jobs_for_a_key_one_refreshes(clock: Clock) -> None:
    """Until it has put the value, or a minute is over; the job itself may come again."""
    calls = [api_call("quote") for _ in range(16)]
    together = threading.Barrier(16, timeout=10)

    def claim(call: ApiCall) -> bool:
        together.wait()
        return quotes.claim(call, "1002", older_than=30)

    with ThreadPoolExecutor(16) as pool:
        claims = list(pool.map(claim, calls))

    assert sum(claims) == 1
    ours = calls[claims.index(True)]
    assert quotes.claim(ours, "1002")
    assert quotes.put(ours, "1002", Quote(12))
    assert not quotes.claim(CALL, "1002", older_than=30)
    clock.advance(30)
    assert not quotes.claim(CALL, "1002")
    assert quotes.claim(api_call(), "1002", older_than=30)
    assert not quotes.claim(ours, "1002", older_than=30)


def test_a_claim_whose_job_is_lost_expires(redis: Redis) -> None:
    """The next job refreshes."""
    quotes.claim(api_call(), "1002")
    (key,) = redis.keys("*:claim")
    redis.pexpire(key, 0)

    assert quotes.claim(CALL, "1002")


class Counting(Redis):
    """A client that counts what is asked of it."""

    asked = 0

    def get(self, *words: Any, **options: Any) -> Any:
        """Ask."""
        self.asked += 1
        return super().get(*words, **options)


def kill(server: Server) -> Callable[[], object]:
    """Let a server be away; what brings it back."""
    server.kill()
    return server.start


def freeze(server: Server) -> Callable[[], object]:
    """Let a server hang; what lets it go on."""
    frozen = server.frozen()
    frozen.__enter__()
    return lambda: frozen.__exit__(None, None, None)


@pytest.mark.parametrize("let_fail", [kill, freeze])
def test_while_redis_is_away_or_hangs_everything_is_a_miss_and_few_wait(
    server: Server, let_fail: Callable[[Server], Callable[[], object]]
) -> None:
    """Nothing is raised; the log has a line for each operation, not for each callback."""
    wait: Any = {"socket_timeout": 0.1, "socket_connect_timeout": 0.1}
    redis = Counting(connection_pool=ConnectionPool.from_url(server.url, **wait))
    with capture_logs() as logs, caches_on(redis):
        assert quotes.put(CALL, SECRET, Quote(12, SECRET))
        mend = let_fail(server)
        try:
            assert [quotes.get(CALL, SECRET) for _ in range(100)] == [None] * 100
            asked = redis.asked
            assert asked < 50
            until(lambda: quotes.get(CALL, SECRET) or redis.asked > asked)  # it is tried again, and fails again
            assert not quotes.put(CALL, SECRET, Quote(13, SECRET))
            assert quotes.claim(CALL, SECRET)
        finally:
            mend()
        until(lambda: quotes.get(CALL, SECRET) is not None)
        until(lambda: quotes.put(CALL, SECRET, Quote(14)))

    said = [(line["event"], line["operation"]) for line in logs]
    assert said[:3] == [("cache_away", "get"), ("cache_away", "put"), ("cache_away", "claim")]
    assert said[3:] == [("cache_back", "get"), ("cache_back", "put")]
    assert "Wang" not in str(logs)


def test_a_redis_that_refuses_says_what_a_person_must_do(server: Server) -> None:
    """What may be read is read all the same."""
    with server.connect() as redis:
        redis.acl_setuser("reader", enabled=True, nopass=True, keys="*", categories=["+@read", "+@connection"])
    with capture_logs() as logs, caches_on(Redis.from_url(server.url.replace("://", "://reader:x@"))):
        assert [quotes.put(CALL, "1002", Quote(12)) for _ in range(3)] == [False] * 3
        assert quotes.get(CALL, "1002") is None

    assert [(line["event"], line["operation"]) for line in logs] == [("cache_away", "put")]
    assert "docs/how-to/operate.md" in logs[0]["problem"]


def test_a_handler_on_an_event_loop_awaits(make_settings: SettingsFactory) -> None:
    """What would block the loop, and with it every callback, is refused in a sentence."""
    callbacks = Callbacks()

    @callbacks.api_call("waits")
    async def waits(call: ApiCall) -> dict[str, Any]:
        assert await quotes.async_claim(call, 7, older_than=5)
        assert await quotes.async_put(call, 7, Quote(12))
        found = await quotes.async_get(call, 7)
        return {"Price": found.value.price if found else 0}

    @callbacks.api_call("blocks")
    async def blocks(call: ApiCall) -> dict[str, Any]:
        with pytest.raises(DeskbellError, match=r"^cache quotes: an event loop runs here; write await async_get\("):
            quotes.get(call, 7)
        return {}

    async def ask() -> list[str]:
        return [(await async_reply(callbacks, api_call(node), seconds=5)).outcome for node in ("waits", "blocks")]

    with caches_on(connect(make_settings())):
        assert asyncio.run(ask()) == ["answered", "answered"]
        assert (found := quotes.get(CALL, 7))
        assert found.value.price == 12


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (Quote(1, "x" * MOST_BYTES), f"expected a value of at most {MOST_BYTES} bytes as JSON, got 65561"),
        ({"customer": SECRET}, "expected a value of its type that JSON can hold, got a dict"),
        (Quote(SECRET), "expected a value of its type that JSON can hold, got a Quote"),  # type: ignore[arg-type]
        (Quote(1, "\ud800" + SECRET), "expected a value of its type that JSON can hold, got a Quote"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_a_sentence_without_the_value(value: Any, sentence: str) -> None:
    """A job sees it in its test, or as a dead letter."""
    with pytest.raises(DeskbellError) as raised:
        quotes.put(CALL, SECRET, value)

    assert str(raised.value) == f"cache quotes: {sentence}"
    assert "Wang" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "Quotes"}, r"its name must match .* got 'Quotes'; write for example \"quotes\"$"),
        ({"of": threading.Thread}, "expected a type that JSON can hold, .* got Thread$"),
        ({"ttl": "60"}, "ttl= must be seconds from 1 to 2592000, got '60'$"),
        ({"ttl": 0}, "ttl= must be seconds from 1 to 2592000, got 0$"),
        ({"ttl": float("inf")}, "ttl= must be seconds from 1 to 2592000, got inf$"),
        ({"entries": 0}, "entries= must be a whole number of 1 or more, got 0$"),
        ({"megabytes": 0.5}, "megabytes= must be a whole number of 1 or more, got 0.5$"),
    ],
)
def test_what_cannot_be_declared_is_refused_in_a_sentence(arguments: dict[str, Any], sentence: str) -> None:
    """It says what to write."""
    declare: Any = Cache
    with pytest.raises(DeclarationError, match=sentence):
        declare(**{"name": "quotes", "of": Quote, "ttl": 60} | arguments)


@pytest.mark.parametrize("key", [None, ("1002",)])
def test_a_key_that_is_neither_text_nor_number_is_refused(key: Any) -> None:
    """Under None all customers would share a value."""
    with pytest.raises(DeskbellError, match="a key that is a text or a number, got ApiCall and "):
        quotes.get(CALL, key)


def test_a_found_value_is_not_in_its_repr() -> None:
    """It may be a person's, and reprs reach logs."""
    quotes.put(CALL, 1, Quote(1, SECRET))

    assert "Wang" not in repr(quotes.get(CALL, 1))


def test_a_value_that_is_dropped_is_gone_with_all_records_of_it(redis: Redis) -> None:
    """Of that key and app alone; what was never there is dropped, too."""
    quotes.put(CALL, 1, Quote(1))
    quotes.put(CALL, 2, Quote(2))

    dropped = [quotes.drop(CALL, 1), quotes.drop(CALL, 1), asyncio.run(quotes.async_drop(CALL, 3))]
    left = redis.zcard(quotes.index), redis.hlen(quotes.sizes), quotes.get(CALL, 1), quotes.get(CALL, 2)

    assert dropped == [True] * 3
    assert left[:3] == (1, 2, None)
    assert left[3]
