"""Options that the decorators of handlers and of job types have in common: `app=`, `when=`, names."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from shared.declarations.nearest import advice, nearest
from shared.errors import DeclarationError
from shared.wire.events import Event, Field
from shared.wire.json_values import text
from shared.wire.protocol import SYSTEM_VARIABLES

NODE_FORM = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""What a node may be called: it stands in a URL path and in logs."""

JOB_NAME_FORM = r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*"
"""What a job type may be called: in ids of jobs a dash stands for the dot, and so no name has one."""

LONGEST_JOB_NAME = 100
"""Characters: a longer name would not be logged."""

_NEAR = 0.82  # "Evnt" is near to "Event", "NextNodeName", which a packet may hold one day, not to "NodeName"
_VERY_NEAR = 0.9  # "SystemSesionID" is near to "SystemSessionID", "SystemClientUserName" not to "SystemClientUserID"


def refuse_unknown(where: str, unknown: Iterable[str], known: Iterable[str]) -> None:
    """Refuse the options of a decorator that do not exist, naming the nearest that does."""
    known = sorted(known)
    for option in unknown:
        hint = advice(option, known, f"; the options are {', '.join(known)}")
        raise DeclarationError(f"{where}: unknown option {option}{hint}")


def check_name(where: str, name: object, form: str, what: str, example: str) -> None:
    """Refuse a name that does not have the form it needs on the wire."""
    if not isinstance(name, str) or not re.fullmatch(form, name):
        raise DeclarationError(f"{where}: {what} must match {form}, got {name!r}; write for example {example}")


def app_ids(where: str, app: object) -> frozenset[str]:
    """`app=`: one SdkAppid or several, as a set; empty, from None, means all."""
    if app is None:
        return frozenset()
    given: list[Any] = list(app) if isinstance(app, Iterable) and not isinstance(app, str) else [app]
    for each in given:
        check_name(where, each, "[0-9]{1,20}", "app=", 'app="1400000001"')
    if not given:
        raise DeclarationError(f'{where}: app= names no app; leave it out for all, or write app="1400000001"')
    return frozenset(given)


def check_fields(where: str, what: str, names: Iterable[str], events: Iterable[type[Event]]) -> None:
    """Refuse a documented field in another spelling, by its attribute's name, or misspelt: it would never be there.

    A name that resembles none of the documented ones may be a field that is newer than they.
    """
    known = {"callbackcommand": "CallbackCommand"}
    for event in events:
        for attribute, name in field_names(event).items():
            known |= {attribute.replace("_", ""): name, name.lower().replace("_", ""): name}
    for name in names:
        right = nearest(name, known, _NEAR)
        if right not in (name, None):
            raise DeclarationError(f"{where}: {what} names {name!r}; write {right!r}, as the packet does")


def field_names(kind: type[Event]) -> dict[str, str]:
    """The fields of a class's packets that its attributes read, by attribute."""
    found = [(name, value) for each in reversed(kind.__mro__) for name, value in vars(each).items()]
    return {name: value.name for name, value in found if isinstance(value, Field)}


def check_variables(where: str, what: str, names: Iterable[str]) -> None:
    """Refuse a misspelt system variable; other variables may have any name."""
    known = {name.lower(): name for name in SYSTEM_VARIABLES}
    for name in names:
        right = nearest(name, known, _VERY_NEAR)
        if right not in (name, None):
            raise DeclarationError(f"{where}: {what} names {name!r}; write {right!r}, as Desk does")


def conditions(where: str, when: object) -> dict[str, str]:
    """`when=` with its values as texts."""
    if not isinstance(when, Mapping) or not all(
        isinstance(name, str) and isinstance(value, str | int | float) for name, value in when.items()
    ):
        raise DeclarationError(f'{where}: when= must map names to texts; write when={{"type": "1"}}')
    return {name: text(value) for name, value in when.items()}
