"""Which variables hold personal values: those that their declaration marks, and the system's own about the user."""

from typing import Annotated, Any, get_args, get_origin

from shared.wire.protocol import SYSTEM, SYSTEM_VARIABLES

_OF_THE_USER = "SystemClientUserID"


class Personal:
    """Marks a variable whose values say something of a person: `Phone: Annotated[str, Personal]`.

    Its values are not put on record, whichever handler has it as a parameter or answers it; its length is. Of a system
    variable that no page lists, and of `SystemClientUserID`, the same holds without the mark.
    """


def is_personal(name: str, annotation: Any) -> bool:
    """Whether a variable is, by its name and its annotation."""
    is_listed = name in SYSTEM_VARIABLES and name != _OF_THE_USER
    return (name.startswith(SYSTEM) and not is_listed) or _is_marked(annotation)


def _is_marked(annotation: Any) -> bool:
    marks = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return any(mark is Personal or isinstance(mark, Personal) for mark in marks) or any(
        map(_is_marked, get_args(annotation)[: 1 if marks else None])
    )
