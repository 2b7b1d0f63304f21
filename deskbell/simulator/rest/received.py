"""What the stand-in of Desk's REST interface has received."""

from dataclasses import asdict, dataclass, field
from typing import Any

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Received:
    """One request.

    Attributes:
        number: from 1, in the order of their coming.
        command: such as `send_msg`.
        app: `sdkappid`.
        fields: the body.
        code: the `ErrorCode` that it was answered with, or 429; where a fault has spoilt the answer, what it would have
            been.
        is_duplicate: a message whose `MsgRandom` has come before: it was answered, and not written again.
    """

    number: int
    command: str
    app: str
    fields: Fields = field(repr=False)
    code: int = 0
    is_duplicate: bool = False

    @property
    def has_effect(self) -> bool:
        """Whether anything came of it."""
        return self.code == 0 and not self.is_duplicate

    @property
    def session_id(self) -> str:
        """`SessionId`, or ""."""
        return str(self.fields.get("SessionId", ""))

    @property
    def user_id(self) -> str:
        """The customer, where one is named instead of a session."""
        return str(self.fields.get("ToAccount") or self.fields.get("ClientUserId") or "")

    def as_json(self) -> Fields:
        """It as native JSON."""
        return asdict(self)
