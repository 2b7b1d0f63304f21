"""The CRM job type: each API call upserts the contact of its user.

`PUT {CRM_URL}/contacts/{user id}` with a bearer token, a JSON body and `Idempotency-Key`, the event's id: a CRM that
knows the key may answer a repeated request as it answered the first. The body is the whole contact as of one event, and
an event never overwrites a newer one: see `contacts.py`.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from urllib.parse import quote

import httpx
from redis import Redis

from deskbell import ApiCall, Breaker, Discard, Jobs, Retry, Settings, Unavailable
from deskbell.jobs.contacts import Write, contact_key
from deskbell.jobs.once import Once
from shared.errors import ConfigError
from shared.redis.connections import client
from shared.settings.proxies import client_options

jobs = Jobs()

TIMEOUT = httpx.Timeout(5, read=10)  # in sum less than the job's, which could not end the request
_REDIS_SECONDS = 2.0
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_UNAVAILABLE = (401, 403, 407, 503)  # an expired token, maintenance: every job gets the same answer
_TRANSIENT = (408, 425)  # refusals that say nothing about the contact
_SHORTEST_WAIT_SECONDS = 1
_DEFAULT_WAIT_SECONDS = 30
_LONGEST_WAIT_SECONDS = 3600


@jobs.on(ApiCall, name="crm.contact", queue="crm", attempts=8, timeout=30, breaker=Breaker(failures=10, pause=30))
def upsert_contact(event: ApiCall, settings: Settings) -> None:
    """Create or update the contact of the user who called, unless a newer event has; without a user id do nothing.

    Raises:
        Retry: the CRM answered 429; after its `Retry-After`, which is no attempt.
        Unavailable: it answered 401, 403, 407 or 503; the queue is paused, which is no attempt either.
        Discard: it answered another 4xx, which it would answer again; or no URL can hold the user id.
        OutOfTurnError: another job writes the contact; tried again in a second, which is no attempt.
        httpx.HTTPError: it answered 5xx or not at all; tried again with backoff.
    """
    if not event.user_id:
        return
    if event.user_id in {".", ".."}:
        raise Discard("a user id of dots alone would name another path than a contact's")
    client = _client(settings.crm_url, settings.crm_token.get_secret_value())
    request = client.build_request(
        "PUT",
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
    redis = _redis(settings.redis_url.get_secret_value())
    write = Write(redis, contact_key(settings.crm_url, event.user_id), event.id)
    if write.begin():
        _check(_send(client, request, write))


def _send(client: httpx.Client, request: httpx.Request, write: Write) -> httpx.Response:
    """Send the request, and record whether the CRM may have written the contact."""
    try:
        answer = client.send(request)
    except _UNSENT:
        write.withdraw()
        raise
    if answer.is_success or answer.is_server_error:  # what failed may have been written first
        write.end()
    else:
        write.withdraw()
    return answer


def _check(answer: httpx.Response) -> None:
    status, text = answer.status_code, f"the CRM answered {answer.status_code}"
    if answer.is_success:
        return
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise Retry(after=_retry_after(answer), counts=False, code=status)
    if status in _UNAVAILABLE:
        raise Unavailable(text, code=status)
    if answer.is_client_error and status not in _TRANSIENT:
        raise Discard(text, code=status)
    # Not raise_for_status: its text holds the URL, and so the user id.
    raise httpx.HTTPStatusError(text, request=answer.request, response=answer)


def _retry_after(answer: httpx.Response) -> float:
    """Seconds from `Retry-After`, which holds seconds or a date (RFC 9110 §10.2.3); from a second to an hour."""
    value = answer.headers.get("Retry-After", "")
    if value.isdecimal():
        return min(max(float(value), _SHORTEST_WAIT_SECONDS), _LONGEST_WAIT_SECONDS)
    try:
        until = parsedate_to_datetime(value)
        since = parsedate_to_datetime(answer.headers["Date"]) if "Date" in answer.headers else datetime.now(UTC)
        return min(max(_SHORTEST_WAIT_SECONDS, (until - since).total_seconds()), _LONGEST_WAIT_SECONDS)
    except (TypeError, ValueError):
        return _DEFAULT_WAIT_SECONDS


def _make_client(url: str, token: str) -> httpx.Client:
    if not url:
        raise ConfigError("DESKBELL_CRM_URL: expected the CRM's URL, got nothing; the job type crm.contact needs it")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT, **client_options(url))


_client = Once(_make_client, httpx.Client.close)  # it keeps its connections
_redis = Once(partial(client, seconds=_REDIS_SECONDS), Redis.close)
