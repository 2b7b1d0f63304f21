"""Functions as integrators hand them in."""

import functools
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from deskbell import ApiCall, Callbacks, Jobs
from deskbell.testing import api_call, reply
from shared.declarations.functions import check_function, describe, is_async, name_of, parameters, returned
from shared.errors import DeclarationError
from tests.shared.declared import timed


class Client:
    """What a function may need besides variables."""


def order_status(client: Client, OrderID: str) -> dict[str, str]:
    """Answer with the client's kind."""
    return {"OrderStatus": f"{type(client).__name__} {OrderID}"}


async def later(OrderID: str) -> dict[str, str]:
    """Answer from the event loop."""
    return {"OrderStatus": OrderID}


class Orders:
    """Handlers that share something."""

    def __init__(self) -> None:
        self.shop = "tea"

    def status(self, OrderID: str) -> dict[str, str]:
        """Answer with the shop."""
        return {"OrderStatus": f"{self.shop} {OrderID}"}

    async def later(self, OrderID: str) -> dict[str, str]:
        """Answer with the shop, from the event loop."""
        return self.status(OrderID)

    @classmethod
    def of_class(cls, OrderID: str) -> dict[str, str]:
        """Answer with the class."""
        return {"OrderStatus": f"{cls.__name__} {OrderID}"}

    @staticmethod
    async def alone(OrderID: str) -> dict[str, str]:
        """Answer without the object."""
        return {"OrderStatus": OrderID}


class Call:
    """An object that can be called."""

    def __call__(self, OrderID: str) -> dict[str, str]:
        """Answer."""
        return {"OrderStatus": OrderID}


class AsyncCall:
    """An object that can be called and awaited."""

    async def __call__(self, OrderID: str) -> dict[str, str]:
        """Answer."""
        return {"OrderStatus": OrderID}


WORKING = [
    pytest.param(functools.partial(order_status, Client()), "Client 1", id="a partial, by position"),
    pytest.param(functools.partial(order_status, client=Client()), "Client 1", id="a partial, by name"),
    pytest.param(functools.partial(later), "1", id="a partial of an async def"),
    pytest.param(Orders().status, "tea 1", id="a method"),
    pytest.param(Orders().later, "tea 1", id="an async method"),
    pytest.param(Orders.of_class, "Orders 1", id="a classmethod of its class"),
    pytest.param(Orders.alone, "1", id="a static method"),
    pytest.param(vars(Orders)["alone"], "1", id="a static method where it is decorated"),
    pytest.param(Call(), "1", id="an object"),
    pytest.param(AsyncCall(), "1", id="an object whose call is async"),
    pytest.param(timed(later), "1", id="a wrapper around an async def"),
    pytest.param(functools.partial(timed(AsyncCall()), OrderID="2"), "2", id="a partial of a wrapper of an object"),
    pytest.param(functools.lru_cache(Call()), "1", id="a cache"),
]


@pytest.mark.parametrize(("function", "answer"), WORKING)
def test_whatever_can_be_called_can_be_a_handler(function: Any, answer: str) -> None:
    """What a partial has been given already is no variable."""
    callbacks = Callbacks()

    assert callbacks.api_call("node")(function) is function

    assert reply(callbacks, api_call("node", OrderID="1", client="sent")).variables == {"OrderStatus": answer}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (later, True),
        (functools.partial(later), True),
        (Orders().later, True),
        (Orders.alone, True),
        (vars(Orders)["alone"], True),
        (AsyncCall(), True),
        (functools.partial(AsyncCall(), OrderID="1"), True),
        (order_status, False),
        (Orders().status, False),
        (Call(), False),
        (timed(later), False),
    ],
)
def test_only_what_makes_a_coroutine_at_once_is_async(function: Any, expected: bool) -> None:
    """A wrapper may block before it comes to the `async def`: it belongs in a thread."""
    assert is_async(function) is expected


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (order_status, "order_status"),
        (functools.partial(order_status, Client()), "order_status"),
        (timed(later), "later"),
        (Orders().status, "status"),
        (vars(Orders)["alone"], "alone"),
        (Call(), "Call"),
    ],
)
def test_a_function_has_a_name(function: Any, name: str) -> None:
    """It is the node's, or the job's, unless another is chosen."""
    assert name_of(function) == name


@pytest.mark.parametrize(
    ("function", "plain"),
    [
        (functools.partial(order_status, Client()), order_status),
        (timed(timed(order_status)), order_status),
        (Orders().status, Orders.status),
        (Call(), Call.__call__),
        (functools.lru_cache(order_status), order_status),
    ],
)
def test_a_function_is_described_by_name_file_and_line(function: Any, plain: Any) -> None:
    """Those of the integrator's own code, whatever is around it."""
    line = plain.__code__.co_firstlineno
    assert describe(function) == f"{__name__}.{plain.__qualname__} (tests/shared/declarations/test_functions.py:{line})"


