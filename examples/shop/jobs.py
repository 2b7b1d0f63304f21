"""The shop's job types: the slow work, done by workers after the answer."""

import atexit
from urllib.parse import quote

import httpx

from deskbell import ApiCall, Jobs, Retry, Settings, Unavailable
from deskbell.jobs import analytics, crm

from . import fresh, messages, tracking

jobs = Jobs()
jobs.include(crm.jobs)
jobs.include(analytics.jobs)
jobs.include(fresh.jobs)
jobs.include(tracking.jobs)
jobs.include(messages.jobs)

# One for the process: its connections are kept, and TLS is set up once. Threads may share it.
client = httpx.Client(timeout=10)
atexit.register(client.close)


@jobs.on(ApiCall, node="order_status", queue="crm", timeout=30)
def record_enquiry(event: ApiCall, settings: Settings) -> None:
    """Note in the CRM which order a customer asked about; an unknown customer has no record."""
    if not event.user_id:
        return
    reply = client.post(
        f"{settings.crm_url}/contacts/{quote(event.user_id, safe='')}/enquiries",
        headers={"Authorization": f"Bearer {settings.crm_token.get_secret_value()}", "Idempotency-Key": event.id},
        json=event.variables,
    )
    if reply.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Retry(after=60, counts=False, code=429)
    if reply.status_code == httpx.codes.UNAUTHORIZED:
        raise Unavailable("the CRM does not know the token", code=401)
    reply.raise_for_status()
