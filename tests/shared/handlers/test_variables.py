"""Variables in and out."""

import enum
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    field_serializer,
)

from shared.errors import ResultError, VariableError
from shared.handlers.variables import Inputs, to_variables
from shared.wire.protocol import envelope


def inputs(function: Callable[..., Any]) -> Inputs:
    """The converter for a function's parameters."""
    return Inputs("acme.handler", list(inspect.signature(function).parameters.values()))


def bind(function: Callable[..., Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The function's arguments for variables."""
    return inputs(function).bind(variables)


# In: a call's values become arguments.


def test_a_parameter_takes_the_variable_of_its_name() -> None:
    """Case counts, and what no parameter asks for is ignored."""

    def handler(OrderID: str) -> None: ...

    assert bind(handler, {"OrderID": "1002", "orderid": "7", "SystemSessionID": "s1"}) == {"OrderID": "1002"}


@pytest.mark.parametrize("absent", [{}, {"OrderID": ""}, {"OrderID": None}])
def test_an_absent_variable_takes_the_default(absent: dict[str, Any]) -> None:
    """Desk sends `""` for what the user did not give (PROTOCOL §3.1)."""

    def handler(OrderID: int = 7) -> None: ...

    assert bind(handler, absent) == {"OrderID": 7}


@pytest.mark.parametrize("absent", [{}, {"OrderID": ""}, {"OrderID": None}, {"p0": "1002"}])
def test_an_absent_variable_without_a_default_is_missing(absent: dict[str, Any]) -> None:
    """Even where None would fit; nor can a sender reach a parameter by its position."""

    def handler(OrderID: str | None) -> None: ...

    with pytest.raises(VariableError, match=r"^OrderID is missing$"):
        bind(handler, absent)


def test_a_default_is_not_converted() -> None:
    """What the author wrote is what the author gets, as with any function."""
    nothing = object()

    def handler(OrderID: int = nothing) -> None: ...  # type: ignore[assignment]

    assert bind(handler, {}) == {"OrderID": nothing}


@pytest.mark.parametrize(
    ("annotation", "came"),
    [
        (int, "planted"),
        (int, "1.5"),
        (int, "9" * 5000),
        (int, float("inf")),
        (int, ["planted"]),
        (int, {"planted": 1}),
        (str, ["planted"]),
        (str, {"planted": "planted"}),
        (bool, "planted"),
        (datetime, "planted"),
        (Literal["web", "app"], "planted"),
        (Annotated[int, Field(ge=1, le=9)], "10"),
        (Annotated[str, Field(max_length=3)], "planted"),
        (Annotated[str, Field(pattern=r"^\d+$")], "planted"),
    ],
)
def test_a_value_that_does_not_fit_is_named_and_not_shown(annotation: Any, came: Any) -> None:
    """The text becomes `ErrorInfo`: it names the variable and the kind of misfit, never the value."""
    parameter = inspect.Parameter("Value", inspect.Parameter.KEYWORD_ONLY, annotation=annotation)

    with pytest.raises(VariableError) as caught:
        Inputs("acme.handler", [parameter]).bind({"Value": came})

    assert str(caught.value).startswith("Value does not fit (")
    assert "planted" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_validator_of_the_author_does_not_show_the_value() -> None:
    """Its message may quote the value, so it stays out."""

    def refuse(value: str) -> str:
        raise ValueError(f"{value} is not allowed")

    def handler(Value: Annotated[str, AfterValidator(refuse)]) -> None: ...

    with pytest.raises(VariableError, match=r"^Value does not fit \(value_error\)$"):
        bind(handler, {"Value": "planted"})


def test_every_variable_that_is_wrong_is_named_once() -> None:
    """The administrator can correct all of them at once; a list with two wrong items is one variable."""

    def handler(OrderID: int, Items: list[int], Name: str, Fine: int) -> None: ...

    with pytest.raises(VariableError) as caught:
        bind(handler, {"OrderID": "x", "Items": ["x", "y"], "Fine": "1"})

    assert str(caught.value) == "OrderID does not fit (int_parsing); Items does not fit (int_parsing); Name is missing"


def test_a_variable_may_have_any_name() -> None:
    """Also one that pydantic uses for itself, or our own fields' names."""

    def handler(
        json: str, _id: int, model_dump: str, model_config: str, p1: str, self: str, copy: str = "c"
    ) -> None: ...

    variables = {"json": "j", "_id": "1", "model_dump": "d", "model_config": "m", "p1": "p", "self": "s"}

    assert bind(handler, variables) == variables | {"_id": 1, "copy": "c"}


def test_ten_thousand_variables_bind_like_one() -> None:
    """What is not asked for costs nothing and changes nothing."""

    def handler(V1: int) -> None: ...

    assert bind(handler, {f"V{number}": str(number) for number in range(10_000)}) == {"V1": 1}


# Out: a result becomes strings.


class Colour(enum.StrEnum):
    RED = "red"


class OldColour(str, enum.Enum):  # noqa: UP042 - integrators have such ones, and their str() is "OldColour.RED"
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


class OldSize(int, enum.Enum):
    SMALL = 1


class Grade(enum.Enum):
    BEST = "A"


class Price(BaseModel):
    amount: Decimal
    currency: str = "EUR"


@dataclass
class Point:
    x: int
    y: int


class Text(str):
    """A text of a library's own kind."""

    __slots__ = ()

    def __str__(self) -> str:
        return "not this"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", ""),
        ("已发货 🎉", "已发货 🎉"),
        (Text("sent"), "sent"),
        (False, "false"),
        (0, "0"),
        (-7, "-7"),
        (10**30, "1" + "0" * 30),
        (1.5, "1.5"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-9"), "0.000000001"),
        (Colour.RED, "red"),
        (OldColour.RED, "red"),
        (Size.SMALL, "1"),
        (OldSize.SMALL, "1"),
        (Grade.BEST, "A"),
        (datetime(2022, 12, 1, 12, tzinfo=UTC), "2022-12-01T12:00:00Z"),
        ([1, "退费", None, True, 1.5], '[1,"退费",null,true,1.5]'),
        ((1, 2), "[1,2]"),
        ({}, "{}"),
        ({"城市": "上海", "n": [1]}, '{"城市":"上海","n":[1]}'),
        ([{"when": date(2022, 12, 1), "colour": OldColour.RED}], '[{"when":"2022-12-01","colour":"red"}]'),
        ([Decimal("1.50")], '["1.50"]'),
        (Price(amount=Decimal("1.50")), '{"amount":"1.50","currency":"EUR"}'),
        (Point(1, 2), '{"x":1,"y":2}'),
    ],
)
def test_a_value_becomes_text(value: Any, text: str) -> None:
    """Desk takes strings only (PROTOCOL §3.1): decimals without exponent, `true`, `""`, JSON."""
    variables = to_variables({"Value": value})

    assert variables == {"Value": text}
    assert type(variables["Value"]) is str


class ReplyModel(BaseModel):
    status: OldColour = Field(serialization_alias="OrderStatus")
    parcels: int = 2
    paid: bool = False
    note: str | None = None
    price: Price = Price(amount=Decimal(3))

    @field_serializer("parcels")
    def _in_words(self, parcels: int) -> str:
        return f"{parcels} parcels"


def test_a_pydantic_model_becomes_variables() -> None:
    """Its fields under their aliases, its serializers applied, an inner model as JSON."""
    assert to_variables(ReplyModel(status=OldColour.RED)) == {
        "OrderStatus": "red",
        "parcels": "2 parcels",
        "paid": "false",
        "note": "",
        "price": '{"amount":"3","currency":"EUR"}',
    }


def test_none_is_no_variables_and_an_empty_dict_is_an_empty_body() -> None:
    """The two answers differ on the wire."""
    assert to_variables(None) is None
    assert to_variables({}) == {}


@pytest.mark.parametrize("result", ["sent", 1, True, ["sent"], {"sent"}, Point(1, 2), Price])
def test_a_result_of_another_kind_is_refused(result: Any) -> None:
    """The sentence says what was expected and what came, by type."""
    with pytest.raises(ResultError) as caught:
        to_variables(result)

    assert str(caught.value) == (f"expected a dict, a TypedDict, a pydantic model or None, got {type(result).__name__}")


NO_NAMES: list[Any] = [1, None, True, b"OrderStatus", ("a", "b")]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        *((name, r"^expected names of variables as str, got ") for name in NO_NAMES),
        ("a\ud800", r"^variable 'a\\ud800': this str has no text$"),
    ],
)
def test_a_name_that_is_no_text_is_refused(name: Any, sentence: str) -> None:
    """Variables go by name; the message that names one can be written to a log."""
    with pytest.raises(ResultError, match=sentence):
        to_variables({name: "1"})