@pytest.mark.parametrize(("nothing", "shown"), [(5, "5"), (print, "builtins.print"), (None, "None")])
def test_what_has_no_code_is_described_all_the_same(nothing: Any, shown: str) -> None:
    """The sentence that refuses it must not fail itself."""
    assert describe(nothing) == shown


def generator(OrderID: str) -> Iterator[dict[str, str]]:
    """Yield the answer."""
    yield {"OrderStatus": OrderID}


async def async_generator(OrderID: str) -> AsyncIterator[dict[str, str]]:
    """Yield the answer."""
    yield {"OrderStatus": OrderID}


class GeneratorCall:
    """An object whose call is a generator function."""

    def __call__(self, OrderID: str) -> Iterator[str]:
        """Yield the answer."""
        yield OrderID


REFUSED = [
    pytest.param(generator, "it is a generator function", id="a generator"),
    pytest.param(async_generator, "it is a generator function", id="an async generator"),
    pytest.param(functools.partial(generator), "it is a generator function", id="a partial of a generator"),
    pytest.param(GeneratorCall(), "it is a generator function", id="an object that generates"),
    pytest.param(vars(Orders)["of_class"], "a classmethod has no class yet", id="a classmethod where it is decorated"),
    pytest.param(Orders.status, "it is a method, and nothing gives it its self", id="a method where it is decorated"),
    pytest.param(Client, "expected a function, got a class", id="a class"),
    pytest.param(type, "expected a function, got a class", id="a type"),
]


@pytest.mark.parametrize(("function", "reason"), REFUSED)
def test_what_could_never_run_is_refused_with_its_line(function: Any, reason: str) -> None:
    """As a handler and as a job, at import."""
    callbacks, jobs = Callbacks(), Jobs()

    for declare in (callbacks.api_call("node"), jobs.on(ApiCall, name="job")):
        with pytest.raises(DeclarationError, match=reason) as refused:
            declare(function)
        assert str(refused.value).startswith(f"{describe(function)}: ")
    assert (callbacks.handlers, jobs.types) == ([], [])


def test_a_fallback_that_generates_is_refused() -> None:
    """It would be found out when it is needed most."""

    def fallback(_: ApiCall) -> Iterator[None]:
        yield

    with pytest.raises(DeclarationError, match="generator function"):
        Callbacks().api_call("node", fallback=fallback)(later)


def test_a_wrapper_that_uses_up_a_generator_is_none() -> None:
    """What counts is the code that a call runs first."""

    @functools.wraps(generator)
    def first(*args: Any, **kwargs: Any) -> dict[str, str]:
        return next(generator(*args, **kwargs))

    check_function(first, "jobs.on(ApiCall)")
    check_function(contextmanager(generator), "jobs.on(ApiCall)")


def test_a_function_whose_signature_python_does_not_know_is_refused() -> None:
    """Some builtins have none."""
    with pytest.raises(DeclarationError, match="write a function around it"):
        parameters(vars, "OrderID: str")


def test_a_parameter_that_cannot_be_given_by_name_is_refused() -> None:
    """Positional-only, `*args` and `**kwargs`: variables go by name."""

    def positional(OrderID: str, /) -> None: ...

    def several(*OrderIDs: str) -> None: ...

    def anything(**variables: str) -> None: ...

    for function, parameter in (
        (positional, "OrderID: str is positional-only"),
        (several, "*OrderIDs: str is variadic positional"),
        (anything, "**variables: str is variadic keyword"),
    ):
        with pytest.raises(DeclarationError) as caught:
            parameters(function, "OrderID: str")
        assert str(caught.value).endswith(
            f": parameter {parameter} and cannot be given by name; write one parameter for each value, "
            "such as OrderID: str"
        )


def test_annotations_in_quotes_are_evaluated() -> None:
    """`from __future__ import annotations` quotes all of them."""

    def handler(OrderID: "int") -> "dict[str, str]": ...  # type: ignore[empty-body]

    assert [parameter.annotation for parameter in parameters(handler, "OrderID: str")] == [int]


def test_an_annotation_that_names_nothing_is_refused() -> None:
    """The sentence names the function and what to do."""

    def handler(OrderID: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(DeclarationError) as caught:
        parameters(handler, "OrderID: str")

    assert str(caught.value) == (
        f"{describe(handler)}: an annotation cannot be evaluated (name 'Nowhere' is not defined); import what it names"
    )


def test_what_is_returned_is_evaluated() -> None:
    """As parameters are."""

    def handler() -> "int": ...  # type: ignore[empty-body]  # never called

    assert returned(handler) is int
