"""A node's variables in words."""

from collections.abc import Awaitable, Coroutine
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, NewType, NoReturn, NotRequired, TypedDict, TypeVar

import pytest
import typing_extensions as te
from pydantic import BaseModel, Field, InstanceOf, RootModel

from deskbell import Kind
from deskbell.describe.variables import Variable, input_variables, output_variables
from tests.shared.declared import Status, Summary, handler_of


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


@pytest.mark.parametrize("optional", [False, True])
def test_outputs_are_the_fields_of_a_typed_dict(optional: bool) -> None:
    """Also where None may be returned."""

    def always() -> Status: ...  # type: ignore[empty-body]  # never called

    def sometimes() -> Status | None: ...

    outputs = handler_of(sometimes if optional else always).outputs

    assert output_variables(outputs) == [
        Variable("OrderStatus", "", required=True, type="one of paid, shipped", description="Where the order is."),
        Variable("Parcels", "", required=False, type="integer, at least 0", description=""),
    ]


class ExtendedStatus(te.TypedDict):
    OrderStatus: te.ReadOnly[str]
    Parcels: te.NotRequired[int]


Item = TypeVar("Item")


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
        (ModelPage[int], PAGE),
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

    described = [f"{each.name} {each.type} {'yes' if each.required else 'no'}" for each in output_variables(outputs)]
    assert sorted(described) == expected


def test_outputs_are_the_fields_of_a_model_by_alias() -> None:
    """The alias is what is answered."""

    def function() -> Summary: ...  # type: ignore[empty-body]  # never called

    assert output_variables(handler_of(function).outputs) == [
        Variable("Count", "", required=True, type="integer", description="Orders so far.")
    ]


def test_an_output_that_json_schema_has_no_words_for_is_of_any_type() -> None:
    """One of them must not keep the others from being described."""

    class Odd(TypedDict):
        Thing: InstanceOf[Exception]

    def function() -> Odd: ...  # type: ignore[empty-body]  # never called

    assert [each.type for each in output_variables(handler_of(function).outputs)] == ["any"]
