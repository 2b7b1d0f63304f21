"""Roles, each of which may do what those before it may, and the users who have them."""

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """What a user may do: look; also replay, discard, pause; also see personal values."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who has signed in.

    Attributes:
        name: as the setting has it, and as the audit log records it.
    """

    name: str
    role: Role


LOCAL = User("local", Role.ADMIN)
"""Who uses the console of a machine on which nobody signs in."""
