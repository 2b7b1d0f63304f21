"""Which types of parameters can be read from text."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    FilePath,
    HttpUrl,
    InstanceOf,
    Json,
    RootModel,
    SecretStr,
    Strict,
    StrictBool,
    StrictInt,
    StrictStr,
)

from shared.errors import DeclarationError
from shared.handlers.variables import Inputs


class Unconvertible:
    pass


@pytest.mark.parametrize(
    "annotation",
    [
        pytest.param(Unconvertible, id="a class pydantic does not know"),
        pytest.param(5, id="a value"),
        pytest.param(list["Nowhere"], id="a name that is not defined"),  # type: ignore[name-defined]  # noqa: F821
        pytest.param(Annotated[str, Field(pattern="(")], id="a pattern that is none"),
        pytest.param(Callable[[], int], id="a function"),
        pytest.param(type[int], id="a class of classes"),
        pytest.param(type, id="any class"),
        pytest.param(None, id="None, which is absent"),
        pytest.param(InstanceOf[Unconvertible], id="an instance"),
        pytest.param(StrictInt, id="a strict int"),
        pytest.param(StrictBool | None, id="a strict bool"),
        pytest.param(RootModel[StrictInt], id="a model of a strict int"),
    ],
)
def test_an_annotation_that_nothing_converts_to_is_refused_at_once(annotation: Any) -> None:
    """At the declaration, not with the first call, in a sentence that says what to write."""
    parameter = inspect.Parameter("Value", inspect.Parameter.KEYWORD_ONLY, annotation=annotation)

    with pytest.raises(DeclarationError) as caught:
        Inputs("acme.handler", [parameter])

    assert str(caught.value).startswith("acme.handler: parameter Value is annotated ")
    assert ", which no text can be converted to; write str, int, float, bool, datetime, " in str(caught.value)
    assert "\n" not in str(caught.value)


class Node(BaseModel):
    children: list["Node"] = []


@pytest.mark.parametrize(
    "annotation",
    [
        *(str, int, object, Any, str | None, int | Callable[[], int], list[StrictInt], list[None]),
        *(UUID, SecretStr, HttpUrl, FilePath, Json[int], RootModel[int], Node, Iterable[int], Sequence[str], StrictStr),
        Annotated[int, BeforeValidator(int), Strict()],
    ],
)
def test_an_annotation_that_some_text_converts_to_is_taken(annotation: Any) -> None:
    """Also where only the author's own validator can tell."""
    parameter = inspect.Parameter("Value", inspect.Parameter.KEYWORD_ONLY, annotation=annotation)

    assert Inputs("acme.handler", [parameter]).names == {"Value"}
