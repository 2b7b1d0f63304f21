"""`deskbell doctor` and callbacks that are refused: nothing of them is kept, and yet somebody is told."""

import time

import pytest
from pydantic import SecretStr
from redis import Redis

from deskbell import Callbacks
from shared.redis import history
from shared.redis.history import MINUTE_KEY
from tests.conftest import SettingsFactory
from tests.desk import APP, serving
from tests.deskbell.cli.doctor.looking import Look, problems, worker
from tests.waiting import until

MINUTE = 60


def count(redis: Redis, ago: int, **counts: int) -> None:
    """Write what apis have counted some minutes ago: callbacks answered, or refused by cause."""
    minute = int(time.time() // MINUTE) - ago
    for name, number in counts.items():
        field = "callback\torder\toutcome\tanswered" if name == "answered" else f"refused\t{name}\toutcome\t{APP}"
        redis.hset(f"{MINUTE_KEY}{minute}", field, number)


def test_callbacks_that_are_refused_are_a_problem_and_soon_after_a_warning(look: Look, redis: Redis) -> None:
    """With the app, the cause, and what to do; some of many, as whoever scans the internet sends them, are not told."""
    count(redis, 1, answered=40, sign_wrong=60)
    count(redis, 0, sign_wrong=7)
    with worker(redis):
        status, lines = look()
        count(redis, 0, answered=1000)
        later, after = look()

    (told,) = problems(lines)
    assert (status, later) == (1, 0)
    assert told.startswith(f"67 callbacks of the app {APP} were refused within the last ten minutes, the last at ")
    assert "they were signed with another token than DESKBELL_APPS has; write the token of Desk's console" in told
    assert any(line.startswith(f"warning: 67 callbacks of the app {APP} were refused") for line in after)


def test_one_callback_that_was_not_kept_is_told(look: Look, redis: Redis) -> None:
    """However many others were; what is ten minutes old is not."""
    count(redis, 11, cannot_keep=500)
    count(redis, 3, answered=1000, cannot_keep=1)
    count(redis, 0, answered=1)

    with worker(redis):
        _, lines = look()

    (told,) = [line for line in lines if "refused" in line]
    assert told.startswith(f"warning: 1 callback of the app {APP} was refused at ")
    assert told.endswith("neither Redis nor the disk of the api kept the event")


def test_an_api_whose_clock_is_wrong_counts_its_refusals_in_redis_minutes(
    look: Look, redis: Redis, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else they would be an hour away from where somebody looks."""
    monkeypatch.setattr(history, "WRITE_SECONDS", 0.01)
    true = time.time
    with serving(make_settings(apps={APP: [SecretStr("another")]}), Callbacks()) as desk:
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: true() + 3600)
            assert desk.call().status_code == 403
            until(lambda: redis.keys(f"{MINUTE_KEY}*"))
        with worker(redis):
            _, lines = look()

    assert [line.partition(" was ")[0] for line in problems(lines)] == [f"1 callback of the app {APP}"]
