"""Contract drift: how what a call brings departs from what its handler declares; and the handler that a call lacks."""

import builtins
import keyword
import re
import unicodedata
from collections.abc import Collection, Mapping

from shared.handlers.handler import Handler
from shared.wire.protocol import SYSTEM

_MOST_PARAMETERS = 20
_LONGEST_NAME = 64
_TAKEN = {"callbacks", *dir(builtins)}  # names that the pasted lines, or those after them, use


def input_drift(handler: Handler, given: Collection[str]) -> tuple[list[str], list[str]]:
    """The names that a call lacks, but for inputs with a default, and those it brings that nobody declared.

    System variables come as Desk sees fit. A handler that takes the whole call may read any variable.
    """
    declared, when = handler.inputs.names, handler.when
    missing = sorted({name for name in (*handler.inputs.required, *when) if name not in given})
    if handler.event_parameter:
        return missing, []
    others = [name for name in given if not (name in declared or name in when or name.startswith(SYSTEM))]
    return missing, others


def handler_to_paste(node: str, variables: Mapping[str, bool]) -> str:
    """The source of a handler for a node: its parameters are the names of variables, with whether each has a value.

    A variable that came without a value gets a default, since Desk may send it empty again. Names come from
    outside: those that cannot be parameters are counted, not shown.
    """
    names = [name for name in variables if _is_parameter(name)][:_MOST_PARAMETERS]
    required = [f"{name}: str" for name in names if variables[name]]
    optional = [f'{name}: str = ""' for name in names if not variables[name]]
    others = len(variables) - len(names)
    whole = ["call: ApiCall"] if others else []
    function = re.sub(r"\W", "_", node or "answer").lower()
    if not _is_parameter(function) or function in _TAKEN:
        function = f"answer_{function}"
    given = ", ".join([*whole, *required, *optional])
    lines = [
        f'@callbacks.api_call("{node}")' if node else "@callbacks.api_call",
        f"async def {function}({given}) -> dict[str, str]:",
        *([f"    # call.variables has {others} more, whose names cannot be parameters"] if others else []),
        "    return {}",
    ]
    return "\n".join(lines)


def _is_parameter(name: str) -> bool:
    """Whether a name can be a parameter: Python would read one that is not in its normal form as another."""
    return (
        len(name) <= _LONGEST_NAME
        and name.isidentifier()
        and not keyword.iskeyword(name)
        and unicodedata.normalize("NFKC", name) == name
        and name not in ("call", "__debug__")
    )
