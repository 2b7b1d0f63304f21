"""Promises 1, 2 and 4, whatever dies: the short forms of `make chaos` and `make chaos-workers`."""

import os

import pytest

from bench.chaos import callbacks, workers
from bench.chaos.faults import FAULTS

pytestmark = pytest.mark.timeout(600)  # servers and workers are killed and started again, on a machine that may be busy


@pytest.fixture(autouse=True)
def _not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is started here runs at its own speed, without coverage; other tests measure the same code."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("fault", ["redis-kill", "black-hole"])
def test_no_accepted_callback_is_lost_or_doubled(fault: str) -> None:
    """Redis killed and started again, or out of reach: what was acknowledged is there, once, and was answered alike.

    How late the answers were is not asked here: the machine that runs tests may be busy.
    """
    verdict = callbacks.run(FAULTS[fault], rate=50, seconds=1.5, around=1.5)

    assert verdict.acknowledged, verdict
    broken = verdict.lost, verdict.duplicated, verdict.unlogged, verdict.differing, verdict.unanswered
    assert not any(broken), verdict
    assert not verdict.undrained, verdict


def test_no_job_is_lost_whatever_dies() -> None:
    """A worker killed, one frozen and woken, Redis killed and restarted, Redis failed over: each event has its row.

    Whether a job ran again without need is not asked here: on a busy machine a lease may run out by itself.
    """
    kinds = tuple(kind for kind in workers.FAULTS if kind != "drop")  # a minute, and only as root
    report = workers.run(events=120, faults=len(kinds), seed=4711, kinds=kinds)

    assert report.faults == dict.fromkeys(kinds, 1)
    violations = {what: count for what, count in report.violations.items() if count and "without need" not in what}
    assert violations == {}, report.bad_exits
