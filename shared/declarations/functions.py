"""Functions as integrators hand them in: plain ones, methods of an object, `functools.partial`, callable objects."""

import asyncio
import functools
import inspect
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import NoneType
from typing import Any

from shared.errors import DeclarationError

_PLAIN = (dict, NoneType)  # what most functions return
_BINDABLE = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling a function makes a coroutine at once, so that the call itself cannot block the event loop.

    A plain wrapper around an `async def` is not async: what it does before it returns the coroutine may block.
    """
    return inspect.iscoroutinefunction(_code_of(function))


def is_awaited(result: Any) -> bool:
    """Whether the event loop must run what a function returned: a wrapper around an `async def` returns a coroutine."""
    return type(result) not in _PLAIN and (inspect.isawaitable(result) or isinstance(result, Future))


async def awaited(result: Any) -> Any:
    """The result of an awaitable, or of a thread pool's future."""
    return await (asyncio.wrap_future(result) if isinstance(result, Future) else result)


def drop(result: Any) -> None:
    """Close a coroutine that is not to run any more, so that Python does not report it as never awaited."""
    if inspect.iscoroutine(result):
        result.close()


def describe(function: Any) -> str:
    """A function's module and name, and its file and line, for messages."""
    plain = inspect.unwrap(_code_of(function))
    name = f"{plain.__module__}.{plain.__qualname__}" if hasattr(plain, "__qualname__") else repr(function)
    code = getattr(plain, "__code__", None)
    return f"{name} ({location(code.co_filename, code.co_firstlineno)})" if code else name


def name_of(function: Any) -> str:
    """What a function is called; an object that can be called is called by its class."""
    plain = function.func if isinstance(function, functools.partial) else function
    return str(getattr(plain, "__name__", type(plain).__name__))


def location(file: str, line: int | None) -> str:
    """A file and line for messages, the file from the current folder where it lies below that."""
    path = Path(file)
    below = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{below}:{line}"


def check_function(function: Any, declare: str) -> None:
    """Refuse what is no function, or one whose call runs nothing."""
    where = describe(function)
    if isinstance(function, classmethod):
        raise DeclarationError(
            f"{where}: a classmethod has no class yet where it is decorated; below the class, write "
            f"{declare}({_code_of(function).__qualname__})"
        )
    if inspect.isclass(function):
        raise DeclarationError(
            f"{where}: expected a function, got a class; write a function that makes one of it, or {declare}"
            f"({function.__name__}(…)) for an object that can be called"
        )
    if not callable(function):
        raise DeclarationError(f"{where}: expected a function, got {type(function).__name__}; write {declare} above it")
    plain = _code_of(function)
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        raise DeclarationError(
            f"{where}: it is a generator function, since it holds `yield`, and a call of it runs nothing; write "
            "return instead of yield"
        )


def check_plain_function(function: Any, where: str) -> None:
    """Refuse what is no function, or one that an event loop would have to run."""
    if not callable(function) or inspect.isclass(function):
        raise DeclarationError(f"{where}: expected a function, got {type(function).__name__}; write its name alone")
    if is_async(function):
        raise DeclarationError(
            f"{where}: {describe(function)} is an `async def`; it is called in a thread: write `def`"
        )


def parameters(function: Callable[..., Any], example: str) -> list[inspect.Parameter]:
    """The parameters of a function that are still to be given, annotations evaluated."""
    where = describe(function)
    given = function.keywords if isinstance(function, functools.partial) else {}
    found = [each for each in _signature(function).parameters.values() if each.name not in given]
    for parameter in found:
        unannotated = parameter.annotation is inspect.Parameter.empty
        if unannotated and parameter is found[0] and parameter.name in ("self", "cls"):
            raise DeclarationError(
                f"{where}: it is a method, and nothing gives it its {parameter.name}; declare the method of an "
                "object, below the class: …(orders.order_status)"
            )
        if parameter.kind not in _BINDABLE:
            raise DeclarationError(
                f"{where}: parameter {parameter} is {parameter.kind.description} and cannot be given by name; "
                f"write one parameter for each value, such as {example}"
            )
        if unannotated:
            raise DeclarationError(f"{where}: parameter {parameter.name} has no annotation; write {example}")
    return found


def first_annotation(function: Callable[..., Any]) -> Any:
    """The annotation of a function's first parameter, evaluated; `inspect.Parameter.empty` when there is none."""
    return next(iter(_signature(function).parameters.values())).annotation


def returned(function: Callable[..., Any]) -> Any:
    """The annotation of what a function returns, evaluated; `inspect.Signature.empty` when there is none."""
    return _signature(function).return_annotation


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        inspect.signature(function)
    except (ValueError, TypeError) as error:
        raise DeclarationError(
            f"{describe(function)}: Python cannot say what its parameters are; write a function around it"
        ) from error
    try:
        return inspect.signature(function, eval_str=True)
    except Exception as error:
        raise DeclarationError(
            f"{describe(function)}: an annotation cannot be evaluated ({error}); import what it names"
        ) from error


def _code_of(function: Any) -> Any:
    """The function whose code a call runs first."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, classmethod | staticmethod) or inspect.ismethod(function):
            function = function.__func__
        elif not inspect.isclass(function) and inspect.isfunction(getattr(type(function), "__call__", None)):  # noqa: B004
            function = type(function).__call__
        else:
            return function
