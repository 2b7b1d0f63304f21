"""The refusals: `ErrorCode`, HTTP status and what they mean (docs/HTTP.md lists them for integrators)."""

from enum import Enum
from typing import Any, Literal

Cause = Literal[
    "not_a_packet",
    "commands_differ",
    "too_large",
    "cannot_keep",
    "unknown_app",
    "sign_missing",
    "sign_wrong",
    "sign_stale",
    "wrong_path_secret",
    "not_a_post",
    "overloaded",
    "slow_sender",
    "long_headers",
    "endless_request",
    "pipelined",
    "slow_reader",
    "crowded",
]
"""What a refusal is counted and logged under; docs/OPERATIONS.md says what each means."""


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


_CAUSES: dict[Code, Cause] = {
    Code.NOT_A_PACKET: "not_a_packet",
    Code.COMMANDS_DIFFER: "commands_differ",
    Code.TOO_LARGE: "too_large",
    Code.CANNOT_KEEP: "cannot_keep",
}


class Refusal(Exception):  # noqa: N818 - an answer, not an error
    """Raised to answer a callback with a failure and keep nothing.

    Args:
        code: which refusal.
        info: the answer's `ErrorInfo`; quotes nothing of the request.
        cause: what it is counted and logged under; may be left out where the code says it.
        **details: what else the log says of it.
    """

    def __init__(self, code: Code, info: str, cause: Cause | None = None, **details: Any) -> None:
        super().__init__(info)
        self.code = code
        self.info = info
        self.cause = cause or _CAUSES[code]
        self.details = details
