"""Return annotations: a result that can never be answered is refused."""

import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import date
from typing import Annotated, Any, Literal, NewType, NoReturn, Protocol, TypeVar

import pytest
from pydantic import BaseModel, RootModel

from deskbell import (
    Assignment,
    Callbacks,
)
from shared.declarations.functions import describe
from shared.errors import DeclarationError


def nothing() -> None:
    """A handler that answers nothing."""


def refusal_of(decorator: str, function: Any, *names: Any, **options: Any) -> str:
    """How a declaration is refused."""
    with pytest.raises(DeclarationError) as refused:
        getattr(Callbacks(), decorator)(*names, **options)(function)
    return str(refused.value)


class Plain:
    """A class of an integrator's."""


class Speaks(Protocol):
    """A protocol that cannot be asked."""

    def speak(self) -> str: ...


def returning(annotation: Any) -> Any:
    """A function that says it returns something."""

    def function() -> None: ...

    function.__annotations__["return"] = annotation
    return function


@pytest.mark.parametrize(
    ("decorator", "annotation", "shown"),
    [
        ("api_call", list[str], "list[str]"),
        ("api_call", int, "int"),
        ("api_call", "str", "str"),
        ("api_call", Plain, "tests.shared.handlers.test_returns.Plain"),
        ("api_call", dict[str, str] | str, "str"),
        ("api_call", Annotated[int, "said"], "int"),
        ("api_call", Awaitable[int], "int"),
        ("api_call", Literal["unknown"], "str"),
        ("api_call", NewType("Name", str), "str"),
        ("api_call", RootModel[list[int]], "list[int]"),
        ("api_call", tuple[dict[str, str], int], "tuple[dict[str, str], int]"),
        ("api_call", Callable[[], int], "collections.abc.Callable[[], int]"),
        ("api_call", type[BaseModel], "type[pydantic.main.BaseModel]"),
        ("api_call", dict[int, str], "dict[int, str]"),
        ("api_call", dict[str, Plain], "dict[str, tests.shared.handlers.test_returns.Plain]"),
        (
            "api_call",
            Mapping[str, Callable[[], int]],
            "collections.abc.Mapping[str, collections.abc.Callable[[], int]]",
        ),
        ("api_call", Assignment, "Assignment"),
        ("assign_agent", int, "int"),
        ("assign_agent", dict[str, int], "dict[str, int]"),
        ("assign_agent", Assignment | str, "str"),
        ("before_contact_user", bool, "bool"),
        ("before_contact_user", dict[str, str], "dict[str, str]"),
        ("c2c_signal", Plain, "tests.shared.handlers.test_returns.Plain"),
        ("c2c_signal", Callable[[], int], "collections.abc.Callable[[], int]"),
    ],
)
def test_a_result_that_can_never_be_answered_is_refused(decorator: str, annotation: Any, shown: str) -> None:
    """At import: with a fallback, every call would seem to succeed."""
    function = returning(annotation)

    refused = refusal_of(decorator, function)

    assert refused.startswith(f"{describe(function)}: it may return {shown}, which cannot be answered; return ")


def test_a_fallback_whose_result_can_never_be_answered_is_refused() -> None:
    """It is asked when it is needed most."""

    def fallback(_: Any) -> int:
        return 1

    assert refusal_of("api_call", nothing, fallback=fallback).startswith(
        f"{describe(fallback)}: it may return int, which cannot be answered; return a dict"
    )


@pytest.mark.parametrize(
    ("decorator", "annotation"),
    [
        *(
            ("api_call", kind)
            for kind in (dict[str, str], Mapping[str, object], dict, OrderedDict[str, int], BaseModel)
        ),
        *(("api_call", kind) for kind in (None, Any, object, NoReturn, Collection[str], Speaks, dict[str, Speaks])),
        *(("api_call", kind) for kind in (Awaitable[dict[str, int]], RootModel[dict[str, int]], TypeVar("T"))),
        *(("api_call", kind) for kind in (dict[str, Any], dict[str, list[date] | None], inspect.Signature.empty)),
        *(("assign_agent", kind) for kind in (Assignment, Assignment | None, None, Any, object)),
        *(("before_contact_user", kind) for kind in (None, NoReturn, Any)),
        *(("c2c_signal", kind) for kind in (list[str], int | None, dict[str, Any], BaseModel, date, Assignment)),
    ],
)
def test_a_result_that_may_be_answered_is_taken(decorator: str, annotation: Any) -> None:
    """Also where nobody can tell."""
    callbacks = Callbacks()

    getattr(callbacks, decorator)(returning(annotation))

    assert len(callbacks.handlers) == 1
