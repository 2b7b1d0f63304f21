"""Exceptions that raise when they are read."""

import pytest
from rq.job import JobStatus

from deskbell import ApiCall, Jobs
from deskbell.testing import api_call
from tests.conftest import WorkplaceFactory
from tests.hostile_exceptions import HOSTILE, IDS
from tests.logged import capture_logs


@pytest.mark.parametrize("kind", HOSTILE, ids=IDS)
def test_a_job_whose_exception_cannot_be_read_is_a_dead_letter(
    kind: type[Exception], open_workplace: WorkplaceFactory
) -> None:
    """On the event loop and in a thread: its outcome is written, and the worker goes on."""
    jobs = Jobs()

    @jobs.on(ApiCall, attempts=1)
    async def on_the_loop(event: ApiCall) -> None:  # noqa: ARG001
        raise kind

    @jobs.on(ApiCall, attempts=1)
    def in_a_thread(event: ApiCall) -> None:  # noqa: ARG001
        raise kind

    workplace, event = open_workplace(jobs), api_call()
    workplace.put_jobs(event)

    with capture_logs() as lines:
        workplace.work()

    states = [workplace.job(event, name).get_status() for name in ("on_the_loop", "in_a_thread")]
    assert states == [JobStatus.FAILED] * 2
    assert len([line for line in lines if line["event"] in ("attempt", "outcome_not_written")]) == 2
