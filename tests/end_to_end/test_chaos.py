"""Promise 4, whatever dies: the short form of `make chaos-workers`."""

from bench.chaos_workers import KINDS, run


def test_no_job_is_lost_whatever_dies() -> None:
    """A worker killed, one frozen and woken, Redis killed and restarted, Redis failed over: each event has its row."""
    report = run(events=120, deeds=len(KINDS), seed=4711)

    assert report.deeds == dict.fromkeys(KINDS, 1)
    assert report.is_good, report
