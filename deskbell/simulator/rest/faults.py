"""Faults on demand: answers as Desk, or what lies before it, may give when something is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from http import HTTPStatus
from typing import Any

from deskbell.simulator.rest.commands import COMMANDS
from shared.declarations.policies import is_whole


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of the next requests.

    Attributes:
        command: of this command; "" of any.
        times: of so many requests.
        status: the HTTP status; another than 200 has an answer that is no JSON.
        code: the `ErrorCode`; 0 leaves the command's own.
        retry_after: the header `Retry-After`, seconds; None sends none.
        half: half of the answer is sent, and the connection is closed.
        seconds: the answer is held back for so long.
    """

    command: str = ""
    times: int = 1
    status: int = 200
    code: int = 0
    retry_after: int | None = None
    half: bool = False
    seconds: float = 0

    @property
    def is_refusal(self) -> bool:
        """Whether the command has no effect. A 5xx or a lost answer says nothing, and here it has: the harder case."""
        return bool(self.code) or self.status == HTTPStatus.TOO_MANY_REQUESTS


class Faults:
    """The faults that are to come."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Have one come, after those that wait."""
        self._waiting.append(fault)

    def take(self, command: str) -> Fault:
        """The fault of a request; one without effect where none is due."""
        for number, fault in enumerate(self._waiting):
            if fault.command in ("", command):
                left = replace(fault, times=fault.times - 1)
                self._waiting[number : number + 1] = [left] if left.times else []
                return fault
        return Fault()

    def clear(self) -> None:
        """Have none come."""
        self._waiting.clear()


def fault_of(given: Mapping[str, Any]) -> Fault:
    """A fault from JSON.

    Raises:
        ValueError: it is none; a sentence.
    """
    known = [each.name for each in fields(Fault)]
    if unknown := given.keys() - known:
        raise ValueError(f"expected {', '.join(known)}, got {min(unknown)}")
    fault = Fault(**given)
    whole = "a whole number of 0 or more"
    expected = {
        "command": ("a command of Desk", fault.command in ("", *COMMANDS)),
        "times": ("a whole number of 1 or more", is_whole(fault.times, 1)),
        "status": ("an HTTP status", is_whole(fault.status, 200)),
        "code": (whole, is_whole(fault.code, 0)),
        "retry_after": (whole, fault.retry_after is None or is_whole(fault.retry_after, 0)),
        "half": ("True or False", isinstance(fault.half, bool)),
        "seconds": ("a number of 0 or more", type(fault.seconds) in (int, float) and fault.seconds >= 0),
    }
    for name, (what, fits) in expected.items():
        if not fits:
            raise ValueError(f"{name}: expected {what}, got {getattr(fault, name)!r}")
    if fault == Fault(command=fault.command, times=fault.times):
        raise ValueError("expected one of status, code, retry_after, half and seconds, got none: nothing would fail")
    return fault
