"""What an `ErrorCode` of Desk means for a job. The status is 200 even on errors (PROTOCOL §5).

The codes 1410xx and 9000x are of that section. Those from 60000 to 79999 are public to all of Chat's REST interface,
and what each of them means is known here from memory only. A code that is not in the table is a refusal, and discarded.
"""

from typing import Any

from deskbell import Discard, Unavailable
from deskbell.adapters.outcomes import Outcome, Outcomes, Reply, discard, wait

EXPIRED = "70001"
"""The UserSig is no longer valid (from memory)."""

_AFTER_SECONDS = 5  # no page says how long
_TOO_MANY = (60007, 60011)
_INSIDE = (141002, 60008, 60014, 70169, 70202, 70500)
_NOT_ENTITLED = (*range(60002, 60007), 60010, 60012, 60013, *range(70001, 70017), 70052, 141000)


class SessionEnded(Discard):
    """Raised when the session is missing or has ended: catch it where that is no loss, such as for a welcome card."""


def _session_ended(reply: Reply) -> Exception:
    return SessionEnded(reply.text, code=reply.code)


def _not_entitled(reply: Reply) -> Exception:
    """A person must correct it, for all jobs, and none is lost meanwhile."""
    settings = "DESKBELL_DESK_KEYS, DESKBELL_DESK_IDENTIFIER and DESKBELL_DESK_URL"
    return Unavailable(
        f"{reply.text}: the key, the account, the app or the region is wrong; see {settings}", code=reply.code
    )


def _code_of(body: Any) -> int | None:
    """The `ErrorCode`; None for 0, which is success."""
    return int(body["ErrorCode"]) or None


_TABLE: dict[int | str, Outcome] = {
    **{str(code): wait(_AFTER_SECONDS) for code in (*_TOO_MANY, *_INSIDE)},
    **{str(code): _not_entitled for code in _NOT_ENTITLED},
    404: _not_entitled,  # another server: Desk itself answers 200
    "141005": _session_ended,
    "141001": discard,  # no agent is online
    "141003": discard,  # the session cannot be transferred
    "141004": discard,  # bad parameters
    "90001": discard,  # not JSON
    "90002": discard,  # MsgBody is malformed
}

OUTCOMES = Outcomes("Desk", _TABLE, _code_of)
"""The table."""
