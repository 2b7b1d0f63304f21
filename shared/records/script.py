"""`record.lua`: the part of a script that writes records."""

from shared.redis.scripts import script_text
from shared.settings.config import Settings

_MEGABYTE = 1_000_000
_HOUR_MS = 3_600_000


def record_text() -> str:
    """It, to stand in front of a script that writes records."""
    return script_text("shared.records", "record")


def record_limits(settings: Settings) -> tuple[int, int]:
    """What `write_records` is given: the bytes that all records may take, and the milliseconds for which they stay."""
    return settings.record_mb * _MEGABYTE, settings.record_hours * _HOUR_MS
