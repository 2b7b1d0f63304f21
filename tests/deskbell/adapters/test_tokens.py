import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis

from deskbell.adapters import tokens
from deskbell.adapters.tokens import Fetched, SharedToken
from shared.errors import OutOfTurnError
from tests.deskbell.jobs.stand_in import texts_on
from tests.redis_outages import Server
from tests.waiting import DEADLINE_SECONDS, until

APP, SECRET = "https://crm.example\napp-1", "an-app-secret"


class Service:
    """A service that gives tokens `token-1`, `token-2` and so on.

    Attributes:
        fetches: how many it gave.
        open: while it is not set, nobody gets an answer.
    """

    def __init__(self) -> None:
        self.fetches = 0
        self.seconds = 7200.0
        self.open = threading.Event()
        self.open.set()
        self._lock = threading.Lock()

    def fetch(self) -> Fetched:
        with self._lock:
            self.fetches += 1
            token = f"token-{self.fetches}"
        assert self.open.wait(DEADLINE_SECONDS)
        return Fetched(token, self.seconds)


@pytest.fixture
def service() -> Service:
    """The service."""
    return Service()


@pytest.fixture
def worker(redis: Redis, valkey_url: str, service: Service) -> Iterator[Callable[..., SharedToken]]:
    """Make the cache of one worker, with its own connection."""
    assert redis.ping()
    connections = []

    def make(app: str = APP, secret: str = SECRET) -> SharedToken:
        connections.append(Redis.from_url(valkey_url))
        return SharedToken(connections[-1], app, secret, service.fetch)

    yield make
    for connection in connections:
        connection.close()


Worker = Callable[..., SharedToken]


def test_a_hundred_jobs_without_a_token_fetch_it_once(worker: Worker, service: Service) -> None:
    """Four workers at once: one job asks the service, the others wait for what it gets."""
    workers = [worker() for _ in range(4)]
    service.open.clear()

    with ThreadPoolExecutor(100) as threads:
        asked = [threads.submit(workers[number % 4].get) for number in range(100)]
        until(lambda: service.fetches)
        service.open.set()

    assert {each.result() for each in asked} == {"token-1"}
    assert service.fetches == 1


def test_a_token_that_was_fetched_between_look_and_lock_is_taken(
    worker: Worker, valkey_url: str, service: Service
) -> None:
    """Else jobs at its expiry would fetch one after the other."""
    other = worker()

    class SlowRedis(Redis):
        def lock(self, *name: Any, **options: Any) -> Any:
            other.get()
            return super().lock(*name, **options)

    with SlowRedis.from_url(valkey_url) as redis:
        assert SharedToken(redis, APP, SECRET, service.fetch).get() == "token-1"

    assert service.fetches == 1


def test_a_job_that_waits_too_long_comes_again_later(
    worker: Worker, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives its slot back, as a job does whose contact is being written."""
    monkeypatch.setattr(tokens, "TRIES", 2)
    service.open.clear()

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(worker().get)
        until(lambda: service.fetches)
        with pytest.raises(OutOfTurnError, match="another job fetches the access token"):
            worker().get()
        service.open.set()

    assert first.result() == "token-1"


def test_a_token_is_fetched_anew_before_it_expires(worker: Worker, redis: Redis) -> None:
    """Five hundredths of its time before: a call under way should not be refused."""
    worker().get()

    (key,) = redis.keys("deskbell:token:*")
    assert 6800_000 < redis.pttl(key) <= 6840_000

    redis.pexpire(key, 1)
    until(lambda: not redis.exists(key))
    assert worker().get() == "token-2"


def test_only_the_very_token_that_was_refused_is_forgotten(worker: Worker, service: Service) -> None:
    """A hundred jobs are refused one after the other, the last of them long after a new token was fetched."""
    first, second = worker(), worker()
    refused = first.get()

    first.forget(refused)
    assert first.get() == "token-2"
    second.forget(refused)

    assert second.get() == "token-2"
    assert service.fetches == 2


def test_a_worker_that_dies_while_it_fetches_holds_the_others_up_for_a_lease(
    worker: Worker, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock ends by itself."""
    monkeypatch.setattr(tokens, "LEASE_SECONDS", 0.2)
    monkeypatch.setattr(tokens, "TRIES", DEADLINE_SECONDS * 20)
    service.open.clear()

    with ThreadPoolExecutor(2) as threads:
        threads.submit(worker().get)  # it stays in the service, as a worker that is killed there would
        until(lambda: service.fetches)
        other = threads.submit(worker().get)
        until(lambda: service.fetches == 2)
        service.open.set()

    assert other.result() in {"token-1", "token-2"}


def test_a_fetch_that_fails_lets_the_next_job_try(worker: Worker, redis: Redis) -> None:
    """The error reaches the job, and the lock is released at once."""

    def fails() -> Fetched:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        SharedToken(redis, APP, SECRET, fails).get()

    assert worker().get() == "token-1"


def test_who_reads_redis_sees_neither_the_token_nor_the_secret(worker: Worker, redis: Redis) -> None:
    """What is kept can be read with the app's secret alone, and differs each time."""
    seen = []
    for _ in range(2):
        redis.flushall()
        assert worker().get()
        seen += texts_on(redis)

    assert seen[0] != seen[1]
    for text in seen:
        assert not [word for word in (b"token-", SECRET.encode(), b"app-1") if word in text]


@pytest.mark.parametrize("other", [{"secret": "a-new-secret"}, {"app": "https://crm.example\napp-2"}])
def test_another_app_and_a_new_secret_have_tokens_of_their_own(worker: Worker, other: dict[str, str]) -> None:
    """Workers that read the new secret at different times do not overwrite each other's."""
    assert worker().get() == "token-1"

    assert worker(**other).get() == "token-2"
    assert worker().get() == "token-1"


def test_what_somebody_has_written_over_is_fetched_anew(worker: Worker, redis: Redis) -> None:
    """A bit of the text, a few bytes, or nothing."""
    token = worker()
    token.get()
    (key,) = redis.keys("deskbell:token:*")
    kept: Any = redis.get(key)

    for number, damaged in enumerate([kept[:-1] + bytes([kept[-1] ^ 1]), b"short", b""], start=2):
        redis.set(key, damaged)
        assert token.get() == f"token-{number}"


def test_without_redis_a_job_comes_again_a_little_later(server: Server, service: Service) -> None:
    """It is not the job's fault, and no service is asked."""
    with Redis.from_url(server.url) as redis:
        token = SharedToken(redis, APP, SECRET, service.fetch)
        server.kill()

        with pytest.raises(OutOfTurnError, match="Redis did not give the access token: ConnectionError"):
            token.get()
        token.forget("token-1")

    assert service.fetches == 0
