"""`record.lua`: the part of a script that writes records, and the script that does nothing else."""

from collections.abc import Iterable

from shared.records.packing import Record
from shared.redis.scripts import script_text
from shared.settings.config import Settings

_MEGABYTE = 1_000_000
_HOUR_MS = 3_600_000
_WRITE = """
local records = {}
for at = 3, #ARGV, 2 do
  records[#records + 1] = {ARGV[at], ARGV[at + 1]}
end
write_records(records, tonumber(ARGV[1]), tonumber(ARGV[2]))
"""


def record_text() -> str:
    """It, to stand in front of a script that writes records."""
    return script_text("shared.records", "record")


def record_limits(settings: Settings) -> tuple[int, int]:
    """What `write_records` is given: the bytes that all records may take, and the milliseconds for which they stay."""
    return settings.record_mb * _MEGABYTE, settings.record_hours * _HOUR_MS


def write_text() -> str:
    """A script that writes the records that `write_arguments` gives it."""
    return record_text() + _WRITE


def write_arguments(records: Iterable[Record], settings: Settings) -> list[int | bytes]:
    """What that script is given: some hundred records at most, since it holds up everybody else on Redis."""
    return [*record_limits(settings), *(part for record in records for part in record)]
