"""The contract of a node: what is declared, and what departs from it."""

from collections.abc import Awaitable, Coroutine
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, NewType, NoReturn, NotRequired, TypedDict, TypeVar

import pytest
import typing_extensions as te
from pydantic import AfterValidator, BaseModel, Field, InstanceOf, RootModel, computed_field

from shared import ApiCall, Callbacks, Kind
from shared.contract import Variable, input_variables
from shared.errors import DeclarationError, ResultError, VariableError
from shared.handlers import Handler
from shared.testing import api_call, reply


class Status(TypedDict):
    OrderStatus: Annotated[Literal["paid", "shipped"], Field(description="Where the order is.")]
    Parcels: NotRequired[Annotated[int, Field(ge=0)]]


class Summary(BaseModel):
    count: Annotated[int, Field(alias="Count", description="Orders so far.")]


def handler_of(function: Any, **options: Any) -> Handler:
    """The handler that a function is declared as."""
    callbacks = Callbacks()
    callbacks.api_call("node", **options)(function)
    return callbacks.handlers[0]


def test_inputs_say_name_kind_need_type_and_description() -> None:
    """The fixed ones of `when` come first; System variables are known by name; others may say their kind."""

    def function(
        SystemClientUserID: str,
        OrderID: Annotated[int, Kind.COLLECTED, Field(ge=1, description="As printed on the receipt.")],
        Tier: Annotated[Literal["gold", "silver"], Kind.CUSTOM] = "silver",
        Since: datetime | None = None,
    ) -> None: ...

    handler = handler_of(function, when={"type": "1"})

    assert input_variables(handler.inputs, handler.when) == [
        Variable("type", "fixed", required=True, type='"1"', description=""),
        Variable("SystemClientUserID", "system", required=True, type="text", description=""),
        Variable(
            "OrderID", "collected", required=True, type="integer, at least 1", description="As printed on the receipt."
        ),
        Variable("Tier", "custom", required=False, type="one of gold, silver", description=""),
        Variable("Since", "custom or collected", required=False, type="date-time", description=""),
    ]


def test_a_constraint_on_an_input_is_kept() -> None:
    """What does not fit is named, with the kind of misfit and no value."""

    def function(OrderID: Annotated[int, Field(ge=1)]) -> None: ...

    with pytest.raises(VariableError, match=r"^OrderID does not fit \(greater_than_equal\)$"):
        handler_of(function).bind(api_call(OrderID="0"))


@pytest.mark.parametrize("optional", [False, True])
def test_outputs_are_the_fields_of_a_typed_dict(optional: bool) -> None:
    """Also where None may be returned."""

    def always() -> Status: ...  # type: ignore[empty-body]  # never called

    def sometimes() -> Status | None: ...

    outputs = handler_of(sometimes if optional else always).outputs

    assert outputs.variables() == [
        Variable("OrderStatus", "", required=True, type="one of paid, shipped", description="Where the order is."),
        Variable("Parcels", "", required=False, type="integer, at least 0", description=""),
    ]


class ExtendedStatus(te.TypedDict):
    OrderStatus: te.ReadOnly[str]
    Parcels: te.NotRequired[int]


Item = TypeVar("Item")


class Page(TypedDict, Generic[Item]):
    Items: list[Item]
    First: Item


class ExtendedPage(te.TypedDict, Generic[Item]):
    Items: list[Item]
    First: Item


class ModelPage(BaseModel, Generic[Item]):
    Items: list[Item]
    First: Item


class Quoted(TypedDict):
    OrderStatus: "str"
    Parcels: "NotRequired[int]"


Alias = te.TypeAliasType("Alias", Status)
New = NewType("New", Summary)
PAGE = ["First integer yes", "Items JSON array yes"]
STATUS = ["OrderStatus one of paid, shipped yes", "Parcels integer, at least 0 no"]


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (ExtendedStatus, ["OrderStatus text yes", "Parcels integer no"]),
        (Quoted, ["OrderStatus text yes", "Parcels integer no"]),
        (Annotated[Status, "said of it"], STATUS),
        (Annotated[Status | None, "said of it"], STATUS),
        (Alias | None, STATUS),
        (New, ["Count integer yes"]),
        (Awaitable[Status], STATUS),
        (Coroutine[Any, Any, Status], STATUS),
        (RootModel[Summary], ["Count integer yes"]),
        (Page[int], PAGE),
        (ExtendedPage[int], PAGE),
        (ModelPage[int], PAGE),
        (Page[int] | None, PAGE),
        (
            Status | Summary,
            ["Count integer no", "OrderStatus one of paid, shipped no", "Parcels integer, at least 0 no"],
        ),
        (
            Status | ExtendedStatus,
            ["OrderStatus one of paid, shipped or text yes", "Parcels integer, at least 0 or integer no"],
        ),
        (Status | dict[str, str], []),
        (Status | Any, []),
        (dict[str, str], []),
        (BaseModel, []),
        (None, []),
        (NoReturn, []),
    ],
    ids=str,
)
def test_outputs_are_declared_in_any_form(annotation: Any, expected: list[str]) -> None:
    """Whatever stands around a TypedDict or a model, and whichever library it is of; a plain dict declares none."""

    def function() -> None: ...

    function.__annotations__["return"] = annotation
    outputs = handler_of(function).outputs

    described = [f"{each.name} {each.type} {'yes' if each.required else 'no'}" for each in outputs.variables()]
    assert sorted(described) == expected
    assert outputs.declared == bool(expected)


