"""Moments that an option names."""

from datetime import datetime

from deskbell.calls.moments import FORM, read_moment
from deskbell.cli.exit import stop


def moment_of(option: str, text: str) -> datetime:
    """The moment that an option's text means, in UTC; ends the command with a sentence if it means none.

    A time of day is the last such time, by this machine's time zone, as is a date that names none.
    """
    try:
        return read_moment(text, None)
    except ValueError:
        stop(f"{option}: expected {FORM}, got {text!r}")
