"""The CRM job type: each API call upserts the contact of its user.

`PUT {CRM_URL}/contacts/{user id}` with a bearer token, a JSON body and `Idempotency-Key`, the event's id: a CRM that
knows the key may answer a repeated request as it answered the first.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import quote

import httpx

from shared import ApiCall, Discard, Jobs, Retry, Settings
from shared.errors import ConfigError

jobs = Jobs()

_TIMEOUT_SECONDS = 10
_DEFAULT_WAIT_SECONDS = 30
_LONGEST_WAIT_SECONDS = 3600


@jobs.on(ApiCall, name="crm.contact", queue="crm", attempts=8, timeout=30)
def upsert_contact(event: ApiCall, settings: Settings) -> None:
    """Create or update the contact of the user who called; without a user id there is nothing to do.

    Raises:
        Retry: the CRM answered 429; after its `Retry-After`.
        Discard: the CRM answered another 4xx, which it would answer again; or no URL can hold the user id.
        httpx.HTTPError: it answered 5xx or not at all; tried again with backoff.
    """
    if not event.user_id:
        return
    if event.user_id in {".", ".."}:
        raise Discard("a user id of dots alone would name another path than a contact's")
    answer = _client(settings.crm_url, settings.crm_token.get_secret_value()).put(
        f"/contacts/{quote(event.user_id, safe='')}",
        headers={"Idempotency-Key": event.id},
        json={
            "id": event.user_id,
            "session": event.session_id,
            "channel": str(event.variables.get("SystemChannelType") or ""),
            "last_node": event.node,
            "last_seen": event.received_at.isoformat(),
            "variables": {name: value for name, value in event.variables.items() if not name.startswith("System")},
        },
    )
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Retry(after=_retry_after(answer))
    if answer.is_client_error:
        raise Discard(f"the CRM answered {answer.status_code}")
    if not answer.is_success:  # not raise_for_status: its text holds the URL, and so the user id
        raise httpx.HTTPStatusError(f"the CRM answered {answer.status_code}", request=answer.request, response=answer)


def _retry_after(answer: httpx.Response) -> float:
    """Seconds from `Retry-After`, which holds seconds or a date (RFC 9110 §10.2.3); at most an hour."""
    value = answer.headers.get("Retry-After", "")
    if value.isdecimal():
        return min(float(value), _LONGEST_WAIT_SECONDS)
    try:
        until = parsedate_to_datetime(value)
        since = parsedate_to_datetime(answer.headers["Date"]) if "Date" in answer.headers else datetime.now(UTC)
        return min(max(0.0, (until - since).total_seconds()), _LONGEST_WAIT_SECONDS)
    except (TypeError, ValueError):
        return _DEFAULT_WAIT_SECONDS


@lru_cache(maxsize=1)
def _client(url: str, token: str) -> httpx.Client:
    """One client for all jobs of a process: it keeps the connection."""
    if not url:
        raise ConfigError("DESKBELL_CRM_URL: expected the CRM's URL, got nothing; the job type crm.contact needs it")
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT_SECONDS)
