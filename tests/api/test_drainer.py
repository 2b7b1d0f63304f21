"""Redis away, and back: what was answered meanwhile gets there, in order, once.

Long, because one file holds what one promise says under every fault, each with a test that reads alone.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from shared import Callbacks, Settings
from shared.queues import EVENTS, queue
from tests.away import Server, a_server, until
from tests.conftest import SettingsFactory
from tests.desk import serving

QUICK = {"budget_ms": 5000, "redis_timeout_ms": 200, "accept_ms": 4000}
"""A Redis given up soon, and a disk that may take its time: the machine that runs tests may be busy."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of this test alone, started."""
    with a_server() as server:
        server.start()
        yield server


@pytest.fixture
def settings(server: Server, make_settings: SettingsFactory) -> Settings:
    """Settings for it."""
    return make_settings(redis_url=SecretStr(server.url), **QUICK)


def counting() -> Callbacks:
    """A handler that answers with a new number each time."""
    callbacks = Callbacks()
    numbers = iter(range(1_000_000))

    @callbacks.api_call("count")
    def count() -> dict[str, str]:
        return {"Number": str(next(numbers))}

    return callbacks


def event_ids(server: Server) -> list[str]:
    """The events that wait on the server, in order."""
    with server.connect() as redis:
        return queue(EVENTS, redis).job_ids


def kept_id(answer: Any) -> str:
    """The id of the event that an answer says is kept."""
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-deskbell-event"])


@contextmanager
def killed(server: Server) -> Iterator[None]:
    """No server."""
    server.kill()
    yield
    server.start()


@contextmanager
def configured(server: Server, name: str, value: str, after: str) -> Iterator[None]:
    """A server that one of its settings keeps from writing."""
    with server.connect() as redis:
        redis.config_set(name, value)
        yield
        redis.config_set(name, after)


@contextmanager
def read_only(server: Server) -> Iterator[None]:
    """A replica."""
    with server.connect() as redis:
        redis.config_set("replica-serve-stale-data", "yes")
        redis.replicaof("127.0.0.1", "1")
        yield
        redis.replicaof("NO", "ONE")


@contextmanager
def stale(server: Server) -> Iterator[None]:
    """A replica that has lost its master, and says so."""
    with server.connect() as redis:
        redis.config_set("replica-serve-stale-data", "no")
        redis.replicaof("127.0.0.1", "1")
        yield
        redis.replicaof("NO", "ONE")


@contextmanager
def damaged(server: Server) -> Iterator[None]:
    """The queue's key is no list."""
    with server.connect() as redis:
        redis.rename(queue(EVENTS, redis).key, "elsewhere")
        redis.set(queue(EVENTS, redis).key, "not a list")
        yield
        redis.rename("elsewhere", queue(EVENTS, redis).key)


FAULTS: dict[str, Any] = {
    "killed": killed,
    "frozen": lambda server: server.frozen(),
    "out of memory": lambda server: configured(server, "maxmemory", "1", "0"),
    "too few replicas": lambda server: configured(server, "min-replicas-to-write", "1", "0"),
    "read-only": read_only,
    "master down": stale,
    "damaged": damaged,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_keeps_redis_from_taking_events_none_is_lost_or_doubled(
    server: Server, settings: Settings, fault: str
) -> None:
    """Answers go on, with their variables; then each event is on the queue once, in the order of the answers."""
    away: AbstractContextManager[None] = FAULTS[fault](server)

    with serving(settings, counting()) as desk:
        answers = [desk.call("count")]
        with away:
            answers += [desk.call("count") for _ in range(5)]
            spooling = desk.http.get("/readyz")
        ids = [kept_id(answer) for answer in answers]
        until(lambda: len(event_ids(server)) == 6)
        until(lambda: desk.http.get("/readyz").json()["status"] == "ready")
        answers.append(desk.call("count"))

    assert [answer.json()["Body"]["Number"] for answer in answers] == list("0123456")
    assert event_ids(server) == [*ids, kept_id(answers[-1])]
    assert spooling.status_code == 200
    assert spooling.json()["status"] == "spooling"
