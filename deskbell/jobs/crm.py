"""The CRM job type: each API call upserts the contact of its user.

`PUT {CRM_URL}/contacts/{user id}` with a bearer token, a JSON body and `Idempotency-Key`, the event's id: a CRM that
knows the key may answer a repeated request as it answered the first. The body is the whole contact as of one event, and
an event never overwrites a newer one: see `deskbell.adapters.contacts`.
"""

from deskbell import ApiCall, Breaker, Jobs, Settings
from deskbell.adapters.contacts import begin_write
from deskbell.adapters.needs import require
from deskbell.adapters.once import Once
from deskbell.adapters.outcomes import Outcomes, segment
from deskbell.http import Client, client

jobs = Jobs()
crm = Outcomes("the CRM", {})


@jobs.on(ApiCall, name="crm.contact", queue="crm", attempts=8, timeout=30, breaker=Breaker(failures=10, pause=30))
def upsert_contact(event: ApiCall, settings: Settings) -> None:
    """Create or update the contact of the user who called, unless a newer event has; without a user id do nothing.

    Raises:
        Retry: the CRM answered 429; after its `Retry-After`, which is no attempt.
        Unavailable: it answered 401, 403, 407 or 503; the queue is paused, which is no attempt either.
        Discard: it answered another 4xx, which it would answer again; or no URL can hold the user id.
        OutOfTurnError: another job writes the contact; tried again in a second, which is no attempt.
        HTTPError: it answered 5xx or not at all; tried again with backoff.
    """
    if not event.user_id:
        return
    path = f"/contacts/{segment(event.user_id)}"
    require("crm.contact", settings)
    http = _client(settings.crm_url, settings.crm_token.get_secret_value())
    contact = {
        "id": event.user_id,
        "session": event.session_id,
        "channel": str(event.variables.get("SystemChannelType") or ""),
        "last_node": event.node,
        "last_seen": event.received_at.isoformat(),
        "variables": {name: value for name, value in event.variables.items() if not name.startswith("System")},
    }
    if write := begin_write(settings, settings.crm_url, event):
        crm.send(http, "PUT", path, write=write, headers={"Idempotency-Key": event.id}, json=contact)


def _make_client(url: str, token: str) -> Client:
    return client(url, headers={"Authorization": f"Bearer {token}"} if token else {})


_client = Once(_make_client, Client.close)  # it keeps its connections
