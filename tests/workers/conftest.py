"""A factory of workplaces: queues on the real server, and workers for a test's own jobs."""

import pytest

from workers.worker.heartbeat import ReapGuard


@pytest.fixture
def reaps_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers reap what has been abandoned from their beginning, as those do that have lived for a lease."""
    monkeypatch.setattr(ReapGuard, "may_reap", True)
