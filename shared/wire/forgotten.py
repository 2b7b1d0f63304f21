"""The event by which Deskbell tells job types that a user was forgotten."""

from dataclasses import dataclass
from typing import ClassVar

from shared.wire.events import Event

USER_FORGOTTEN = "deskbell:UserForgotten"
"""Its command. No callback can have it: `COMMAND_FORM` has no colon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserForgotten(Event):
    """A user was forgotten by `deskbell forget`: whoever else holds something of them is to forget it, too.

    Deskbell itself says so; no callback can have the command. It is for job types that name this class, and not for
    those of `Event`. Its job may run again, and again for the same user.

    Attributes:
        app_id: the app whose user it is; "" when no app is known where the command ran.
        event_time: the moment: what the user's callbacks until then have left is removed.
    """

    COMMANDS: ClassVar = (USER_FORGOTTEN,)
    IS_CALLBACK: ClassVar = False
