"""The texts of failures: what is too long, and what Redis cannot hold."""

import pytest

from deskbell import ApiCall, Jobs
from deskbell.testing import api_call
from tests.conftest import WorkplaceFactory
from tests.workers.running import traceback_of
from workers.dead_letters.tracebacks import bounded, traceback_text

MOST = 75_000


def test_an_ordinary_text_is_kept_as_it_is() -> None:
    """Line by line."""
    lines = ["Traceback\n", "  File\n", "ValueError: no\n"]

    assert bounded(lines) == "".join(lines)


def test_of_a_long_text_the_beginning_and_the_end_are_kept() -> None:
    """Where it came from first, and what was raised last."""
    text = bounded(["first\n", *[f"  {number}\n" for number in range(100_000)], "last\n"])

    assert text.startswith("first\n  0\n")
    assert "[...]" in text
    assert text.endswith("  99999\nlast\n")
    assert len(text) < MOST


def test_a_part_that_is_too_long_is_cut() -> None:
    """A message of any length is one part."""
    text = traceback_text(ValueError("x" * 1_000_000))

    assert text.startswith("ValueError: xxx")
    assert text.endswith("[...]\n")
    assert len(text) < MOST


@pytest.mark.parametrize("message", ["\ud800", "x" * 1_000_000 + "\ud800"], ids=["half a pair", "long"])
def test_a_job_is_tried_again_and_dies_of_its_own_failure_whatever_the_text(
    message: str, open_workplace: WorkplaceFactory
) -> None:
    """Half a surrogate pair is no UTF-8; the attempts count, and the cause is known."""
    jobs, ran = Jobs(), []

    @jobs.on(ApiCall, attempts=2)
    def fail(event: ApiCall) -> None:
        ran.append(event.id)
        raise ValueError(message)

    workplace, event = open_workplace(jobs), api_call()
    workplace.put_jobs(event)

    workplace.work()
    workplace.make_due()
    workplace.work()

    job = workplace.job(event, "fail")
    assert len(ran) == 2
    assert workplace.queue().failed_job_registry.get_job_ids() == [job.id]
    assert job.meta["attempts"] == 2
    assert job.meta["cause"].startswith("ValueError at ")
    assert len(traceback_of(job)) < MOST
