import pytest
from fakeredis import FakeRedis
from rq.job import Job

from shared import Discard, Retry
from shared.errors import UnknownJobError
from shared.queues import PERFORM, queue
from tests.workers.working import fetch
from workers.retries import backoff, begin_attempt, rq_retry, settle_failure


def make_job(*, attempts: int) -> Job:
    """A job as fan-out makes it."""
    target = queue("crm", FakeRedis())
    return target.enqueue_job(target.create_job(PERFORM, description="a job", retry=rq_retry(attempts)))


@pytest.mark.parametrize(("attempt", "longest"), [(1, 2), (2, 4), (3, 8), (8, 256), (9, 512), (10, 600), (60, 600)])
def test_the_backoff_doubles_up_to_ten_minutes_and_its_upper_half_is_chance(attempt: int, longest: int) -> None:
    """2, 4, 8… seconds up to 600, of which at least half is waited."""
    waits = {backoff(attempt) for _ in range(200)}

    assert min(waits) >= longest / 2
    assert max(waits) <= longest
    assert len(waits) > 1 or longest == 2, "RQ waits whole seconds"


def test_rq_is_given_a_retry_and_an_interval_for_each_attempt_after_the_first() -> None:
    """What RQ itself does when a worker dies: `attempts` runs in all, each wait longer than half of the one before."""
    retry = rq_retry(4)

    assert retry
    assert retry.max == 3
    assert len(retry.intervals) == 3
    assert all(2**n / 2 <= wait <= 2**n for n, wait in enumerate(retry.intervals, start=1))
    assert rq_retry(1) is None


def test_attempts_are_counted_from_one_on_redis_before_they_are_made() -> None:
    """A worker that dies in an attempt has counted it, and RQ knows how many are left."""
    job = make_job(attempts=3)

    counted = [begin_attempt(job, 3), begin_attempt(fetch(job.connection, job.id), 3)]

    assert counted == [1, 2]
    assert fetch(job.connection, job.id).meta == {"attempt": 2}
    assert fetch(job.connection, job.id).retries_left == 1


def test_after_the_last_attempt_the_count_begins_anew() -> None:
    """A job whose worker died in its last attempt was buried by RQ; a person who puts it back means all attempts."""
    job = make_job(attempts=2)

    counted = [begin_attempt(job, 2) for _ in range(5)]

    assert counted == [1, 2, 1, 2, 1]


def test_an_error_is_a_retry_after_the_backoff() -> None:
    """An attempt that is not the last leaves RQ a retry and one interval."""
    job = make_job(attempts=8)

    outcome = settle_failure(job, begin_attempt(job, 8), OSError())

    assert outcome == "retry"
    assert job.retries_left == 7
    assert job.retry_intervals in ([1], [2])


@pytest.mark.parametrize(("after", "seconds"), [(0, 0), (1.2, 2), (90, 90), (1_731_488_371_784, 365 * 24 * 3600)])
def test_retry_says_when_in_seconds_rounded_up_and_within_a_year(after: float, seconds: int) -> None:
    """RQ takes whole seconds, and a date beyond the year 9999, such as from milliseconds, would end the worker."""
    job = make_job(attempts=8)

    outcome = settle_failure(job, begin_attempt(job, 8), Retry(after=after))

    assert outcome == "retry"
    assert job.retry_intervals == [seconds]


@pytest.mark.parametrize("error", [OSError(), Retry(after=5)])
def test_the_last_attempt_is_not_tried_again(error: Exception) -> None:
    """Nor if it asks for it: the attempt counts."""
    job = make_job(attempts=1)

    outcome = settle_failure(job, begin_attempt(job, 1), error)

    assert outcome == "dead"
    assert not job.should_retry


@pytest.mark.parametrize(("error", "outcome"), [(Discard("gone"), "discarded"), (UnknownJobError("?"), "dead")])
def test_giving_up_leaves_no_retries(error: Exception, outcome: str) -> None:
    """What further attempts cannot help is not tried again, though attempts are left."""
    job = make_job(attempts=8)
    attempt = begin_attempt(job, 8)

    assert settle_failure(job, attempt, error) == outcome
    assert not job.should_retry


@pytest.mark.parametrize("error", [OSError(), Discard("gone"), UnknownJobError("?")])
def test_a_dead_letter_begins_at_attempt_one_though_more_attempts_are_granted_now(error: Exception) -> None:
    """Redeployed with more attempts, a job type gives those it buried before all of them, not the difference."""
    job = make_job(attempts=1)
    settle_failure(job, begin_attempt(job, 1), error)

    attempt = begin_attempt(fetch(job.connection, job.id), 8)

    assert attempt == 1


def test_a_record_that_cannot_be_read_is_replaced() -> None:
    """RQ keeps unreadable `meta` as bytes, which JSON cannot write: saving the job would fail each time."""
    job = make_job(attempts=3)
    job.connection.hset(job.key, "meta", b"\x80\x04}")

    attempt = begin_attempt(fetch(job.connection, job.id), 3)

    assert attempt == 1
    assert fetch(job.connection, job.id).meta == {"attempt": 1}
