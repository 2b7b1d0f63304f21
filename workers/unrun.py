"""What a job's function returns, where that has still to run: it is run, or the job fails."""

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import Future
from types import FunctionType, MethodType
from typing import Any

from shared.errors import NotRunError

_UNRUN = (Generator, AsyncGenerator, map, filter, functools.partial, FunctionType, MethodType)


def is_awaited(result: Any) -> bool:
    """Whether the event loop must run what a function returned: a wrapper around an `async def` returns a coroutine."""
    return result is not None and (inspect.isawaitable(result) or isinstance(result, Future))


def check_ran(result: Any) -> None:
    """Refuse what nobody will run.

    Raises:
        NotRunError: the function returned a generator, or a function, of which nothing has run.
    """
    if result is not None and isinstance(result, _UNRUN):
        raise NotRunError(
            f"the job returned a {type(result).__name__}, of which nothing has run; write a loop over what it yields, "
            "or call it, and return nothing"
        )


async def run_rest(result: Any) -> None:
    """Await what a function returned, what that returns, and so on.

    Raises:
        NotRunError: see `check_ran`.
        Exception: whatever is raised there.
    """
    while is_awaited(result):
        result = await (asyncio.wrap_future(result) if isinstance(result, Future) else result)
    check_ran(result)


def drop(result: Any) -> None:
    """Close a coroutine that is not to run any more, so that Python does not report it as never awaited."""
    if inspect.iscoroutine(result):
        result.close()
