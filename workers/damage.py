"""What workers say of damaged keys that their scripts came upon: see `damage.lua`."""

import time
from collections.abc import Callable, Iterable
from importlib.resources import files

from shared.logs import get_log

_AGAIN_SECONDS = 30.0
_MOST_KEYS = 1000


class DamageLog:
    """Says of each key that it is damaged, at most twice a minute: a queue that cannot be read is met at each claim."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin.

        Args:
            clock: tells seconds.
        """
        self._clock = clock
        self._said: dict[bytes, float] = {}

    def say(self, keys: Iterable[bytes]) -> None:
        """Say that keys are damaged; those of ours have been deleted, what RQ has is left as it is."""
        now = self._clock()
        for key in dict.fromkeys(keys):
            if now - self._said.get(key, -_AGAIN_SECONDS) < _AGAIN_SECONDS:
                continue
            if len(self._said) >= _MOST_KEYS:
                self._said.clear()
            self._said[key] = now
            get_log().error("key_damaged", key=key.decode(errors="replace")[:200])


def damage_text() -> str:
    """`damage.lua`, which stands in front of every script."""
    return files("workers").joinpath("damage.lua").read_text()
