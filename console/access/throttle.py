"""Throttles sign-ins: after some that failed, the next has to wait, by name and address and by address alone."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

PERIOD_SECONDS = 300.0
MOST_OF_A_NAME = 5
MOST_OF_AN_ADDRESS = 50
_MOST_KEYS = 10_000  # whoever tries more names than that has been stopped by address


_Key = tuple[str | None, str]  # a name and an address; None for all names, since "" is one that somebody may try


class Throttle:
    """Counts failed sign-ins of the last five minutes, in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[_Key, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_seconds(self, name: str, address: str) -> int:
        """For how many seconds this name may not be tried from this address; 0 when it may."""
        with self._lock:
            return max(
                self._wait((name, address), MOST_OF_A_NAME),
                self._wait((None, address), MOST_OF_AN_ADDRESS),
            )

    def record_failure(self, name: str, address: str) -> None:
        """A sign-in has failed."""
        with self._lock:
            keys: dict[_Key, int] = {(name, address): MOST_OF_A_NAME, (None, address): MOST_OF_AN_ADDRESS}
            for key, most in keys.items():
                self._failures.setdefault(key, deque(maxlen=most)).append(self._clock())
                self._failures.move_to_end(key)
            while len(self._failures) > _MOST_KEYS:
                self._failures.popitem(last=False)

    def record_success(self, name: str, address: str) -> None:
        """Somebody has signed in: what failed before does not count for this name."""
        with self._lock:
            self._failures.pop((name, address), None)

    def _wait(self, key: _Key, most: int) -> int:
        failures = self._failures.get(key)
        if not failures or len(failures) < most:
            return 0
        return max(0, round(failures[0] + PERIOD_SECONDS - self._clock() + 0.5))
