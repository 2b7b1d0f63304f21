"""Stand-ins for exceptions of an integrator's code that could not be raised on, and the way back to them.

The class of such an exception is the integrator's: reading any attribute of it may raise.
"""

_MOST = 10  # stand-ins for stand-ins


class StandInError(Exception):
    """Raised `from` an exception in its place, where that would end the process, a task or a future."""


def as_raised(error: BaseException) -> BaseException:
    """The exception that the code raised, and not what we or Python raised in its place."""
    for _ in range(_MOST):
        if error.__cause__ is None or not (isinstance(error, StandInError) or _is_of_a_coroutine(error)):
            break
        error = error.__cause__
    return error


def _is_of_a_coroutine(error: BaseException) -> bool:
    """Whether Python has put a RuntimeError in place of what may not leave a coroutine; it has no frames."""
    return type(error) is RuntimeError and error.args in (
        ("coroutine raised StopIteration",),
        ("coroutine raised StopAsyncIteration",),
        ("async generator raised StopIteration",),
        ("async generator raised StopAsyncIteration",),
        ("generator raised StopIteration",),
    )
