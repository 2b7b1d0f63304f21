"""What a job's function has left to run: what it returns is run, or the job fails; what it did not await is logged."""

import functools
import warnings
from collections.abc import AsyncGenerator, Generator
from types import FunctionType, MethodType
from typing import Any, TextIO

from rq import get_current_job

from shared.errors import NotRunError
from shared.functions import awaited, is_awaited
from shared.logs import get_log

_show_otherwise = warnings.showwarning
_UNRUN = (Generator, AsyncGenerator, map, filter, functools.partial, FunctionType, MethodType)


def check_ran(result: Any) -> None:
    """Refuse what nobody will run.

    Raises:
        NotRunError: the function returned a generator, or a function, of which nothing has run; or an exception.
    """
    if isinstance(result, BaseException):
        raise NotRunError(f"the job returned {type(result).__name__}, which means nothing until it is raised")
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
        result = await awaited(result)
    check_ran(result)


def watch_forgotten() -> None:
    """Log what Python warns of when a coroutine goes that nobody has awaited, with the job: its body has not run.

    Once for each place in a process, as Python does. The job is not failed: a library may have meant it so.
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
        _show_otherwise(message, category, filename, lineno, file, line)
        return
    lease = getattr(job, "lease", None)  # to ask a claimed job for its id is to ask Redis
    what = str(message).partition("\n")[0]
    get_log().error("not_awaited", job_id=lease.job_id if lease else job.id, what=what, at=f"{filename}:{lineno}")
