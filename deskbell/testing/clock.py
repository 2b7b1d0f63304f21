"""A clock that stands still until the test moves it: what `time.time()` and `datetime.now()` say everywhere."""

import time
from contextlib import ExitStack
from typing import Self

from deskbell.testing.extras import need


class Clock:
    """The time of this process, for as long as the `with` block lasts.

    Backoff, waits, rate limits and circuit breakers follow it, and so do the functions under test. What measures a
    duration, `time.monotonic()`, goes on, so that time-outs of `async def` functions and of HTTP clients work.
    """

    def __init__(self, start: float | None = None) -> None:
        """Prepare.

        Args:
            start: Unix seconds at which it stands; the present by default, in whole seconds.
        """
        self._start = start
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        travel = need("time_machine", "the clock of a test").travel
        self._traveller = self._exit.enter_context(travel(self._start or int(time.time()), tick=False))
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._traveller.shift(seconds)
