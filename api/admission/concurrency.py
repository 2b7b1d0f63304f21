"""Sheds load: limits how many callbacks are in flight in one process, and the bytes of their bodies.

A callback beyond that would be answered late, and make the others late: it is rejected at once instead.
"""

from dataclasses import dataclass
from typing import Self

from api.errors import Rejection
from shared.wire.codes import Code

MOST_BODY_BYTES = 64 * 1024 * 1024
"""Bytes that the bodies in flight may hold together."""


@dataclass
class ConcurrencyLimit:
    """Counts what is in flight."""

    most: int
    most_body_bytes: int = MOST_BODY_BYTES
    count: int = 0
    body_bytes: int = 0


class Slot:
    """One callback's share of the limit, while it is in flight."""

    def __init__(self, limit: ConcurrencyLimit) -> None:
        self._limit = limit
        self._body_bytes = 0

    def __enter__(self) -> Self:
        """Begin."""
        if self._limit.count >= self._limit.most:
            raise Rejection(Code.CANNOT_KEEP, "too many callbacks at once", "overloaded")
        self._limit.count += 1
        return self

    def __exit__(self, *_: object) -> None:
        """End; the body is forgotten."""
        self._limit.count -= 1
        self._limit.body_bytes -= self._body_bytes

    def hold(self, body_bytes: int) -> None:
        """Count bytes of its body."""
        self._body_bytes += body_bytes
        self._limit.body_bytes += body_bytes
        if self._limit.body_bytes > self._limit.most_body_bytes:
            raise Rejection(Code.CANNOT_KEEP, "too much at once", "overloaded")
