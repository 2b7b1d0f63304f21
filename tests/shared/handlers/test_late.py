"""What `late=` declares, and what it refuses."""

from typing import Any, TypedDict

import pytest

from deskbell import Callbacks, Late
from deskbell.testing import api_call
from shared.declarations.options import NODE_FORM
from shared.errors import DeclarationError


class Quote(TypedDict):
    Quote: str


def declared(**options: Any) -> Callbacks:
    """One handler with these options."""
    callbacks = Callbacks()

    @callbacks.api_call("quote", **options)
    async def quote(Weight: int) -> Quote:
        return {"Quote": str(Weight)}

    return callbacks


def test_a_second_node_is_declared_with_the_first() -> None:
    """Its outputs are the handler's, and it is reached by its own name alone."""
    callbacks = declared(fallback={"Quote": ""}, late=True)

    first, second = callbacks.handlers
    assert (first.name, second.name) == ("quote", "quote.late")
    assert [shape.names for shape in first.outputs.shapes] == [{"Quote", "LateTicket", "LateState"}]
    assert [shape.names for shape in second.outputs.shapes] == [{"Quote", "LateState"}]
    assert second.inputs.names == {"LateTicket"}
    assert callbacks.find(api_call("quote.late")) is second
    assert callbacks.find(api_call()) is first


def test_including_takes_both_nodes_once() -> None:
    """As with every handler."""
    callbacks, other = Callbacks(), declared(fallback={"Quote": ""}, late=Late(keep=60))
    callbacks.include(other)
    callbacks.include(other)

    assert [handler.name for handler in callbacks.handlers] == ["quote", "quote.late"]
    assert len(callbacks.lifespans.declared) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"late": True}, "late= needs what goes out first; write fallback="),
        ({"late": 5, "fallback": {"Quote": ""}}, "late= must be True or a Late, got 5; write late=Late"),
        ({"name": "n" * 60, "late": True, "fallback": {"Quote": ""}}, f"must match {NODE_FORM}"),
    ],
)
def test_what_cannot_be_late_is_refused(options: dict[str, Any], sentence: str) -> None:
    """Where it is declared."""
    callbacks = Callbacks()
    with pytest.raises(DeclarationError) as refused:
        callbacks.api_call(options.pop("name", "quote"), **options)(lambda: None)

    assert sentence in str(refused.value)


def test_an_option_beyond_its_bound_is_refused_with_the_bound() -> None:
    """Such as a year in milliseconds."""
    with pytest.raises(
        DeclarationError, match=r"keep= must be a whole number from 1 to \d+, got 1000000000; write Late\("
    ):
        Late(keep=1_000_000_000)


def test_only_api_calls_are_late() -> None:
    """A flow asks again; nobody else does."""
    with pytest.raises(DeclarationError, match="late= is for API calls"):
        Callbacks().assign_agent(late=True)(lambda: None)


def test_a_handler_that_answers_the_variables_of_late_values_is_refused() -> None:
    """They would be overwritten."""

    class Own(TypedDict):
        LateState: str

    def own() -> Own:
        return {"LateState": ""}

    with pytest.raises(DeclarationError, match="late= answers LateState itself"):
        Callbacks().api_call(fallback={"LateState": ""}, late=True)(own)


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"attempts": 1.5}, {"keep": -1}, {"after_ms": True}])
def test_wrong_numbers_are_refused(wrong: dict[str, Any]) -> None:
    """With what to write."""
    (name,) = wrong
    with pytest.raises(DeclarationError, match=f"Late: {name}= must be a whole number"):
        Late(**wrong)


@pytest.mark.parametrize(
    ("node", "app", "job"),
    [
        ("quote", None, "late.quote"),
        ("Quote-2", None, "late.quote_2"),
        ("2nd", None, "late.n2nd"),
        ("a.b", "14", "late.a_b.app14"),
    ],
)
def test_a_job_type_has_a_name_of_its_own_form(node: str, app: str | None, job: str) -> None:
    """Nodes may have capitals, dots and dashes; two apps may have handlers for one node."""
    callbacks = Callbacks()
    callbacks.api_call(node, app=app, fallback={"A": ""}, late=True)(lambda: {"A": ""})

    late = callbacks.handlers[0].late
    assert late
    assert late.job == job