def circle() -> list[Any]:
    """A list that holds itself."""
    inner: list[Any] = []
    inner.append(inner)
    return inner


def nested(depth: int) -> list[Any]:
    """Lists in lists."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


class NoNumber(Decimal, enum.Enum):
    NAN = Decimal("NaN")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(float("nan"), id="NaN"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param(Decimal("NaN"), id="Decimal NaN"),
        pytest.param(Decimal("-Infinity"), id="Decimal infinity"),
        pytest.param(NoNumber.NAN, id="NaN of an Enum"),
        pytest.param([float("nan")], id="NaN in a list"),
        pytest.param({"planted": {"planted": float("inf")}}, id="infinity in a dict"),
        pytest.param(Price(amount=Decimal(1), currency="\ud800"), id="half a surrogate pair in a model"),
        pytest.param("planted\ud800", id="half a surrogate pair"),
        pytest.param(Text("planted\udfff"), id="half a surrogate pair of another kind of str"),
        pytest.param(["\ud800"], id="half a surrogate pair in a list"),
        pytest.param({"\ud800": 1}, id="half a surrogate pair as a name in a dict"),
        pytest.param(10**5000, id="an integer Python does not write"),
        pytest.param([10**5000], id="an integer Python does not write, in a list"),
        pytest.param(b"\xff", id="bytes that are no text"),
        pytest.param(object(), id="an object"),
        pytest.param([object()], id="an object in a list"),
        pytest.param(date, id="a class"),
        pytest.param(to_variables, id="a function"),
        pytest.param(circle(), id="a circle"),
        pytest.param(nested(2000), id="too deep"),
        # A customer who types one where a Decimal is due must not fill the memory.
        *(Decimal(number) for number in ("1e401", "1e-401", "1e99999999", "-1e99999999")),
    ],
)
def test_a_value_without_a_text_is_refused(value: Any) -> None:
    """One error that names the variable and the type, whatever is wrong, and does not show the value."""
    with pytest.raises(ResultError) as caught:
        to_variables({"OrderStatus": "sent", "Value": value})

    assert str(caught.value) == f"variable 'Value': this {type(value).__name__} has no text"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text() | st.dates() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(st.characters()), VALUES))
def test_whatever_becomes_variables_can_be_answered(result: dict[str, Any]) -> None:
    """A result is either refused, or an envelope that reads back as it was written."""
    try:
        variables = to_variables(result)
    except ResultError:
        return

    assert json.loads(envelope(body=variables))["Body"] == variables
