"""What may be printed of a job: names in their own forms. Anything else may be a customer's, or of a damaged job."""

import re

from shared.declarations import NODE_FORM
from shared.jobs import LONGEST_NAME, NAME_FORM
from shared.protocol import COMMAND_FORM

UNPRINTABLE = "(unprintable)"
"""What stands for a job type's name that can be none."""

_FORMS = {
    "event_id": re.compile(r"[0-9a-f]{32}"),
    "command": re.compile(COMMAND_FORM),
    "node": re.compile(NODE_FORM),
}
_NAME = re.compile(NAME_FORM)


def printable_fields(**fields: object) -> dict[str, str]:
    """Those of `event_id`, `command` and `node` that have their forms; a node may be ""."""
    return {name: value for name, value in fields.items() if isinstance(value, str) and _fits(name, value)}


def printable_name(name: object) -> str:
    """A job type's name, if it can be one."""
    is_one = isinstance(name, str) and len(name) <= LONGEST_NAME and _NAME.fullmatch(name)
    return str(name) if is_one else UNPRINTABLE


def _fits(name: str, value: str) -> bool:
    return bool(_FORMS[name].fullmatch(value)) or (name == "node" and not value)
