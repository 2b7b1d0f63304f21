"""Return annotations: a function whose result could never be answered is refused at import."""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Never, NewType, NoReturn, Union, get_args, get_origin

from pydantic import BaseModel, PydanticSchemaGenerationError, RootModel, TypeAdapter
from typing_extensions import TypeAliasType

from shared.errors import DeclarationError
from shared.handlers.results import Assignment

_WITHOUT_TEXT = ("callable", "is-subclass")


def kinds(annotation: Any) -> Iterator[Any]:
    """The types of a return annotation: the members of unions, without aliases, `Annotated` and awaitables.

    `Any` stands for an unknown type; a function that never returns has none.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in (inspect.Signature.empty, object):
        yield Any
    elif annotation is None:
        yield NoneType
    elif annotation in (Never, NoReturn):
        return
    elif origin in (Union, UnionType):
        for each in arguments:
            yield from kinds(each)
    elif origin is Literal:
        yield from dict.fromkeys(type(each) for each in arguments)
    elif (inner := _inner(annotation, origin, arguments)) is not None:
        yield from kinds(inner)
    else:
        yield annotation


def _inner(annotation: Any, origin: Any, arguments: tuple[Any, ...]) -> Any:
    """The annotation that another one stands for; None when it stands for itself."""
    if origin is Annotated:
        return arguments[0]
    if inspect.isclass(origin) and issubclass(origin, Awaitable) and arguments:
        return arguments[-1]  # it is awaited
    if isinstance(annotation, NewType):
        return annotation.__supertype__
    if isinstance(annotation, TypeAliasType):
        return annotation.__value__
    if inspect.isclass(annotation) and issubclass(annotation, RootModel):
        return annotation.model_fields["root"].annotation
    return None


def check_returned(where: str, annotation: Any, can_be: Callable[[Any], bool], write: str) -> None:
    """Refuse a function whose return annotation names a type that can never be answered."""
    for kind in kinds(annotation):
        if kind not in (Any, NoneType) and not can_be(kind):
            shown = inspect.formatannotation(kind, Assignment.__module__)  # ours by its public name alone
            raise DeclarationError(f"{where}: it may return {shown}, which cannot be answered; {write}")


def can_be_variables(kind: Any) -> bool:
    """Whether a type can be an API call's answer: names with values that have a text."""
    if not (_may_be(kind, Mapping, dict) or _may_be(kind, BaseModel, BaseModel)):
        return False
    arguments = get_args(kind) if _may_be(kind, Mapping, dict) else ()
    if len(arguments) != len(("name", "value")):
        return True  # a class that is generic in its own way, or not at all
    names, values = (list(kinds(each)) for each in arguments)
    return all(each is Any or _may_be(each, str, str) for each in names) and all(map(can_be_json, values))


def can_be_assignment(kind: Any) -> bool:
    """Whether a type can be the answer to agent routing."""
    return _may_be(kind, Assignment, Assignment)


def can_be_permission(kind: Any) -> bool:
    """Whether a type can be the answer when an agent wants to write first: None alone can."""
    return _may_be(kind, NoneType, NoneType)


def can_be_json(kind: Any) -> bool:
    """Whether a type's values can be written as JSON, as far as pydantic knows."""
    if kind is Any or getattr(kind, "_is_protocol", False):
        return True
    try:
        return TypeAdapter(kind).core_schema["type"] not in _WITHOUT_TEXT
    except PydanticSchemaGenerationError:
        return False
    except Exception:  # noqa: BLE001 - such as a name that is defined later: nobody can tell
        return True


def _may_be(kind: Any, wide: type, narrow: type) -> bool:
    """Whether something of a type may be of another: the two are related, or nobody can tell."""
    plain = get_origin(kind) or kind
    try:
        return not inspect.isclass(plain) or issubclass(plain, wide) or issubclass(narrow, plain)
    except TypeError:  # a protocol that cannot be asked
        return True
