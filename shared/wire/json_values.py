"""Reading JSON, and lenient conversion of its values: Tencent's pages differ about the type of a field."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic_core import from_json

_SURROGATE = re.compile(  # an escape begins behind an even number of backslashes
    r"(?<!\\)(?P<backslashes>(?:\\\\)*)\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?P<second>\\u[dD][c-fC-F][0-9a-fA-F]{2})?"
    r"|[c-fC-F][0-9a-fA-F]{2})"
)


def read_json(source: bytes | str) -> Any:
    """The value that JSON text means; half a surrogate pair in it is U+FFFD, since no text can hold it.

    Raises:
        ValueError: it is not JSON, which knows neither NaN nor an infinity.
    """
    try:
        return from_json(source, allow_inf_nan=False)
    except ValueError:
        # A client that cuts a name leaves half a pair, as an escape or as bytes.
        characters = source.decode("utf-8", "surrogatepass") if isinstance(source, bytes) else source
        characters = characters.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return from_json(_SURROGATE.sub(_whole_or_replaced, characters), allow_inf_nan=False)


def _whole_or_replaced(escape: re.Match[str]) -> str:
    return escape[0] if escape["second"] else f"{escape['backslashes']}\\ufffd"


def out_of_text(value: Any) -> Any:
    """The value of JSON in a text; text that is not JSON, and any other value, as it is."""
    if not isinstance(value, str):
        return value
    try:
        return read_json(value)
    except ValueError:
        return value


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
