from typing import Any
from unittest.mock import Mock

import pytest
from fakeredis import FakeRedis
from redis.exceptions import ConnectionError as RedisConnectionError
from rq.job import Job

from deskbell import ApiCall, Backoff, Discard, Jobs, Retry, Unavailable
from shared.errors import ConfigError, DamagedJobError, OutOfTurnError
from shared.jobs.job_type import JobType
from shared.redis.queues import PERFORM, queue
from tests.workers.running import fetch
from workers.retries import begin_attempt, decide_retry, rq_retry

BACKOFF = Backoff()
DAY = 24 * 3600


def decide(
    job: Job, attempt: int, error: BaseException, *, counts: bool = True, backoff: Backoff = BACKOFF
) -> tuple[str, dict[str, Any]]:
    """Decide about a job, and write its `meta`."""
    decision = decide_retry(job, backoff, attempt, error, counts=counts)
    job.save_meta()
    return decision


def make_type(attempts: int, backoff: Backoff = BACKOFF) -> JobType:
    """A job type that is run so often."""
    jobs = Jobs()

    @jobs.on(ApiCall, attempts=attempts, backoff=backoff)
    def job(event: ApiCall) -> None: ...

    return jobs.types[0]


def make_job(*, attempts: int) -> Job:
    """A job as fan-out makes it."""
    target = queue("crm", FakeRedis())
    return target.enqueue_job(target.create_job(PERFORM, description="a job", retry=rq_retry(make_type(attempts))))


def test_rq_is_given_a_retry_and_an_interval_for_each_attempt_after_the_first() -> None:
    """What RQ itself does when a worker dies: `attempts` runs in all, each wait longer than half of the one before."""
    retry = rq_retry(make_type(4))

    assert retry
    assert retry.max == 3
    assert len(retry.intervals) == 3
    assert all(2**n / 2 <= wait <= 2**n for n, wait in enumerate(retry.intervals, start=1))
    assert rq_retry(make_type(1)) is None


def test_attempts_are_counted_from_one_on_redis_before_they_are_made() -> None:
    """A worker that dies in an attempt has counted it, and RQ knows how many are left."""
    job = make_job(attempts=3)

    counted = [begin_attempt(job, 3), begin_attempt(fetch(job.connection, job.id), 3)]

    assert counted == [1, 2]
    assert fetch(job.connection, job.id).meta == {"attempt": 2}
    assert fetch(job.connection, job.id).retries_left == 1


def test_an_attempt_that_redis_does_not_count_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The function has not been called: the job is tried again with all the attempts it had."""
    job = make_job(attempts=3)
    before = begin_attempt(job, 3), job.retries_left
    with monkeypatch.context() as patch:
        patch.setattr(Job, "save", Mock(side_effect=RedisConnectionError))
        with pytest.raises(OutOfTurnError) as raised:
            begin_attempt(job, 3)
    outcome, _ = decide(job, 0, raised.value, counts=False)

    assert before == (1, 2)
    assert outcome == "out_of_turn"
    assert (job.meta["attempt"], job.retries_left) == (1, 3)  # RQ's own code takes one off for the retry


def test_after_the_last_attempt_the_count_begins_anew() -> None:
    """RQ made a dead letter of a job whose worker died in its last attempt; who replays it means all attempts."""
    job = make_job(attempts=2)

    counted = [begin_attempt(job, 2) for _ in range(5)]

    assert counted == [1, 2, 1, 2, 1]


def test_a_job_type_waits_as_it_has_chosen() -> None:
    """RQ's intervals, for a worker that dies, and the wait after a failure are of one policy."""
    backoff = Backoff(base=7, factor=3, cap=30, jitter=0)
    retry, job = rq_retry(make_type(4, backoff)), make_job(attempts=8)

    decide(job, 2, OSError(), backoff=backoff)

    assert retry
    assert retry.intervals == [7, 21, 30]
    assert job.retry_intervals == [21]


@pytest.mark.parametrize("attempts", [1, 3])
def test_an_attempt_that_is_given_back_is_made_again_under_its_number(attempts: int) -> None:
    """Also the last: it is tried again, and no dead letter."""
    job = make_job(attempts=attempts)
    for _ in range(attempts - 1):
        begin_attempt(job, attempts)
    last = begin_attempt(job, attempts)

    assert decide(job, last, OSError(), counts=False) == ("retry", {"counts": False})
    assert begin_attempt(fetch(job.connection, job.id), attempts) == last == attempts


