"""Conversion of a variable to its parameter's type, by pydantic; docs/reference/http.md has the table.

Desk sends text, and sometimes numbers, true or false (PROTOCOL §3.1). Pydantic's own rules hold, except that

1. a number, true or false is read as its text is, so that `1`, `1.0` and `"1"` are the same argument;
2. where the type is a list or an object, text that holds one as JSON is read as JSON, and so is a list or an object;
3. text that reads as a number is not a date, and no float is infinite.

`shared.handlers.text_types` says which types no text can fit.
"""

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import (
    AllowInfNan,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FutureDate,
    FutureDatetime,
    GetPydanticSchema,
    NaiveDatetime,
    PastDate,
    PastDatetime,
    ValidationError,
    WrapValidator,
    create_model,
)
from pydantic_core import PydanticCustomError, to_json
from typing_extensions import is_typeddict

from shared.wire.json_values import read_json, text

CONFIG = ConfigDict(coerce_numbers_to_str=True)
"""Lets a number be text in the dicts and dataclasses that a parameter may be, as it may at the top."""

PLAIN = (str, int, float, bool, Decimal, bytes)
"""The types that are read from text as they stand."""

_ITEMS = (list, set, frozenset, tuple)
_UNTIL_ONE_DOES_NOT_FIT = GetPydanticSchema(  # an error for each of 80,000 items takes a second; `FailFast` has no hash
    lambda annotation, schema_of: {**schema_of(annotation), "fail_fast": True}
)
_MOMENTS = (datetime, AwareDatetime, NaiveDatetime, PastDatetime, FutureDatetime)
_DAYS = (date, PastDate, FutureDate, time, timedelta)
_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*")  # without backtracking: the text may be long
_MILLISECONDS = re.compile(r"[0-9]{13}")  # since the epoch, as Tencent writes times: from 2001 to 2286


def reading(annotation: Any) -> Any:
    """A parameter's annotation, changed so that pydantic converts what Desk sends."""
    adapted = _adapted(annotation)
    if annotation in PLAIN:
        return adapted  # as most parameters are: no second try is needed
    value: type[BaseModel] = create_model("Value", __config__=CONFIG, value=(adapted, Field(alias="value")))
    return Annotated[adapted, WrapValidator(partial(_read, value))]


def _read(value: type[BaseModel], given: Any, validate: Callable[[Any], Any]) -> Any:
    """Validate what came; if that fails, what it holds as JSON: only so does a strict type take a date out of text."""
    try:
        return validate(given)
    except ValidationError:
        structure = _structure(given)
        if structure is None:
            raise
    return value.model_validate_json(to_json({"value": structure})).value  # type: ignore[attr-defined]


def _structure(given: Any) -> list[Any] | dict[str, Any] | None:
    """A list or an object, also out of its JSON text; None for anything else."""
    if isinstance(given, str) and given.lstrip()[:1] in ("[", "{"):
        try:
            given = read_json(given)
        except ValueError:
            return None
    return given if isinstance(given, list | dict) else None


def _adapted(annotation: Any) -> Any:
    """An annotation in which each part, however deep, reads numbers and texts alike."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        base, *said = arguments
        inner = _adapted(base)
        ours = get_args(inner)[1:] if get_origin(inner) is Annotated else ()
        # Validators run from the last to the first: ours converts what came before the author's see it.
        before = [mark for mark in ours if isinstance(mark, BeforeValidator)]
        first = get_args(inner)[0] if ours else inner
        return Annotated[(first, *(mark for mark in ours if mark not in before), *said, *before)]
    if origin in (Union, UnionType):
        return Union[tuple(map(_adapted, arguments))]  # noqa: UP007 - a union of a list of types
    if arguments and inspect.isclass(origin) and issubclass(origin, Collection) and not is_typeddict(origin):
        adapted = origin[tuple(map(_adapted, arguments))]  # type: ignore[index]  # one with arguments takes them
        return Annotated[adapted, _UNTIL_ONE_DOES_NOT_FIT] if origin in _ITEMS else adapted
    marks = _marks(annotation, origin, arguments)
    return Annotated[(annotation, *marks)] if marks else annotation


def _marks(annotation: Any, origin: Any, arguments: tuple[Any, ...]) -> list[Any]:
    """The validators that pydantic needs for a type without parts."""
    if origin is Literal:
        return [BeforeValidator(partial(_member, members_by_text(arguments)))]
    if inspect.isclass(annotation) and issubclass(annotation, Enum):
        return [BeforeValidator(partial(_member, members_by_text(tuple(annotation))))]
    if annotation in (*PLAIN, UUID):
        return [*([AllowInfNan(False)] if annotation is float else []), BeforeValidator(_number_as_text)]
    if annotation in (*_MOMENTS, *_DAYS):
        return [BeforeValidator(_no_number if annotation in _DAYS else _no_small_number)]
    return []


def _number_as_text(given: Any) -> Any:
    return text(given) if isinstance(given, bool | int | float) else given


def _no_number(given: Any) -> Any:
    """`20260131` is more likely a day than seconds since 1970, and `30` might be minutes."""
    plain = _number_as_text(given)
    if isinstance(plain, str) and _NUMBER.fullmatch(plain):
        raise PydanticCustomError("time_from_number", "expected a time as ISO 8601 writes it, got a number")
    return plain


def _no_small_number(given: Any) -> Any:
    plain = _number_as_text(given)
    return int(plain) if isinstance(plain, str) and _MILLISECONDS.fullmatch(plain) else _no_number(plain)


def members_by_text(members: Collection[Any]) -> dict[str, Any]:
    """Members by the texts of their values; of two with one text, the one that is text itself."""
    values = {member: member.value if isinstance(member, Enum) else member for member in members}
    plain = {member: value for member, value in values.items() if isinstance(value, str | int | float)}
    return {text(plain[member]): member for member in sorted(plain, key=lambda member: isinstance(plain[member], str))}


def _member(by_text: Mapping[str, Any], given: Any) -> Any:
    plain = _number_as_text(given)
    return by_text.get(plain, plain) if isinstance(plain, str) else plain
