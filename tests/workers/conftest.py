"""A factory of workplaces: queues on the real server, and workers for a test's own jobs."""

import pytest

from tests.conftest import WorkplaceFactory
from tests.workers.claiming import counting_jobs
from tests.workers.running import Workplace
from workers.worker.heartbeat import ReapGuard


@pytest.fixture
def workplace(open_workplace: WorkplaceFactory) -> Workplace:
    """A workplace for the job type `count`."""
    return open_workplace(counting_jobs()[0])


@pytest.fixture
def reaps_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers reap what has been abandoned from their beginning, as those do that have lived for a lease."""
    monkeypatch.setattr(ReapGuard, "may_reap", True)
