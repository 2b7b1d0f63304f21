"""Coroutines that nobody awaited, and other code that a job's function returns instead of running it.

An awaitable is awaited; a generator or a function that was returned fails the job. A coroutine that the function made
and forgot is logged when Python reports it.
"""

import functools
import warnings
from collections.abc import AsyncGenerator, Generator
from types import FunctionType, MethodType
from typing import Any, TextIO

from rq import get_current_job

from shared.declarations.functions import awaited, is_awaited
from shared.errors import NotRunError
from shared.logs import get_log

_show_as_before = warnings.showwarning
_NOT_RUN = (Generator, AsyncGenerator, map, filter, functools.partial, FunctionType, MethodType)


def check_ran(result: Any) -> None:
    """Refuse a result that is code which will not run.

    Raises:
        NotRunError: the function returned a generator, or a function, of which nothing has run; or an exception.
    """
    if isinstance(result, BaseException):
        raise NotRunError(f"the job returned {type(result).__name__}, which means nothing until it is raised")
    if result is not None and isinstance(result, _NOT_RUN):
        raise NotRunError(
            f"the job returned a {type(result).__name__}, of which nothing has run; write a loop over what it yields, "
            "or call it, and return nothing"
        )


async def await_result(result: Any) -> None:
    """Await a function's result, the result of that, and so on."""
    while is_awaited(result):
        result = await awaited(result)
    check_ran(result)


def log_unawaited() -> None:
    """Log Python's warning that a coroutine was never awaited, with the job in which it was made: its body has not run.

    Python warns once for each line of code in a process. The job does not fail: a library may have meant it so.
    """
    warnings.showwarning = _show


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    job = get_current_job() if issubclass(category, RuntimeWarning) and "was never awaited" in str(message) else None
    if job is None:
        _show_as_before(message, category, filename, lineno, file, line)
        return
    lease = getattr(job, "lease", None)  # to ask a claimed job for its id is to ask Redis
    what = str(message).partition("\n")[0]
    get_log().error("not_awaited", job_id=lease.job_id if lease else job.id, what=what, at=f"{filename}:{lineno}")
