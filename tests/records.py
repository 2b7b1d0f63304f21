"""Records in tests, written as the api and the workers write them."""

from redis import Redis

from shared.records.packing import Packing, Record
from shared.records.script import record_limits, record_text
from shared.settings.config import Settings
from shared.wire.events import Event, Reply

_WRITE = """
local records = {}
for at = 3, #ARGV, 2 do
  records[#records + 1] = {ARGV[at], ARGV[at + 1]}
end
write_records(records, tonumber(ARGV[1]), tonumber(ARGV[2]))
"""

_PACKING = Packing(Settings())


def record_of(event: Event, reply: Reply | None = None) -> Record:
    """The record of an event; no variable of it is declared."""
    return _PACKING.callback(event, reply or Reply())


def put_on_record(redis: Redis, *records: Record, settings: Settings | None = None) -> None:
    """Write records, all in one script."""
    parts = [part for record in records for part in record]
    redis.register_script(record_text() + _WRITE)(args=[*record_limits(settings or Settings()), *parts])
