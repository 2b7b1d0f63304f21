"""The values of a job type's options: backoff, limits, breaker."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskbell import Backoff, Breaker, Concurrency
from shared.declarations.policies import Rate, parse_limit
from shared.errors import DeclarationError


def test_each_wait_is_the_factor_times_the_one_before_up_to_the_cap() -> None:
    """Without jitter there is no chance in it; fractions are rounded up."""
    backoff = Backoff(base=1.5, factor=3, cap=20, jitter=0)

    assert [backoff.seconds(attempt) for attempt in (1, 2, 3, 4, 1000)] == [2, 5, 14, 20, 20]


def test_the_default_doubles_from_two_seconds_to_ten_minutes() -> None:
    """The upper half of each wait is left to chance."""
    waits = {attempt: {Backoff().seconds(attempt) for _ in range(300)} for attempt in (1, 3, 9, 50)}

    assert waits[1] == {2}
    assert waits[3] == {5, 6, 7, 8}
    assert all(256 <= wait <= 512 for wait in waits[9])
    assert all(300 < wait <= 600 for wait in waits[50])


@pytest.mark.parametrize(("jitter", "least"), [(1, 0), (0.25, 450), (0, 600)])
def test_jitter_is_the_part_of_a_wait_that_chance_decides(jitter: float, least: int) -> None:
    """Full jitter spreads it from nothing to the whole."""
    waits = [Backoff(base=600, jitter=jitter).seconds(1) for _ in range(1000)]

    tenth = (600 - least) / 10
    assert least <= min(waits) <= least + tenth
    assert 600 - tenth <= max(waits) <= 600


@given(base=st.floats(0.001, 1000), factor=st.floats(1, 1e300), more=st.floats(0, 1000), attempt=st.integers(1, 10**9))
def test_no_attempt_waits_longer_than_the_cap(base: float, factor: float, more: float, attempt: int) -> None:
    """However many attempts there were, and however steep the factor."""
    wait = Backoff(base=base, factor=factor, cap=base + more).seconds(attempt)

    assert 0 <= wait <= math.ceil(base + more)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"base": 0}, "base= must be more than 0 and at most cap, got 0"),
        ({"base": 601}, "base= must be more than 0 and at most cap, got 601"),
        ({"base": "2"}, "base= must be a number from 0 to 31536000, got '2'"),
        ({"base": True}, "base= must be a number from 0 to 31536000, got True"),
        ({"base": math.nan}, "base= must be a number from 0 to 31536000, got nan"),
        ({"factor": 0.5}, "factor= must be a number from 1 to inf, got 0.5"),
        ({"cap": math.inf}, "cap= must be a number from 0 to 31536000, got inf"),
        ({"jitter": 1.1}, "jitter= must be a number from 0 to 1, got 1.1"),
        ({"jitter": -0.1}, "jitter= must be a number from 0 to 1, got -0.1"),
    ],
)
def test_a_backoff_that_cannot_be_waited_is_refused(options: dict[str, Any], sentence: str) -> None:
    """Where it is written, with an example."""
    with pytest.raises(DeclarationError) as caught:
        Backoff(**options)

    assert str(caught.value).startswith(f"Backoff: {sentence}; write Backoff(base=2, ")


@pytest.mark.parametrize("jobs", [0, -1, 1.5, "4", None, True])
def test_a_concurrency_that_runs_nothing_is_refused(jobs: Any) -> None:
    """Its jobs would wait for ever."""
    with pytest.raises(DeclarationError) as caught:
        Concurrency(jobs)

    assert str(caught.value) == (
        f"Concurrency: jobs= must be a whole number of 1 or more, got {jobs!r}; write limit=Concurrency(4)"
    )


@pytest.mark.parametrize("option", ["failures", "pause"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "4", None, True])
def test_a_breaker_that_never_or_always_pauses_is_refused(option: str, value: Any) -> None:
    """Both are whole numbers of 1 or more."""
    options: dict[str, Any] = {option: value}

    with pytest.raises(DeclarationError) as caught:
        Breaker(**options)

    assert str(caught.value) == (
        f"Breaker: {option}= must be a whole number of 1 or more, got {value!r}; "
        "write breaker=Breaker(failures=10, pause=60)"
    )


@pytest.mark.parametrize(
    ("option", "limit"),
    [
        ("10/s", Rate(10, 1000)),
        ("600/min", Rate(600, 60_000)),
        ("1/h", Rate(1, 3_600_000)),
        ("10000/s", Rate(10_000, 1000)),
        (Concurrency(4), Concurrency(4)),
        (None, None),
    ],
)
def test_a_rate_is_written_as_starts_in_a_period(option: Any, limit: Rate | Concurrency | None) -> None:
    """As a quota is stated; a concurrency and no limit are left as they are."""
    assert parse_limit("here", option) == limit


@pytest.mark.parametrize(
    "limit", ["", "10", "10/d", "0/s", "-1/s", "1.5/s", "10001/s", "10/s ", "10/S", "\uff11/s", 10, 4.0, True]
)
def test_a_limit_that_is_none_is_refused(limit: Any) -> None:
    """With both ways to write one."""
    with pytest.raises(DeclarationError) as caught:
        parse_limit("here", limit)

    assert str(caught.value) == (
        "here: limit= must be a number of starts, 1 to 10000, in a s, min or h, or a Concurrency, "
        f'got {limit!r}; write limit="10/s" or limit=Concurrency(4)'
    )
