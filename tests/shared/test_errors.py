"""The errors, and the four exceptions that steer."""

import inspect
import re
from typing import Any

import pytest

from deskbell import Discard, Refuse, Retry, Unavailable
from shared import errors
from shared.errors import DeskbellError


def test_the_drawn_tree_is_the_tree() -> None:
    """Who reads the drawing has read the classes: each one is in it, under its root."""
    drawn = re.findall(r"[├└]── (\w+)", inspect.getdoc(errors) or "")
    ours = [error for error in DeskbellError.__subclasses__() if error.__module__ == errors.__name__]

    assert drawn == [each.__name__ for error in ours for each in (error, *error.__subclasses__())]
    assert "\n    Refuse, Retry, Unavailable, Discard   raised by" in f"{errors.__doc__}"


@pytest.mark.parametrize("decision", [Refuse, Retry, Unavailable, Discard])
def test_a_decision_is_not_an_error_of_deskbell(decision: type[Exception]) -> None:
    """`except DeskbellError` must not swallow what an integrator's function decided."""
    assert not issubclass(decision, DeskbellError)


def test_a_refusal_carries_the_answer() -> None:
    """`ErrorInfo` and `ErrorCode`, 1 unless chosen."""
    assert (Refuse("no such order").message, Refuse("no such order").code) == ("no such order", 1)
    assert Refuse("closed", code=4711).code == 4711


def test_a_refusal_cannot_be_a_success() -> None:
    """ErrorCode 0 is success (PROTOCOL §3.1)."""
    with pytest.raises(ValueError, match="expected an integer of 32 bits other than 0, which means success"):
        Refuse("no", code=0)


@pytest.mark.parametrize("seconds", [0, 0.5, 60])
def test_a_retry_waits_for_seconds_of_0_or_more(seconds: float) -> None:
    """Whole or not."""
    assert Retry(after=seconds).after == seconds


@pytest.mark.parametrize("seconds", [-1, -0.001, float("inf"), float("nan")])
def test_a_retry_refuses_a_wait_that_is_none(seconds: float) -> None:
    """A job that waits forever, or until yesterday, would be lost."""
    with pytest.raises(ValueError, match=r"^Retry\(after=\.\.\.\): expected seconds of 0 or more, got "):
        Retry(after=seconds)


def test_a_discard_keeps_its_reason() -> None:
    """It is read beside the dead letter."""
    discard: Any = Discard("the CRM answered 400")

    assert discard.reason == str(discard) == "the CRM answered 400"


@pytest.mark.parametrize("code", [422, "contact_refused", "a.b-c"])
def test_a_decision_of_a_job_may_show_a_code(code: int | str) -> None:
    """An HTTP status, or a word of the integrator's own: it is shown where the reason is not."""
    decisions = [Discard("no", code=code), Retry(after=1, code=code), Unavailable("no", code=code)]

    assert [decision.code for decision in decisions] == [str(code)] * 3
    assert Discard("no").code is None


@pytest.mark.parametrize("code", ["", "Li Wei", "li@example.com", "x" * 65, "\n"])
def test_a_code_is_no_sentence(code: str) -> None:
    """It is logged as it stands: what a customer wrote seldom has its form."""
    with pytest.raises(ValueError, match=r"^Discard\(code=\.\.\.\): expected a status such as 422 or a word"):
        Discard("no", code=code)
