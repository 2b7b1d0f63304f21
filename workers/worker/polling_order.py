"""Polling order: strict priority of queues, with a turn for the others, so that none starves."""

from collections.abc import Sequence

_TURN = 8


class PollingOrder:
    """The order that was given, except that one claim in eight begins with a later queue, each in its turn."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._claims = 0

    def next(self) -> list[str]:
        """The order for the next claim."""
        self._claims += 1
        if self._claims % _TURN or len(self._names) == 1:
            return self._names
        first = 1 + self._claims // _TURN % (len(self._names) - 1)
        return [*self._names[first:], *self._names[:first]]
