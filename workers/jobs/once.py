"""What a process makes once, at first use, for all its threads: `functools.lru_cache` lets each thread make one."""

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Once(Generic[_T]):
    """A function of texts that is called once for each set of them; one that raises is called again.

    Args:
        make: the function; whoever comes while it runs waits for it, so it must not wait for a network.
    """

    def __init__(self, make: Callable[..., _T]) -> None:
        self._make = make
        self._lock = Lock()
        self.made: dict[tuple[str, ...], _T] = {}

    def __call__(self, *texts: str) -> _T:
        """What the function has made of these texts."""
        with self._lock:
            if texts not in self.made:
                self.made[texts] = self._make(*texts)
            return self.made[texts]
