"""What `/readyz` and the log say of a Redis that no waiting brings back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis

from tests.conftest import SettingsFactory
from tests.desk import Desk, serving
from tests.logged import capture_logs
from tests.redis_outages import Server, counting
from tests.waiting import until

QUICK = {"budget_ms": 5000, "redis_timeout_ms": 500, "accept_ms": 4000}


@contextmanager
def locked(redis: Redis) -> Iterator[None]:
    """A password that the api does not know."""
    redis.config_set("requirepass", "secret")
    redis.client_kill_filter(_type="normal", skipme=True)
    yield
    redis.config_set("requirepass", "")


@contextmanager
def without_scripts(redis: Redis) -> Iterator[None]:
    """A user that may not do what the api needs most."""
    redis.acl_setuser("default", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all", "-evalsha"])
    yield
    redis.acl_setuser("default", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all"])


def readyz(desk: Desk) -> tuple[int, str, Any]:
    """The status, what is said, and the problem."""
    answer = desk.http.get("/readyz")
    return answer.status_code, answer.json()["status"], answer.json()["problem"]


@pytest.mark.parametrize(
    ("how", "expected"),
    [(locked, "refuses the user or the password"), (without_scripts, "does not let this user run evalsha")],
)
def test_an_api_that_starts_with_a_redis_that_refuses_it_says_so_and_keeps_events(
    how: Callable[[Redis], Any], expected: str, server: Server, make_settings: SettingsFactory
) -> None:
    """Before the first callback; when that is corrected the events get there by themselves."""
    settings = make_settings(redis_url=SecretStr(server.url), **QUICK)
    with server.connect() as redis, capture_logs() as logs, how(redis), serving(settings, counting()) as desk:
        until(lambda: readyz(desk)[1] == "failing")
        status, _, problem = readyz(desk)
        said = [line for line in logs if line["event"] == "redis_refuses"]
        answer = desk.call("count")
        redis.config_set("requirepass", "")
        redis.acl_setuser("default", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all"])
        until(lambda: readyz(desk)[1] == "ready")

    assert (status, answer.status_code) == (200, 200)
    assert expected in problem
    assert [(line["log_level"], line["problem"]) for line in said] == [("error", problem)]


def test_an_api_that_is_refused_for_longer_than_the_setting_is_not_ready(
    server: Server, make_settings: SettingsFactory
) -> None:
    """Events can be kept on the disk alone; also when no callback has come that would have found that out."""
    settings = make_settings(redis_url=SecretStr(server.url), refused_seconds=0, **QUICK)
    with server.connect() as redis, serving(settings, counting()) as desk:
        before = until(lambda: readyz(desk)[1] == "ready")
        with locked(redis):
            until(lambda: readyz(desk)[:2] == (503, "failing"))
            answer = desk.call("count")
        until(lambda: readyz(desk)[:2] == (200, "ready"))

    assert before
    assert answer.status_code == 200
