"""Whether a lease that has run out tells of a death: not when nobody could renew leases for a while."""

import time
from collections.abc import Callable


class Silence:
    """What a worker makes of the times at which Redis took its own signs of life.

    After a gap Redis was away, or this worker was frozen. If it was Redis, the leases of all workers have run out, and
    they live: each is given the time of a whole lease to renew them before anything is taken from it. The first sign of
    all counts as one after a gap: a worker that has just started cannot know that Redis was there before.
    """

    def __init__(self, lease_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare.

        Args:
            lease_seconds: how long a lease is.
            clock: seconds, of any beginning.
        """
        self._lease = lease_seconds
        self._clock = clock
        self._last = float("-inf")
        self._until = float("inf")

    def note_sign(self) -> None:
        """Redis has just taken a sign of life."""
        now = self._clock()
        if now - self._last > self._lease / 2:
            self._until = now + self._lease
        self._last = now

    @property
    def is_over(self) -> bool:
        """Whether a lease that has run out may be taken for a death."""
        return self._clock() >= self._until
