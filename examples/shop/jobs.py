"""The shop's job types: the slow work, done by workers after the answer."""

from urllib.parse import quote

import httpx

from shared import ApiCall, Jobs, Retry, Settings
from workers.jobs import analytics, crm

jobs = Jobs()
jobs.include(crm.jobs)
jobs.include(analytics.jobs)


@jobs.on(ApiCall, node="order_status", queue="crm", timeout=30)
async def record_enquiry(event: ApiCall, settings: Settings) -> None:
    """Note in the CRM which order a customer asked about."""
    headers = {"Authorization": f"Bearer {settings.crm_token.get_secret_value()}", "Idempotency-Key": event.id}
    async with httpx.AsyncClient(base_url=settings.crm_url, headers=headers) as client:
        reply = await client.post(f"/contacts/{quote(event.user_id, safe='')}/enquiries", json=event.variables)
    if reply.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Retry(after=60)
    reply.raise_for_status()
