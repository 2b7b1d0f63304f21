"""The refusals: `ErrorCode`, HTTP status and what they mean (docs/HTTP.md lists them for integrators)."""

from enum import Enum
from typing import Any


class Code(Enum):
    """Every `ErrorCode` that Deskbell itself answers, with its HTTP status; 0 is success."""

    NOT_A_PACKET = (1001, 400)
    NOT_OUR_APP = (1002, 403)
    BAD_SIGN = (1003, 403)
    COMMANDS_DIFFER = (1004, 400)
    TOO_LARGE = (1005, 413)
    NO_HANDLER = (1006, 200)
    MISFIT = (1007, 200)
    OUT_OF_TIME = (1008, 200)
    HANDLER_FAILED = (1009, 200)
    CANNOT_KEEP = (1010, 503)

    @property
    def number(self) -> int:
        """The `ErrorCode`."""
        return self.value[0]

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[1]


class Refusal(Exception):  # noqa: N818 - an answer, not an error
    """Raised to answer a callback with a failure and keep nothing.

    Args:
        code: which refusal.
        info: the answer's `ErrorInfo`; quotes nothing of the request.
        cause: what it is counted and logged under; the code's name by default.
        **details: what else the log says of it.
    """

    def __init__(self, code: Code, info: str, cause: str = "", **details: Any) -> None:
        super().__init__(info)
        self.code = code
        self.info = info
        self.cause = cause or code.name.lower()
        self.details = details
