"""Rejections: failures answered to callbacks of which nothing is kept. They are counted as `deskbell_refused`."""

from http import HTTPStatus
from typing import Any, Literal

from shared.wire.codes import Code

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
    "no_such_path",
    "not_a_post",
    "overloaded",
    "not_http",
    "slow_sender",
    "long_headers",
    "endless_request",
    "pipelined",
    "slow_reader",
    "crowded",
]
"""What a rejection is counted and logged under; docs/how-to/operate.md says what each means."""

_CAUSES: dict[Code, Cause] = {
    Code.NOT_A_PACKET: "not_a_packet",
    Code.COMMANDS_DIFFER: "commands_differ",
    Code.TOO_LARGE: "too_large",
    Code.CANNOT_KEEP: "cannot_keep",
}


class Rejection(Exception):  # noqa: N818 - an answer, not an error
    """Raised to answer a callback with a failure and keep nothing.

    Args:
        code: which failure.
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


def http_info(status: int) -> str:
    """The phrase of an HTTP status, for an envelope's `ErrorInfo`."""
    return HTTPStatus(status).phrase.lower()
