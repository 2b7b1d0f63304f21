"""What the decorators check, where callbacks and jobs have it in common."""

from typing import Any

import pytest

from shared.declarations import check_name, conditions, refuse_unknown
from shared.errors import DeclarationError


@pytest.mark.parametrize(
    ("option", "advice"),
    [
        ("fallbak", "did you mean fallback?"),
        ("nodes", "did you mean node?"),
        ("zzz", "the options are fallback, node, when"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest(option: str, advice: str) -> None:
    """Or with all of them, sorted, when none is near."""
    with pytest.raises(DeclarationError) as caught:
        refuse_unknown("api_call", [option], ["when", "node", "fallback"])

    assert str(caught.value) == f"api_call: unknown option {option}; {advice}"


def test_a_name_of_the_right_form_passes() -> None:
    """The whole name counts."""
    check_name("acme.handler", "order", r"[a-z]+", "the node", "x")

    with pytest.raises(DeclarationError):
        check_name("acme.handler", "order\n", r"[a-z]+", "the node", "x")


@pytest.mark.parametrize("name", ["Order", "", 5, None, b"order"])
def test_a_name_of_another_form_is_refused(name: Any) -> None:
    """Expected, got, and what to write."""
    with pytest.raises(DeclarationError) as caught:
        check_name("acme.handler", name, r"[a-z]+", "the node", 'api_call("order")')

    assert str(caught.value) == (
        f'acme.handler: the node must match [a-z]+, got {name!r}; write for example api_call("order")'
    )


def test_conditions_are_texts() -> None:
    """Numbers are written as Desk writes them, since that is what they are compared with."""
    assert conditions("acme.handler", {"type": 1, "paid": True, "shop": "tea"}) == {
        "type": "1",
        "paid": "true",
        "shop": "tea",
    }


@pytest.mark.parametrize("when", ["type", ["type"], {1: "1"}, {"type": ["1"]}, {"type": None}, {"type": {"a": 1}}])
def test_conditions_that_compare_no_texts_are_refused(when: Any) -> None:
    """No variable would ever fit them."""
    with pytest.raises(DeclarationError) as caught:
        conditions("acme.handler", when)

    assert str(caught.value) == 'acme.handler: when= must map names to texts; write when={"type": "1"}'
