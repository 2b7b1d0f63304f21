"""Moments as a person types them: a span back from now, a time of day, or an ISO date."""

import re
from datetime import UTC, datetime, timedelta, tzinfo

from shared.sentences import sentence

FORM = sentence("a time such as 90s, 15m, 2h or 7d, 14:02, or an ISO date")
"""What may be typed."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def read_moment(text: str, zone: tzinfo | None) -> datetime:
    """The moment that a text means, in UTC.

    Args:
        text: see `FORM`. A time of day is the last such time.
        zone: of a time of day, and of a date that names none; None means this machine's.

    Raises:
        ValueError: it means none.
    """
    span = re.fullmatch(r"(\d{1,6})([smhd])", text)
    now = datetime.now(UTC).astimezone(zone)
    try:
        if span:
            return (now - timedelta(**{_UNITS[span[2]]: int(span[1])})).astimezone(UTC)
        if re.fullmatch(r"\d\d:\d\d(:\d\d)?", text):
            moment = _in_zone(datetime.fromisoformat(f"{now:%Y-%m-%d}T{text}"), zone)
            return (moment if moment <= now else moment - timedelta(days=1)).astimezone(UTC)
        return _in_zone(datetime.fromisoformat(text), zone).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"expected {FORM}") from None


def _in_zone(moment: datetime, zone: tzinfo | None) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=zone) if zone else moment.astimezone()
