"""The shop's job types: the slow work, done by workers after the answer."""

import os
from urllib.parse import quote

import httpx

from shared import ApiCall, Jobs, Retry
from workers.jobs import analytics, crm

jobs = Jobs()
jobs.include(crm.jobs)
jobs.include(analytics.jobs)


@jobs.on(ApiCall, node="order_status", queue="crm", timeout=30)
async def record_enquiry(event: ApiCall) -> None:
    """Note in the CRM which order a customer asked about."""
    headers = {"Authorization": f"Bearer {os.environ['DESKBELL_CRM_TOKEN']}", "Idempotency-Key": event.id}
    async with httpx.AsyncClient(base_url=os.environ["DESKBELL_CRM_URL"], headers=headers) as client:
        reply = await client.post(f"/contacts/{quote(event.user_id, safe='')}/enquiries", json=event.variables)
    if reply.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Retry(after=60)
    reply.raise_for_status()
