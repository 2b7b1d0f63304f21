"""The `ErrorCode`s that Deskbell itself answers (docs/reference/http.md says of each what it means)."""

from enum import Enum


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

    def __init__(self, number: int, status: int) -> None:
        self.number = number
        self.status = status
