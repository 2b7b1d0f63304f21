"""A console with something on every page: what a test of all pages looks at."""

import time
from typing import Any
from urllib.parse import urlencode

from redis import Redis

from deskbell.testing import api_call
from shared.records.packing import Packing
from shared.redis.queues import queue
from shared.settings.config import Settings
from shared.wire.events import Reply
from tests.records import put_on_record
from tests.workers.failed_jobs import write_dead_letters
from workers.audit import AuditLog

HOSTILE = "\"'><script>window.hit = 1</script><img src=x onerror='window.hit = 1'>\u202e\u2066\x1b[2J\x00"
UNKNOWN = "a" * 60
"""A node that nobody wrote a handler for."""


def fill(redis: Redis, text: str) -> list[str]:
    """Write a call with its session, dead letters, a queue, counts and an entry of the audit log, all of them named so.

    Returns:
        The address of every page that then shows something.
    """
    event = api_call(
        "order", SystemClientUserID=text, SystemSessionID=text, N=10**4999, **{text: "x", "V": text * 2000}
    )
    reply = Reply(variables={text: text}, info=text, outcome="refused")
    drifts = api_call("order_status", **{text: text, "Tier": "1"})
    unknown = api_call(UNKNOWN, **{text: text})
    pack = Packing(Settings(record_values=True)).callback
    put_on_record(redis, pack(event, reply), pack(drifts, Reply()), pack(unknown, Reply(outcome="no_handler")))
    (letter,) = write_dead_letters(redis, 1, queue=text, name=text)
    redis.hset(f"rq:job:{letter}", "ended_at", "2026-11-24T10:00:00.000000Z")
    queue(text, redis).enqueue("workers.perform.perform", job_id=f"{event.id}-order")
    redis.hset(f"deskbell:minute:{int(time.time() // 60) - 1}", f"callback\t{text}\toutcome\t{text}", 7)
    log = AuditLog(redis)
    log.note(text, text, text, text)
    log.note("replay", text, text, "done")
    given: list[tuple[str, dict[str, Any]]] = [
        ("/", {}),
        ("/calls", {}),
        ("/call", {"id": event.id}),
        ("/session", {"id": text}),
        ("/dead", {}),
        ("/dead/letter", {"id": letter}),
        ("/dead/plan", {"action": "replay", "cause": "", "job": ""}),
        ("/queues", {}),
        ("/queues", {"name": text}),
        ("/nodes", {}),
        ("/nodes", {"name": "order_status"}),
        ("/nodes", {"name": UNKNOWN}),
        ("/audit", {}),
        ("/nothing", {}),
    ]
    return [f"{path}?{urlencode(query)}" for path, query in given]
