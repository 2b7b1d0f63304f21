"""Thread-safe memoization, for clients and engines that a process makes once; `lru_cache` may make several."""

import atexit
from collections.abc import Callable
from threading import Lock
from typing import Any, Generic, TypeVar
from weakref import WeakSet

_T = TypeVar("_T")


class Once(Generic[_T]):
    """A function of texts that is called once for each set of them, and again if it raised.

    Args:
        make: the function; other threads wait while it runs, so it must not wait for a network.
        close: what ends a result of it: see `close_all`.
    """

    def __init__(self, make: Callable[..., _T], close: Callable[[_T], object]) -> None:
        self._make = make
        self._close = close
        self._lock = Lock()
        self._made: dict[tuple[str, ...], _T] = {}
        _all.add(self)

    def __call__(self, *texts: str) -> _T:
        """The function's result for these texts."""
        with self._lock:
            if texts not in self._made:
                self._made[texts] = self._make(*texts)
            return self._made[texts]

    def close(self) -> None:
        """Close what has been made, and forget it."""
        with self._lock:
            made, self._made = self._made, {}
        for each in made.values():
            self._close(each)


_all: WeakSet[Once[Any]] = WeakSet()


def close_all() -> None:
    """Close all that was made by any `Once` in this process: at its end, and after a test that called a job."""
    for once in list(_all):
        once.close()


atexit.register(close_all)
