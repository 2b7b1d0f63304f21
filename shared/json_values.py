"""JSON values read as the type that is due, whatever came: pages differ about which type a field has."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any


def text(value: Any) -> str:
    """A JSON value as Desk writes variables: text as it is, numbers in decimals, null as "".

    A number has one text, however JSON wrote it: 1 and 1.0 are `1`.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    return value if isinstance(value, str) else str(value)


def whole(value: Any) -> int | None:
    """A whole number, also one that came as text; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def flag(value: Any) -> bool | None:
    """True or false, also as text or 0 and 1; None for anything else."""
    return {"true": True, "1": True, "false": False, "0": False}.get(text(value).lower())


def moment(value: Any) -> datetime | None:
    """A UTC time from milliseconds since the epoch; None when it is no time."""
    try:
        return datetime.fromtimestamp((whole(value) or 0) / 1000, UTC) if whole(value) is not None else None
    except (ValueError, OverflowError, OSError):
        return None


def verbatim(value: Any) -> Any:
    """A JSON value as it came."""
    return value
