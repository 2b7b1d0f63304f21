"""What may be printed of a job."""

import pytest

from shared.jobs import LONGEST_NAME
from workers.printable import UNPRINTABLE, printable_fields, printable_name


@pytest.mark.parametrize("length", [1, 64, 65, 128])
def test_a_command_that_is_taken_is_printed(length: int) -> None:
    """One form for both: one that was taken and never logged could not be found."""
    assert printable_fields(command="C" * length) == {"command": "C" * length}


@pytest.mark.parametrize("command", ["C" * 129, "", "a b", "\n", {"a": 1}])
def test_what_is_no_command_is_not_printed(command: object) -> None:
    """It may be anybody's."""
    assert printable_fields(command=command) == {}


def test_a_name_that_may_be_declared_is_printed() -> None:
    """Any other may be a customer's."""
    longest = "x" * LONGEST_NAME

    assert [printable_name(longest), printable_name(f"{longest}x"), printable_name("Li Wei")] == [
        longest,
        UNPRINTABLE,
        UNPRINTABLE,
    ]
