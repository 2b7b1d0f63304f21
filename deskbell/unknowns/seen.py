"""The names in what Redis holds: the records, and the packets of the jobs that are still kept.

Of the last 50,000 callbacks on record the command alone is read. A packet is there as long as a job of its event is:
while it waits, some minutes after it is done, and for good when it is a dead letter.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from redis import Redis
from rq.job import Job

from shared.records.query import Call, all_calls
from shared.redis.job_data import read_data
from shared.wire.commands import canonical
from shared.wire.protocol import API_CALL, SYSTEM
from workers.dead_letters.registry import batched

MOST_PACKETS = 50_000
MOST_RECORDS = 50_000
_AT_ONCE = 500
_JOB = re.compile(re.escape(Job.redis_job_namespace_prefix) + r"(?P<event>[0-9a-f]{32})(-[A-Za-z0-9_-]+)?")


@dataclass(slots=True)
class Seen:
    """Names, and how many events had each.

    Attributes:
        logged: how many callbacks were looked at on record.
        packets: how many packets were read.
        commands: by name.
        events: values of `Event`, by command and name.
        fields: by command and name.
        variables: names of system variables.
    """

    logged: int = 0
    packets: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    fields: Counter[tuple[str, str]] = field(default_factory=Counter)
    variables: Counter[str] = field(default_factory=Counter)

    def add(self, packet: dict[str, Any]) -> None:
        """Count the names in a packet."""
        self.packets += 1
        command = canonical(str(packet.get("CallbackCommand")))
        self._add_fields(command, packet)
        if command == API_CALL and isinstance(body := packet.get("Body"), dict):
            self._add_variables(body)

    def add_call(self, call: Call) -> None:
        """Count the names in a record; that of an API call has variables alone."""
        self.logged += 1
        command = canonical(call.command)
        self.commands[command] += 1
        if command == API_CALL:
            self._add_variables(call.asked)
        else:
            self._add_fields(command, call.asked)

    def _add_fields(self, command: str, packet: Mapping[str, Any]) -> None:
        self.fields.update((command, name) for name in packet)
        if isinstance(event := packet.get("Event"), str):
            self.events[command, event] += 1

    def _add_variables(self, body: Mapping[str, Any]) -> None:
        self.variables.update(name for name in body if name.startswith(SYSTEM))


def read_seen(redis: Redis) -> Seen:
    """All names that Redis holds, of 50,000 packets at most."""
    seen = Seen()
    logged = set()
    for call in islice(all_calls(redis), MOST_RECORDS):
        logged.add(call.id.encode())
        seen.commands[canonical(call.command)] += 1
    seen.logged = seen.commands.total()
    for event_id, packet in islice(_packets(redis), MOST_PACKETS):
        seen.add(packet)
        if event_id not in logged:  # a dead letter's may be older than the records
            seen.commands[canonical(str(packet.get("CallbackCommand")))] += 1
    return seen


def _packets(redis: Redis) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The packet of each event of which a job is kept, once."""
    read: set[bytes] = set()
    for keys in batched(redis.scan_iter(f"{Job.redis_job_namespace_prefix}*", count=_AT_ONCE), _AT_ONCE):
        found = {form["event"].encode(): key for key in keys if (form := _JOB.fullmatch(key.decode(errors="replace")))}
        new = {event_id: key for event_id, key in found.items() if event_id not in read}
        with redis.pipeline(transaction=False) as pipeline:
            for key in new.values():
                pipeline.hget(key, "data")
            for event_id, data in zip(new, pipeline.execute(raise_on_error=False), strict=True):
                if packet := _packet(data):
                    read.add(event_id)
                    yield event_id, packet


def _packet(data: Any) -> dict[str, Any] | None:
    """The packet among a job's arguments; None where they are not readable, or hold none."""
    try:
        _, _, arguments, _ = read_data(data)
        packet = arguments[-1]["packet"]
    except (ValueError, TypeError, IndexError, KeyError):
        return None
    return packet if isinstance(packet, dict) else None
