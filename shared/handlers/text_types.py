"""Which types can be read from text: a parameter of another type would be a misfit in each call, and is refused."""

import inspect
from typing import Any

from pydantic import Field, create_model
from pydantic.fields import FieldInfo

from shared.errors import DeclarationError
from shared.handlers.reading import PLAIN, reading

_NEVER = ("callable", "is-instance", "is-subclass", "none")  # a variable without a value is absent
_STRICT = ("int", "float", "bool", "decimal", "complex", "bytes", "date", "time", "datetime", "timedelta", "uuid")
_AROUND = {
    "nullable": ["schema"],
    "default": ["schema"],
    "function-after": ["schema"],
    "lax-or-strict": ["lax_schema"],
    "custom-error": ["schema"],
    "json-or-python": ["json_schema", "python_schema"],
    "model": ["schema"],
}
"""Core schemas that stand around another one, and under which keys they have it."""


def field_of(where: str, parameter: inspect.Parameter) -> Any:
    """A parameter as pydantic's `create_model` takes a field."""
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
    """Whether some text can be read as a type.

    True where that cannot be known, as with a validator of the author's. What a list or a model holds is not looked at.
    """
    value: Any = create_model("Value", value=(annotation, Field(alias="value")))
    value.model_rebuild()  # otherwise the first call finds out that a name in quotes is not defined
    schema: Any = value.__pydantic_core_schema__
    while schema["type"] in ("definitions", "model"):
        schema = schema["schema"]
    return schema["type"] != "model-fields" or _fits(schema["fields"]["value"]["schema"])


def _fits(schema: Any) -> bool:
    """Whether a text can fit a core schema of pydantic's."""
    kind = schema["type"]
    if kind == "union":
        return any(_fits(each[0] if isinstance(each, tuple) else each) for each in schema["choices"])
    if kind in _AROUND:
        return any(_fits(schema[key]) for key in _AROUND[kind])
    return kind not in _NEVER and not (kind in _STRICT and schema.get("strict"))
