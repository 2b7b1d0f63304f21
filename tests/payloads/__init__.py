"""What releases have written to Redis: the RQ jobs of some events, and a job for each of them, as they lie there.

A release's file is never changed. Before a release, `python -m tests.payloads VERSION` writes the file of this one.
"""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redis import Redis

from deskbell.simulator.packets import fixture_names, packet_of
from shared.redis.queues import EVENTS, PERFORM, events_job, queue
from shared.wire.commands import event_class
from shared.wire.events import Event, Reply

FOLDER = Path(__file__).parent
JOB = "kept"
"""The job type of the jobs."""

_RECEIVED_MS = 1_764_000_000_123
Hash = dict[str, Any]


def releases() -> list[Path]:
    """The files, one for each release."""
    return sorted(FOLDER.glob("*.json"))


def spools() -> list[Path]:
    """Files of the spool, as releases have left them on the disk, with the same events."""
    return sorted(FOLDER.glob("*.spool"))


def kept_events() -> Iterator[Event]:
    """One event of each documented command, always the same."""
    for number, name in enumerate(fixture_names()):
        packet = packet_of(name, now=_RECEIVED_MS / 1000)
        yield event_class(packet["CallbackCommand"])(
            id=f"{_RECEIVED_MS:012x}{number:020x}",
            app_id="1400000000",
            command=packet["CallbackCommand"],
            node="order_status" if name == "api_call" else "",
            received_at=datetime.fromtimestamp(_RECEIVED_MS / 1000, UTC),
            request_id="request",
            client_ip="192.0.2.1",
            platform="RESTAPI",
            raw=packet,
            reply=Reply(variables={"OrderStatus": "delivered"}, outcome="answered", handler_ms=1.5),
        )


def written() -> list[tuple[str, Hash]]:
    """The queue and the hash of each job, as this release writes them; nothing is asked of Redis."""
    connection = Redis()
    events, jobs = queue(EVENTS, connection), queue("default", connection)
    found = []
    for event in kept_events():
        wire = event.to_wire()
        found.append((EVENTS, events_job(events, event.command, wire, event.id).to_dict()))
        job = jobs.create_job(PERFORM, args=[JOB, wire], job_id=f"{event.id}-{JOB}", description=JOB, timeout=60)
        found.append(("default", job.to_dict()))
    return found


def to_text(fields: Hash) -> Hash:
    """A hash as JSON has it: bytes in base 64."""
    return {
        name: {"base64": base64.b64encode(it).decode()} if isinstance(it, bytes) else it for name, it in fields.items()
    }


def from_text(fields: Hash) -> Hash:
    """The hash that was written."""
    return {name: base64.b64decode(it["base64"]) if isinstance(it, dict) else it for name, it in fields.items()}
