"""The outputs that a handler declares, and how a result departs from them.

They are the fields of the TypedDict or pydantic model that it says it returns. A handler that returns a plain dict
declares no outputs, and any are allowed.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, NotRequired, Required, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import ReadOnly, get_type_hints, is_typeddict

from shared.declarations.personal import is_personal
from shared.errors import DeclarationError
from shared.handlers.returns import kinds
from shared.redaction import loggable_names


class OpenSchema(GenerateJsonSchema):
    """JSON Schema in which a type that it cannot describe is any value."""

    def handle_invalid_for_json_schema(self, *_: Any) -> dict[str, Any]:
        """The schema of a type that JSON Schema cannot describe: any value."""
        return {}


@dataclass(frozen=True, slots=True)
class Shape:
    """What a TypedDict or a model declares.

    Attributes:
        model: checks values, by the names of variables.
        names: the variables.
        required: those that are always answered.
        personal: those that hold personal values.
    """

    model: type[BaseModel]
    names: frozenset[str]
    required: frozenset[str]
    personal: frozenset[str]

    def problems(self, result: Any, variables: Mapping[str, str]) -> list[str]:
        """How a result departs from this."""
        found = [
            f"{name} is not declared" for name in loggable_names([name for name in variables if name not in self.names])
        ]
        found += [f"{name} is declared and missing" for name in sorted(self.required - variables.keys())]
        if isinstance(result, Mapping):
            try:
                self.model.model_validate({name: result[name] for name in self.names if name in result})
            except ValidationError as error:
                found += [
                    f"{item['loc'][0]} does not fit ({item['type']})"
                    for item in error.errors(include_url=False, include_context=False, include_input=False)
                    if item["type"] != "missing"
                ]
            except Exception as error:  # noqa: BLE001 - an integrator's own validator
                found.append(f"it cannot be checked ({type(error).__name__})")
        return found


class Outputs:
    """The variables that a handler declares to answer; of several TypedDicts and models, one is answered.

    Attributes:
        shapes: what each of them declares; none when the handler declares no outputs.
    """

    def __init__(self, where: str, annotation: Any) -> None:
        """Read what a function says it returns.

        Raises:
            DeclarationError: a field's annotation is nothing that pydantic knows.
        """
        found = [kind for kind in kinds(annotation) if kind is not NoneType]
        declare = all(_declares(kind) for kind in found)  # a plain dict among them lets any variable be answered
        self.shapes = [_shape(where, kind) for kind in found] if declare else []

    def problems(self, result: Any, variables: Mapping[str, str] | None) -> list[str]:
        """How a result departs from the nearest of the declared shapes; names variables, never values.

        Args:
            result: what the handler returned.
            variables: the result as texts.
        """
        if not self.shapes or variables is None:
            return []
        return min((shape.problems(result, variables) for shape in self.shapes), key=len)


def _declares(kind: Any) -> bool:
    plain = get_origin(kind) or kind
    return is_typeddict(plain) or (inspect.isclass(plain) and issubclass(plain, BaseModel) and plain is not BaseModel)


def _shape(where: str, kind: Any) -> Shape:
    plain = get_origin(kind) or kind
    try:
        return _shape_of_typed_dict(plain) if is_typeddict(plain) else _shape_of_model(kind)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise DeclarationError(f"{where}: the fields of {plain.__name__} cannot be read ({reason})") from error


def _shape_of_typed_dict(declared: Any) -> Shape:
    """Make a model of it, which checks values: a TypedDict checks none."""
    hints = get_type_hints(declared, include_extras=True)
    said: dict[str, Any] = {name: get_origin(hint) for name, hint in hints.items()}
    # The class's own set misses a `NotRequired` or a `Required` in quotes.
    required = (declared.__required_keys__ - _marked(said, NotRequired)) | _marked(said, Required)
    # Fields go by position: a variable may have any name, a pydantic field may not.
    fields: dict[str, Any] = {
        f"p{index}": (
            _plain_hint(hint),
            Field(alias=name) if name in required else Field(default=None, alias=name),
        )
        for index, (name, hint) in enumerate(hints.items())
    }
    model = create_model("Outputs", __config__=ConfigDict(coerce_numbers_to_str=True), **fields)
    model.model_rebuild()
    return Shape(model, frozenset(hints), required, _personal(hints))


def _marked(said: Mapping[str, Any], mark: Any) -> frozenset[str]:
    return frozenset(name for name, origin in said.items() if origin is mark)


def _shape_of_model(declared: type[BaseModel]) -> Shape:
    """Computed fields are outputs as well; all of them are answered."""
    declared.model_rebuild()
    schema = declared.model_json_schema(mode="serialization", schema_generator=OpenSchema)
    names = frozenset(schema.get("properties", {}))
    fields = declared.model_fields
    annotations: dict[str, Any] = {
        field.serialization_alias or name: Annotated[(field.annotation, *field.metadata, "")]
        for name, field in fields.items()
    }
    computed = declared.model_computed_fields
    annotations |= {field.alias or name: field.return_type for name, field in computed.items()}
    return Shape(declared, names, names, _personal(annotations))


def _personal(annotations: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name for name, annotation in annotations.items() if is_personal(name, annotation))


def _plain_hint(hint: Any) -> Any:
    while get_origin(hint) in (Required, NotRequired, ReadOnly):
        hint = get_args(hint)[0]
    return hint
