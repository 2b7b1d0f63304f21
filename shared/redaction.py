"""Redaction of names that come from outside: what of them may stand in a log line or on a terminal.

Values from callbacks never reach logs. Names do, in their own forms only: anything else may be a customer's text.
"""

import re
from collections.abc import Sequence

from shared.declarations.options import JOB_NAME_FORM, LONGEST_JOB_NAME, NODE_FORM
from shared.wire.protocol import COMMAND_FORM

UNPRINTABLE = "(unprintable)"
"""What stands in a log line for a job type's name that no job type can have."""

_FORMS = {
    "event_id": re.compile(r"[0-9a-f]{32}"),
    "command": re.compile(COMMAND_FORM),
    "node": re.compile(f"({NODE_FORM})?"),
}
_JOB_NAME = re.compile(JOB_NAME_FORM)
_MOST_NAMES, _LONGEST_SHOWN, _LONGEST_LINE = 10, 64, 4000


def loggable_fields(**fields: object) -> dict[str, str]:
    """Those of `event_id`, `command` and `node` that have their forms; a node may be ""."""
    return {name: value for name, value in fields.items() if isinstance(value, str) and _FORMS[name].fullmatch(value)}


def loggable_job_name(name: object) -> str:
    """A job type's name, if it can be one."""
    is_one = isinstance(name, str) and len(name) <= LONGEST_JOB_NAME and _JOB_NAME.fullmatch(name)
    return str(name) if is_one else UNPRINTABLE


def loggable_names(names: Sequence[str]) -> list[str]:
    """Names of variables: in ASCII, cut to 64 characters, ten at most and how many more there are."""
    shown = [ascii(name)[1:-1][:_LONGEST_SHOWN] for name in names[:_MOST_NAMES]]
    return shown + ([f"{len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else [])


def terminal_text(text: str) -> str:
    """Text as one line of a terminal: 4,000 characters at most, and how many more there are.

    A question mark stands for what a terminal would obey: control characters, and marks that turn a line around.
    """
    more = len(text) - _LONGEST_LINE
    shown = "".join(character if character.isprintable() else "?" for character in text[:_LONGEST_LINE])
    return f"{shown}… {more:,} more characters" if more > 0 else shown
