"""Promise 4, whatever dies: the short form of `make chaos-workers`."""

import pytest

from bench.chaos_workers import KINDS, run

pytestmark = pytest.mark.timeout(600)  # servers and workers are killed and started again, on a machine that may be busy


def test_no_job_is_lost_whatever_dies() -> None:
    """A worker killed, one frozen and woken, Redis killed and restarted, Redis failed over: each event has its row."""
    report = run(events=120, deeds=len(KINDS), seed=4711)

    assert report.deeds == dict.fromkeys(KINDS, 1)
    assert {what: count for what, count in report.faults.items() if count} == {}, report.ends
