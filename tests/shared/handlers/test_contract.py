"""The contract of a node: what is declared, and what departs from it."""

from typing import Annotated, Any, TypedDict

import pytest
from pydantic import AfterValidator, BaseModel, Field, computed_field

from deskbell import Callbacks
from deskbell.testing import api_call, reply
from shared.errors import DeclarationError, ResultError
from tests.shared.declared import Status, Summary, handler_of


class Loose(TypedDict):
    OrderStatus: str


def test_of_several_forms_of_a_result_the_nearest_counts() -> None:
    """What is missing from one is not missing from the other."""

    def function() -> Status | Loose: ...  # type: ignore[empty-body]  # never called

    def either() -> Summary | Status: ...  # type: ignore[empty-body]  # never called

    assert handler_of(function).outputs.problems({"OrderStatus": "lost"}, {"OrderStatus": "lost"}) == []
    outputs = handler_of(either).outputs
    assert outputs.problems(Summary.model_validate({"Count": 1}), {"Count": "1"}) == []
    assert outputs.problems({"OrderStatus": "lost"}, {"OrderStatus": "lost"}) == [
        "OrderStatus does not fit (literal_error)"
    ]


def test_a_plain_dict_declares_nothing() -> None:
    """And anything may be answered."""

    def function() -> dict[str, str]:
        return {"Any": "thing"}

    callbacks = Callbacks()
    callbacks.api_call("node")(function)

    assert not callbacks.handlers[0].outputs.shapes
    assert reply(callbacks, api_call("node")).variables == {"Any": "thing"}


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        ({"OrderStatus": "paid", "Carrier": "SF"}, "Carrier is not declared"),
        ({"Parcels": 1}, "OrderStatus is declared and missing"),
        ({"OrderStatus": "lost"}, r"OrderStatus does not fit \(literal_error\)"),
        ({"OrderStatus": "paid", "Parcels": -1}, r"Parcels does not fit \(greater_than_equal\)"),
    ],
)
def test_a_departure_from_the_outputs_is_refused_in_tests(result: Any, problem: str) -> None:
    """`deskbell.testing.reply` raises; the api answers and logs."""
    callbacks = Callbacks()

    @callbacks.api_call("node")
    def function() -> Status:
        return result  # type: ignore[no-any-return]  # the slip under test

    with pytest.raises(ResultError, match=f"^node: {problem}$"):
        reply(callbacks, api_call("node"))


def test_an_output_that_pydantic_does_not_know_is_refused_at_import() -> None:
    """With the class that holds it."""

    class Strange(TypedDict):
        Thing: "Nowhere"  # type: ignore[name-defined]  # noqa: F821 - under test

    def function() -> Strange: ...  # type: ignore[empty-body]  # never called

    with pytest.raises(DeclarationError, match="the fields of Strange cannot be read"):
        handler_of(function)


def test_a_models_computed_fields_are_outputs() -> None:
    """And what a model keeps to itself is none."""

    class Computed(BaseModel):
        count: int
        secret: int = Field(default=1, exclude=True)

        @computed_field
        def double(self) -> int:
            return self.count * 2

    callbacks = Callbacks()

    @callbacks.api_call("node")
    def function() -> Computed:
        return Computed(count=2)

    assert [sorted(shape.names) for shape in callbacks.handlers[0].outputs.shapes] == [["count", "double"]]
    assert reply(callbacks, api_call("node")).variables == {"count": "2", "double": "4"}


def test_a_validator_that_fails_itself_is_a_problem_not_a_failure() -> None:
    """The answer is not the worse for it."""

    def fail(_: str) -> str:
        raise RuntimeError("planted")

    class Odd(TypedDict):
        Thing: Annotated[str, AfterValidator(fail)]

    def function() -> Odd: ...  # type: ignore[empty-body]  # never called

    outputs = handler_of(function).outputs
    assert outputs.problems({"Thing": "x"}, {"Thing": "x"}) == ["it cannot be checked (RuntimeError)"]
