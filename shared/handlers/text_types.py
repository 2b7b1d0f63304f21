"""Which types can be read from text: a parameter of another type would be a misfit in each call, and is refused."""

import inspect
from collections.abc import Iterator
from typing import Any

from pydantic import Field, create_model
from pydantic.fields import FieldInfo

from shared.errors import DeclarationError
from shared.handlers.reading import PLAIN, members_by_text, reading

_NEVER = ("callable", "is-instance", "is-subclass")
_STRICT = ("int", "float", "bool", "decimal", "complex", "bytes", "date", "time", "datetime", "timedelta", "uuid")
_ONE_OF = ("union", "tagged-union", "json-or-python")
_CONTENTS = {
    "nullable": ["schema"],
    "default": ["schema"],
    "function-after": ["schema"],
    "lax-or-strict": ["lax_schema"],
    "custom-error": ["schema"],
    "json-or-python": ["json_schema", "python_schema"],
    "union": ["choices"],
    "tagged-union": ["choices"],
    "model": ["schema"],
    "dataclass": ["schema"],
    "list": ["items_schema"],
    "set": ["items_schema"],
    "frozenset": ["items_schema"],
    "tuple": ["items_schema"],
    "dict": ["keys_schema", "values_schema"],
    "model-fields": ["fields"],
    "typed-dict": ["fields"],
    "dataclass-args": ["fields"],
}
_INSIDE = ("list", "set", "frozenset", "tuple", "dict", "model-fields", "typed-dict", "dataclass-args")


def field_of(where: str, parameter: inspect.Parameter) -> Any:
    """A parameter as pydantic's `create_model` takes a field.

    Raises:
        DeclarationError: no value that Desk sends could be converted to its annotation.
    """
    _check_field(where, parameter)
    default = {} if parameter.default is inspect.Parameter.empty else {"default": parameter.default}
    try:
        if parameter.annotation in PLAIN or takes_text(parameter.annotation):
            return reading(parameter.annotation), Field(alias=parameter.name, **default)
        reason = "nothing that a text says can be one"
    except Exception as error:  # noqa: BLE001 - whatever pydantic, or code of the author's, raises
        reason = str(error).partition("\n")[0]
    written = inspect.formatannotation(getattr(parameter.annotation, "__origin__", parameter.annotation))
    raise DeclarationError(
        f"{where}: parameter {parameter.name} is annotated {written}, which no text can be converted to; write str, "
        "int, float, bool, datetime, another type of pydantic's, or for JSON a list, a dict, a TypedDict or a model of "
        f"such ({reason})"
    )


def _check_field(where: str, parameter: inspect.Parameter) -> None:
    """Refuse a pydantic `Field` with an alias or a default: the parameter has the variable's name and default."""
    if isinstance(parameter.default, FieldInfo):
        raise DeclarationError(
            f"{where}: parameter {parameter.name} has a Field() as its default, which would be its value; write "
            f"{parameter.name}: Annotated[int, Field(ge=1)] = 1"
        )
    for field in getattr(parameter.annotation, "__metadata__", ()):
        if isinstance(field, FieldInfo) and (field.alias or field.validation_alias or not field.is_required()):
            raise DeclarationError(
                f"{where}: parameter {parameter.name} has a Field() with an alias or a default; a variable has the "
                f"parameter's name and default: write OrderID: Annotated[int, Field(ge=1)] = 1"
            )


def takes_text(annotation: Any) -> bool:
    """Whether some text, JSON where the type is a list or an object, can be read as a type.

    True where that cannot be known, as with a validator of the author's.
    """
    value: Any = create_model("Value", value=(annotation, Field(alias="value")))
    value.model_rebuild()  # otherwise the first call finds out that a name in quotes is not defined
    schema: Any = value.__pydantic_core_schema__
    while schema["type"] in ("definitions", "model"):
        schema = schema["schema"]
    return schema["type"] != "model-fields" or _fits(schema["fields"]["value"]["schema"], top=True)


def _fits(schema: Any, *, top: bool = False) -> bool:
    """Whether a value can fit a core schema of pydantic's: text at the top, any JSON value below."""
    kind = schema["type"]
    if kind in _NEVER or (kind == "none" and top):  # a variable without a value is absent
        return False
    if kind in _STRICT and top and schema.get("strict"):
        return False
    if kind == "literal":
        return bool(members_by_text(schema["expected"])) or (not top and None in schema["expected"])
    if kind == "enum":
        return "missing" in schema or bool(members_by_text(schema["members"]))
    found = [_fits(each, top=top and kind not in _INSIDE) for each in _contents(schema)]
    return any(found) if kind in _ONE_OF else all(found)


def _contents(schema: Any) -> Iterator[Any]:
    """The schemas inside another one that must, or may, be fitted."""
    for key in _CONTENTS.get(schema["type"], ()):
        held = schema.get(key, [])
        held = [held] if isinstance(held, dict) and "type" in held and key != "fields" else held
        for each in held.values() if isinstance(held, dict) else held:
            part = each[0] if isinstance(each, tuple) else each
            if part["type"].endswith("-field"):  # of a model, a typed dict or a dataclass; one may be left out
                part = part["schema"]
                if part["type"] == "default":
                    continue
            yield part
