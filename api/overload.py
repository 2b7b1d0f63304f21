"""How much is in flight in one process: callbacks, and the bytes of their bodies.

A callback beyond that would be answered late, and make the others late: it is refused at once instead.
"""

from api.errors import Refusal
from shared.codes import Code

MOST_BODY_BYTES = 64 * 1024 * 1024
"""Bytes that the bodies in flight may hold together."""


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

    def begin(self) -> None:
        """Count a callback; `end` must follow.

        Raises:
            Refusal: there are too many.
        """
        if self.count >= self._most:
            raise Refusal(Code.CANNOT_KEEP, "too many callbacks at once", "overloaded")
        self.count += 1

    def hold(self, body_bytes: int) -> None:
        """Count bytes of a body, until `end` is told of them.

        Raises:
            Refusal: the bodies hold too much together.
        """
        self.body_bytes += body_bytes
        if self.body_bytes > self._most_body_bytes:
            raise Refusal(Code.CANNOT_KEEP, "too much at once", "overloaded")

    def end(self, body_bytes: int) -> None:
        """A callback is answered, and its body forgotten."""
        self.count -= 1
        self.body_bytes -= body_bytes