def test_of_several_forms_of_a_result_the_nearest_counts() -> None:
    """What is missing from one is not missing from the other."""

    def function() -> Status | Quoted: ...  # type: ignore[empty-body]  # never called

    def either() -> Summary | Status: ...  # type: ignore[empty-body]  # never called

    assert handler_of(function).outputs.problems({"OrderStatus": "lost"}, {"OrderStatus": "lost"}) == []
    outputs = handler_of(either).outputs
    assert outputs.problems(Summary.model_validate({"Count": 1}), {"Count": "1"}) == []
    assert outputs.problems({"OrderStatus": "lost"}, {"OrderStatus": "lost"}) == [
        "OrderStatus does not fit (literal_error)"
    ]


def test_outputs_are_the_fields_of_a_model_by_alias() -> None:
    """The alias is what is answered."""

    def function() -> Summary: ...  # type: ignore[empty-body]  # never called

    assert handler_of(function).outputs.variables() == [
        Variable("Count", "", required=True, type="integer", description="Orders so far.")
    ]


def test_a_plain_dict_declares_nothing() -> None:
    """And anything may be answered."""

    def function() -> dict[str, str]:
        return {"Any": "thing"}

    callbacks = Callbacks()
    callbacks.api_call("node")(function)

    assert not callbacks.handlers[0].outputs.declared
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
    """`shared.testing.reply` raises; the api answers and logs."""
    callbacks = Callbacks()

    @callbacks.api_call("node")
    def function() -> Status:
        return result  # type: ignore[no-any-return]  # the slip under test

    with pytest.raises(ResultError, match=f"^node: {problem}$"):
        reply(callbacks, api_call("node"))


@pytest.mark.parametrize("result", [{"OrderStatus": "paid"}, {"OrderStatus": "shipped", "Parcels": 2}])
def test_what_is_declared_is_answered(result: Any) -> None:
    """An output that need not be there may be left out."""
    callbacks = Callbacks()

    @callbacks.api_call("node")
    async def function() -> Status:
        return result  # type: ignore[no-any-return]  # checked by what follows

    assert reply(callbacks, api_call("node")).variables == {name: str(value) for name, value in result.items()}


def test_an_output_that_pydantic_does_not_know_is_refused_at_import() -> None:
    """With the class that holds it."""

    class Strange(TypedDict):
        Thing: "Nowhere"  # type: ignore[name-defined]  # noqa: F821 - under test

    def function() -> Strange: ...  # type: ignore[empty-body]  # never called

    with pytest.raises(DeclarationError, match="the fields of Strange cannot be read"):
        handler_of(function)


@pytest.mark.parametrize(
    ("given", "missing", "undeclared"),
    [
        ({"OrderID": "1", "Tier": "", "type": "1"}, [], []),
        ({"OrderID": "1", "type": "1"}, [], []),
        ({"OrderID": "1", "Tier": "", "type": "1", "Extra": "1"}, [], ["Extra"]),
        ({"OrderID": "1", "Tier": "", "type": "1", "SystemSessionID": "s"}, [], []),
        ({}, ["OrderID", "type"], []),
    ],
)
def test_drift_is_what_a_call_lacks_and_what_nobody_declared(
    given: dict[str, str], missing: list[str], undeclared: list[str]
) -> None:
    """A variable without a value is no drift, nor an optional one left out; nor are fixed and system variables."""

    def function(OrderID: int, Tier: str = "") -> None: ...

    assert handler_of(function, when={"type": "1"}).drift(api_call(**given)) == (missing, undeclared)


def test_a_handler_that_takes_the_whole_call_declares_all_of_it() -> None:
    """It may read any variable."""

    def function(call: ApiCall) -> None: ...

    assert handler_of(function).drift(api_call(Any="thing")) == ([], [])


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

    assert [each.name for each in callbacks.handlers[0].outputs.variables()] == ["count", "double"]
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


def test_an_output_that_json_schema_has_no_words_for_is_of_any_type() -> None:
    """One of them must not keep the others from being described."""

    class Odd(TypedDict):
        Thing: InstanceOf[Exception]

    def function() -> Odd: ...  # type: ignore[empty-body]  # never called

    assert [each.type for each in handler_of(function).outputs.variables()] == ["any"]


def test_a_fixed_variable_that_is_missing_is_drift() -> None:
    """A call to the node's URL need not have it, but the administrator was told to enter it."""

    def function(OrderID: int) -> None: ...

    assert handler_of(function, when={"type": "1"}).drift(api_call(OrderID="1")) == (["type"], [])
