"""What of names from outside may be logged."""

import pytest

from shared.declarations.options import LONGEST_JOB_NAME
from shared.redaction import UNPRINTABLE, loggable_fields, loggable_job_name, loggable_names


@pytest.mark.parametrize("length", [1, 64, 65, 128])
def test_a_command_that_is_taken_is_printed(length: int) -> None:
    """One form for both: one that was taken and never logged could not be found."""
    assert loggable_fields(command="C" * length) == {"command": "C" * length}


@pytest.mark.parametrize("command", ["C" * 129, "", "a b", "\n", {"a": 1}])
def test_what_is_no_command_is_not_printed(command: object) -> None:
    """It may be anybody's."""
    assert loggable_fields(command=command) == {}


def test_a_name_that_may_be_declared_is_printed() -> None:
    """Any other may be a customer's."""
    longest = "x" * LONGEST_JOB_NAME

    assert [loggable_job_name(longest), loggable_job_name(f"{longest}x"), loggable_job_name("Li Wei")] == [
        longest,
        UNPRINTABLE,
        UNPRINTABLE,
    ]


def test_names_from_outside_are_bounded_where_they_are_told() -> None:
    """A handler that returns what it was sent must not fill the log."""
    shown = loggable_names([f"{number}\n" + "x" * 100 for number in range(8000)])

    assert len(shown) == 11
    assert all(len(name) <= 64 and "\n" not in name for name in shown)
    assert shown[-1] == "7990 more"
