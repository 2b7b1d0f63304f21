"""Thread-safe memoization, for clients and engines that a process makes once; `lru_cache` may make several."""

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Once(Generic[_T]):
    """A function of texts that is called once for each set of them, and again if it raised.

    Args:
        make: the function; other threads wait while it runs, so it must not wait for a network.
    """

    def __init__(self, make: Callable[..., _T]) -> None:
        self._make = make
        self._lock = Lock()
        self.made: dict[tuple[str, ...], _T] = {}

    def __call__(self, *texts: str) -> _T:
        """The function's result for these texts."""
        with self._lock:
            if texts not in self.made:
                self.made[texts] = self._make(*texts)
            return self.made[texts]
