"""What a CRM's reply means for the job: a table, which each adapter declares as data.

1. A reply has a code: the one that the adapter's `code_of` finds in the body, else the HTTP status.
2. The code is looked up in the adapter's table, then the status, there and in `COMMON`. What is in none of them: 2xx
   without a code in the body is done; a refusal (4xx, or 2xx with a code) is discarded; anything else has failed.
3. `Outcomes.send` raises what the outcome says; when it returns, the job has what it asked for.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from deskbell.http import UNSENT, Client, InvalidURL, Response, status_error
from shared.errors import Discard, Retry, Unavailable
from shared.wire.json_values import read_json

if TYPE_CHECKING:
    from deskbell.adapters.contacts import Write  # it needs Redis, and not every adapter does

_CODE_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # of a decision; what else a CRM may send is not shown
_SHORTEST_WAIT_SECONDS = 1
_LONGEST_WAIT_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Reply:
    """A CRM's reply, for an outcome.

    Attributes:
        http: as it came.
        code: what logs, breakers and dead letters show: the code in the body, else the status.
        text: a sentence with the status and the code, and no value of the body.
    """

    http: Response
    code: str
    text: str


Outcome = Callable[[Reply], Exception | None]
"""What a reply means: the exception that the job raises, or None when it has what it asked for."""


def done(_: Reply) -> None:
    """It is done."""


def discard(reply: Reply) -> Exception:
    """The CRM would refuse it again: a dead letter at once."""
    return Discard(reply.text, code=reply.code)


def away(reply: Reply) -> Exception:
    """The CRM serves nobody now: the breaker pauses the queue, and no attempt is used up."""
    return Unavailable(reply.text, code=reply.code)


def away_for(seconds: int) -> Outcome:
    """As `away`, for what takes longer, such as a quota: until its `Retry-After`, else for so many seconds."""
    return lambda reply: Unavailable(reply.text, code=reply.code, pause=ceil(_retry_after(reply.http, seconds)))


def failed(reply: Reply) -> Exception:
    """The CRM failed, and may have written what it was sent: tried again with backoff."""
    return status_error(reply.text, reply.http)


def wait(seconds: float) -> Outcome:
    """The CRM was asked too often: again after its `Retry-After`, else after so many seconds; no attempt is used up."""
    return lambda reply: Retry(after=_retry_after(reply.http, seconds), counts=False, code=reply.code)


COMMON: Mapping[int | str, Outcome] = {
    401: away,  # a token that has expired
    403: away,
    407: away,
    408: failed,
    425: failed,
    429: wait(30),
    503: away,  # maintenance
}
"""What holds for every CRM that does not say otherwise."""


def segment(name: str) -> str:
    """A text as one part of a URL's path.

    Raises:
        Discard: it is empty, or dots alone, which would name another path.
    """
    if name in {"", ".", ".."}:
        raise Discard("an id that is empty, or dots alone, would name another path than its own")
    return quote(name, safe="")


class Outcomes:
    """The table of one CRM.

    Args:
        name: the CRM, in texts.
        table: an outcome for each HTTP status (a number) and each code of the body (a text) that needs one.
        code_of: finds the code of an error in a body's JSON, which is None where the body is empty; a body in which it
            does not find its way, it leaves with whatever exception that raises. Without it bodies are not read.
    """

    def __init__(
        self, name: str, table: Mapping[int | str, Outcome], code_of: Callable[[Any], str | int | None] | None = None
    ) -> None:
        self._name = name
        self._table = {**COMMON, **table}
        self._code_of = code_of

    def send(self, client: Client, method: str, path: str, *, write: "Write | None" = None, **content: Any) -> Response:
        """Send a request; the reply, when it is done.

        Args:
            client: of this CRM.
            method: GET, POST…
            path: appended to the client's URL.
            write: the contact that this writes, begun; after a refusal it is withdrawn, after an answer ended.
            content: `json=`, `headers=`, `params=`, as httpx has them.

        Raises:
            Retry, Unavailable, Discard: as the table says; Discard as well when no URL can hold the path.
            HTTPError: the CRM failed or did not answer.
        """
        try:
            reply = client.request(method, path, **content)
        except (*UNSENT, InvalidURL) as error:
            if write:
                write.withdraw()
            if isinstance(error, InvalidURL):
                raise Discard(f"no URL of {self._name} can hold what it is asked for") from None
            raise
        decision = self.decision(reply)
        if write and _is_refused(reply, decision):
            write.withdraw()
        elif write:
            write.end()
        if decision:
            raise decision
        return reply

    def decision(self, reply: Response) -> Exception | None:
        """What a reply means: the exception to raise, or None when it is done."""
        status, code = reply.status_code, ""
        try:
            code = self._code(reply)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError):  # half a body, or another's
            if reply.is_success:
                return failed(
                    Reply(reply, str(status), f"{self._name} answered {status} with a body that is not its own")
                )
        outcome = self._table.get(code) or self._table.get(status) or _unnamed(reply, code)
        shown = code if _CODE_FORM.fullmatch(code) else ""
        text = f"{self._name} answered {status}" + (f" {shown}" if shown else "")
        return outcome(Reply(reply, shown or str(status), text))

    def _code(self, reply: Response) -> str:
        if not self._code_of:
            return ""
        code = self._code_of(read_json(reply.content) if reply.content else None)
        return "" if code is None else str(code)


def _unnamed(reply: Response, code: str) -> Outcome:
    """The outcome of what no table names."""
    if reply.is_success and not code:
        return done
    return discard if reply.is_success or reply.is_client_error else failed


def _is_refused(reply: Response, decision: Exception | None) -> bool:
    """Whether the CRM has certainly not written what it was sent; what failed may have been written first."""
    return isinstance(decision, Retry | Unavailable | Discard) and reply.status_code < HTTPStatus.INTERNAL_SERVER_ERROR


def _retry_after(reply: Response, default: float) -> float:
    """Seconds from `Retry-After`, which holds seconds or a date (RFC 9110 §10.2.3); from a second to an hour."""
    value = reply.headers.get("Retry-After", "")
    if value.isdecimal():
        return min(max(float(value), _SHORTEST_WAIT_SECONDS), _LONGEST_WAIT_SECONDS)
    try:
        until = parsedate_to_datetime(value)
        since = parsedate_to_datetime(reply.headers["Date"]) if "Date" in reply.headers else datetime.now(UTC)
        return min(max(_SHORTEST_WAIT_SECONDS, (until - since).total_seconds()), _LONGEST_WAIT_SECONDS)
    except (TypeError, ValueError, OverflowError):
        return default
