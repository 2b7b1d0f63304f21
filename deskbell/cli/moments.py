"""Moments as a person types them: a span back from now, a time of day, or an ISO date."""

import re
from datetime import UTC, datetime, timedelta

from deskbell.cli.exit import stop

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment_of(option: str, text: str) -> datetime:
    """The moment that an option's text means, in UTC; ends the command with a sentence if it means none.

    A time of day is the last such time, by this machine's time zone, as is a date that names none.
    """
    span = re.fullmatch(r"(\d{1,6})([smhd])", text)
    now = datetime.now(UTC).astimezone()
    try:
        if span:
            return (now - timedelta(**{_UNITS[span[2]]: int(span[1])})).astimezone(UTC)
        if re.fullmatch(r"\d\d:\d\d(:\d\d)?", text):
            moment = datetime.fromisoformat(f"{now:%Y-%m-%d}T{text}").astimezone()
            return (moment if moment <= now else moment - timedelta(days=1)).astimezone(UTC)
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        stop(f"{option}: expected a time such as 90s, 15m, 2h or 7d, 14:02, or an ISO date, got {text!r}")