@pytest.mark.parametrize(("after", "seconds"), [(0, 0), (1.2, 2), (90, 90), (1_731_488_371_784, 365 * 24 * 3600)])
def test_retry_says_when_in_seconds_rounded_up_and_within_a_year(after: float, seconds: int) -> None:
    """RQ takes whole seconds, and a date beyond the year 9999, such as from milliseconds, would end the worker."""
    job = make_job(attempts=8)

    outcome, _ = decide(job, begin_attempt(job, 8), Retry(after=after))

    assert outcome == "retry"
    assert job.retry_intervals == [seconds]


@pytest.mark.parametrize(
    ("error", "attempts", "outcome"),
    [
        (OSError(), 1, "dead"),
        (Retry(after=5), 1, "dead"),
        (Discard("gone"), 8, "discarded"),
        (DamagedJobError("?"), 8, "dead"),
    ],
)
def test_the_last_attempt_is_not_tried_again_nor_what_further_ones_cannot_help(
    error: Exception, attempts: int, outcome: str
) -> None:
    """Nor if it asks for it: the attempt counts."""
    job = make_job(attempts=attempts)

    assert decide(job, begin_attempt(job, attempts), error)[0] == outcome
    assert not job.should_retry


@pytest.mark.parametrize("error", [OSError(), Discard("gone"), ConfigError("?")])
def test_a_dead_letter_begins_at_attempt_one_though_more_attempts_are_granted_now(error: Exception) -> None:
    """Redeployed with more attempts, a job type gives its dead letters all of them, not the difference."""
    job = make_job(attempts=1)
    decide(job, begin_attempt(job, 1), error)

    attempt = begin_attempt(fetch(job.connection, job.id), 8)

    assert attempt == 1


def test_a_record_that_cannot_be_read_is_replaced() -> None:
    """RQ keeps unreadable `meta` as bytes, which JSON cannot write: saving the job would fail each time."""
    job = make_job(attempts=3)
    job.connection.hset(job.key, "meta", b"\x80\x04}")

    attempt = begin_attempt(fetch(job.connection, job.id), 3)

    assert attempt == 1
    assert fetch(job.connection, job.id).meta == {"attempt": 1}


WAITS = [(Retry(after=60, counts=False), DAY), (Unavailable("expired"), DAY)]


@pytest.mark.parametrize(("error", "longest"), WAITS)
def test_a_wait_that_does_not_count_is_bounded_from_its_first(error: Exception, longest: int) -> None:
    """Any number of waits, the attempt's number the same each time; after too long the job fails for good."""
    job = make_job(attempts=2)
    numbers = []
    for _ in range(20):
        numbers.append(begin_attempt(job, 2))
        assert decide(job, numbers[-1], error)[1]["counts"] is False
    count, since = job.meta["waits"]

    job.meta["waits"] = [count, since - longest - 1]
    outcome, _ = decide(job, begin_attempt(job, 2), error)

    assert numbers == [1] * 20
    assert (count, outcome) == (20, "dead")
    assert "waits" not in job.meta
    assert not job.should_retry


def test_a_failure_that_counts_ends_a_row_of_waits() -> None:
    """A day is for each row: what is called was there in between."""
    job = make_job(attempts=3)
    decide(job, begin_attempt(job, 3), Retry(after=60, counts=False))

    decide(job, begin_attempt(job, 3), OSError())

    assert "waits" not in job.meta


@pytest.mark.parametrize(("error", "most"), [(Unavailable("expired"), 600)])
def test_waits_without_a_time_of_their_own_are_longer_each_time(error: Exception, most: int) -> None:
    """Else thousands of jobs would ask every two seconds, for a day."""
    job = make_job(attempts=8)
    seconds = []
    for _ in range(15):
        decide(job, begin_attempt(job, 8), error)
        seconds += job.retry_intervals or []

    assert seconds[0] <= 2
    assert most / 2 <= seconds[-1] <= most


def test_a_wait_that_was_asked_for_is_as_long_as_it_says_and_a_day_at_most() -> None:
    """A `Retry-After` in milliseconds must not park a job for a year."""
    job = make_job(attempts=8)

    decide(job, begin_attempt(job, 8), Retry(after=1.2, counts=False))
    first = job.retry_intervals
    decide(job, begin_attempt(job, 8), Retry(after=10**9, counts=False))

    assert (first, job.retry_intervals) == ([2], [DAY])
