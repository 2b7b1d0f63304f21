"""What a person types to find callbacks."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from deskbell.calls.filters import LONGEST, Filters, WrongFilterError
from deskbell.calls.moments import read_moment


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"node": "x" * 200_000}, f"node: expected {LONGEST} characters or less, got 200,000 characters"),
        ({"since": "9" * 400}, "since: expected a time such as 90s"),
        ({"until": "9999-12-31T23:59:59-14:00"}, "until: expected a time such as 90s"),
        ({"at": "14:02", "until": "1h"}, "at: expected a moment alone, or `since` and `until`, got '14:02'"),
        ({"outcome": "good"}, "outcome: expected answered, "),
    ],
)
def test_a_filter_that_means_nothing_is_a_sentence(given: dict[str, str], sentence: str) -> None:
    """A short one, whatever was typed."""
    with pytest.raises(WrongFilterError) as raised:
        Filters(**given).check()

    assert str(raised.value).startswith(sentence)
    assert len(str(raised.value)) < 200


def test_a_time_of_day_is_the_last_one_of_its_zone() -> None:
    """A page says UTC, a command means its machine's."""
    zone = timezone(timedelta(hours=8))
    now = datetime.now(UTC)

    for read, of in ((read_moment("14:02", UTC), UTC), (read_moment("14:02", zone), zone)):
        assert f"{read.astimezone(of):%H:%M}" == "14:02"
        assert timedelta(0) <= now - read <= timedelta(days=1, seconds=60)
    assert read_moment("2026-11-27T14:02", zone) == datetime(2026, 11, 27, 6, 2, tzinfo=UTC)
