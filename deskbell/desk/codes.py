"""What an `ErrorCode` of Desk means for a job: done, again with backoff, again later, paused, or never.

The status is 200 even on errors (PROTOCOL §5). The codes 1410xx and 9000x are of that section. Those from 60000 to
79999 are public to all of Chat's REST interface, and what each of them means is known here from memory only.

- 60007, 60011: too many requests. `Retry` after some seconds, which is no attempt.
- 60002 to 60006, 60010, 60012, 60013, 70001 to 70016, 70052, 141000: the UserSig, the account or the app is not known
  or not entitled. A person must correct it, for all jobs: `Unavailable` uses up no attempt, and a breaker pauses the
  queue.
- 141005: the session is missing or has ended. `SessionEnded`, which is a `Discard`.
- 141001 (no agent is online), 141003 (it cannot be transferred), 141004, 90001, 90002 (bad parameters): `Discard`.
- 141002 (an error inside Desk) and any other: `DeskError`. The job is tried again with the backoff of its type, and
  becomes a dead letter in the end.
"""

from shared.errors import DeskbellError, Discard, JobDecision, Retry, Unavailable

SESSION_ENDED = 141005
EXPIRED = 70001
"""The UserSig is no longer valid (from memory)."""

_AFTER_SECONDS = 5  # no page says how long
_TOO_MANY = {60007, 60011}
_NOT_ENTITLED = {*range(60002, 60007), 60010, 60012, 60013, *range(70001, 70017), 70052, 141000}
_NEVER = {
    90001: "the body is not JSON",
    90002: "MsgBody is malformed",
    141001: "no agent is online",
    141003: "the session cannot be transferred",
    141004: "a parameter is wrong",
}


class SessionEnded(Discard):
    """Raised when the session is missing or has ended: catch it where that is no loss, such as for a welcome card."""


class DeskError(DeskbellError):
    """Raised when Desk gave no usable answer, or one of an error inside it: the same request may succeed later.

    Args:
        message: a sentence, without a URL or a value.
        code: the `ErrorCode`, or the HTTP status; None where there was no answer.
    """

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


def error_of(command: str, code: int) -> JobDecision | DeskError:
    """What is raised for an `ErrorCode` other than 0. Desk's `ErrorInfo` may quote the request, and is left out."""
    said = f"{command}: Desk answered {code}"
    if code == SESSION_ENDED:
        return SessionEnded(f"{said}: the session is missing or has ended", code=code)
    if code in _NEVER:
        return Discard(f"{said}: {_NEVER[code]}", code=code)
    if code in _TOO_MANY:
        return Retry(after=_AFTER_SECONDS, counts=False, code=code)
    if code in _NOT_ENTITLED:
        return Unavailable(f"{said}: it does not know, or not entitle, the UserSig, the account or the app", code=code)
    return DeskError(said, code=code)
