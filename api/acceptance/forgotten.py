"""Drops from the spool the events of users who were forgotten after these had come: `deskbell forget` reaches no disk.

Redis has the list of such users. While it cannot be read, nothing is drained: what was to be forgotten must not appear.
"""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis as AsyncRedis

from api.acceptance.accept import Entry
from shared.records.users import FORGOTTEN_USERS_KEY, event_of_job, is_forgotten, users_of
from shared.wire.events import Event


async def forgotten_among(redis: AsyncRedis, entries: Sequence[Entry]) -> set[str]:
    """The ids of the events that are to be dropped.

    Raises:
        Exception: Redis does not say so in time.
    """
    events = [event for entry in entries if (event := _event(entry)) and event.user_id]
    if not events:
        return set()
    fields = [field for event in events for field in users_of(event)]
    until: Any = await redis.zmscore(FORGOTTEN_USERS_KEY, fields)
    pairs = zip(events, zip(until[::2], until[1::2], strict=True), strict=True)
    return {event.id for event, moments in pairs if is_forgotten(event, moments)}


def _event(entry: Entry) -> Event | None:
    try:
        event = event_of_job(entry.data)
        _ = event.user_id
    except Exception:  # noqa: BLE001 - a damaged event is kept as it is; it is a dead letter in the end
        return None
    return event
