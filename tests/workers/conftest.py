"""A factory of workplaces: queues on the real server, and workers for a test's own jobs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from redis import Redis

from shared import Jobs
from tests.conftest import SettingsFactory
from tests.workers.working import Workplace
from workers.life import ReapGuard

WorkplaceFactory = Callable[..., Workplace]


@pytest.fixture
def open_workplace(redis: Redis, make_settings: SettingsFactory) -> Iterator[WorkplaceFactory]:
    """Open a workplace for job types; settings are given by name."""
    with ExitStack() as stack:

        def open_one(jobs: Jobs, **settings: Any) -> Workplace:
            return stack.enter_context(closing(Workplace(redis, jobs, make_settings(**settings))))

        yield open_one


@pytest.fixture
def reaps_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers reap what has been abandoned from their beginning, as those do that have lived for a lease."""
    monkeypatch.setattr(ReapGuard, "may_reap", True)
