"""Writes the source of a handler for a call that no handler takes, for the log."""

import builtins
import keyword
import re
import unicodedata

from shared.wire.commands import ApiCall

_MOST_PARAMETERS = 20
_LONGEST_NAME = 64
_TAKEN = {"callbacks", *dir(builtins)}  # names that the pasted lines, or those after them, use


def handler_to_paste(call: ApiCall) -> str:
    """The source of a handler for a call: its parameters are the names of the variables, never their values.

    A variable that has no value in this call gets a default, since Desk may send it empty again. Names come from
    outside: those that cannot be parameters are counted, not shown.
    """
    names = [name for name in call.variables if _is_parameter(name)][:_MOST_PARAMETERS]
    required = [f"{name}: str" for name in names if call.variables[name] not in ("", None)]
    optional = [f'{name}: str = ""' for name in names if call.variables[name] in ("", None)]
    others = len(call.variables) - len(names)
    whole = ["call: ApiCall"] if others else []
    function = re.sub(r"\W", "_", call.node or "answer").lower()
    if not _is_parameter(function) or function in _TAKEN:
        function = f"answer_{function}"
    given = ", ".join([*whole, *required, *optional])
    lines = [
        f'@callbacks.api_call("{call.node}")' if call.node else "@callbacks.api_call",
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
