"""How much is in flight in one process: callbacks, and the bytes of their bodies.

A callback beyond that would be answered late, and make the others late: it is refused at once instead.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from api.errors import Code, Refusal

MOST_BODY_BYTES = 64 * 1024 * 1024
"""Bytes that the bodies in flight may hold together."""

_OVERLOADED = Refusal(Code.CANNOT_KEEP, "too many callbacks at once", "overloaded")
_TOO_MUCH = Refusal(Code.CANNOT_KEEP, "too much at once", "overloaded")


class InFlight:
    """Counts what is in flight.

    Attributes:
        count: callbacks.
        body_bytes: what their bodies hold.
    """

    def __init__(self, most: int, most_body_bytes: int = MOST_BODY_BYTES) -> None:
        self.count = 0
        self.body_bytes = 0
        self._most = most
        self._most_body_bytes = most_body_bytes

    @contextmanager
    def one(self, held: "Held") -> Iterator[None]:
        """Count one callback, and what it holds, for as long as it is in flight.

        Raises:
            Refusal: there are too many.
        """
        if self.count >= self._most:
            raise _OVERLOADED
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
            self.body_bytes -= held.body_bytes

    def hold(self, held: "Held", body_bytes: int) -> None:
        """Count bytes of a body.

        Raises:
            Refusal: the bodies hold too much together.
        """
        held.body_bytes += body_bytes
        self.body_bytes += body_bytes
        if self.body_bytes > self._most_body_bytes:
            raise _TOO_MUCH


class Held:
    """What one callback holds."""

    __slots__ = ("body_bytes",)

    def __init__(self) -> None:
        self.body_bytes = 0
