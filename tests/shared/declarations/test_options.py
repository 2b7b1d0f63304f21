"""What the decorators check, where callbacks and jobs have it in common."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from deskbell import ApiCall, Callbacks, Jobs
from shared.declarations.options import conditions, refuse_unknown
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


@pytest.mark.parametrize("when", ["type", ["type"], {1: "1"}, {"type": ["1"]}, {"type": None}, {"type": {"a": 1}}])
def test_conditions_that_compare_no_texts_are_refused(when: Any) -> None:
    """No variable would ever fit them."""
    with pytest.raises(DeclarationError) as caught:
        conditions("acme.handler", when)

    assert str(caught.value) == 'acme.handler: when= must map names to texts; write when={"type": "1"}'


def plain(event: ApiCall) -> None:
    """A function for any decorator."""


def positional(event: ApiCall, /) -> None:
    """A function that cannot be given its event by name."""


def bare(event):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """A function that does not say what it takes."""


def nowhere(event: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
    """A function of a module that lacks an import."""


@pytest.mark.parametrize("decorator", [Callbacks().api_call, partial(Jobs().on, ApiCall)])
@pytest.mark.parametrize(
    ("function", "options", "reason"),
    [
        (plain, {"wen": {}}, "unknown option wen; did you mean when?"),
        (plain, {"app": "shop"}, "app= must match"),
        (plain, {"when": {1: "1"}}, "when= must map names to texts"),
        (positional, {}, "cannot be given by name"),
        (bare, {}, "parameter event has no annotation"),
        (nowhere, {}, "name 'Nowhere' is not defined"),
    ],
)
def test_every_decorator_checks_what_they_have_in_common(
    decorator: Callable[..., Any], function: Any, options: dict[str, Any], reason: str
) -> None:
    """Options and signatures, where they are declared."""
    with pytest.raises(DeclarationError, match=reason):
        decorator(**options)(function)
