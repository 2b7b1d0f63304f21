"""The contract of a node: which variables go in and come out, and how a call or a result departs from it.

The inputs are a handler's parameters; the outputs are the fields of the TypedDict or pydantic model that it says it
returns. A handler that returns a plain dict declares no outputs, and any are allowed.
"""

import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, Required, Union, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.json_schema import GenerateJsonSchema

from shared.errors import DeclarationError
from shared.variables import Inputs, Kind

_SYSTEM = "System"
_MOST_NAMES, _LONGEST_NAME = 10, 64


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of a node.

    Attributes:
        name: as the Desk administrator enters it.
        kind: system, custom, collected or fixed; `custom or collected` when the handler does not say; "" of an output.
        required: whether it must have a value, or is always answered.
        type: in words.
        description: what it is for, or "".
    """

    name: str
    kind: str
    required: bool
    type: str
    description: str


def input_variables(inputs: Inputs, when: Mapping[str, str]) -> list[Variable]:
    """The inputs of a handler: the fixed ones first, then its parameters."""
    schema = inputs.model.model_json_schema(schema_generator=_Schema)
    required = schema.get("required", [])
    fixed = [Variable(name, Kind.FIXED, True, f'"{value}"', "") for name, value in when.items()]
    declared = [
        Variable(
            name=parameter.name,
            kind=_kind(parameter),
            required=parameter.name in required,
            type=_type_in_words(schema["properties"][parameter.name], schema.get("$defs", {})),
            description=schema["properties"][parameter.name].get("description", ""),
        )
        for parameter in inputs.parameters
        if parameter.name not in when
    ]
    return fixed + declared


def drift(declared: frozenset[str], when: Mapping[str, str], given: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """How a call departs from a node's inputs; system variables come as Desk sees fit, and are none.

    Returns:
        The declared names that the call lacks, and the names it brings that are not declared.
    """
    if given.keys() == declared and when.keys() <= declared:
        return [], []  # as with most calls
    undeclared = [name for name in given if name not in declared and name not in when and not name.startswith(_SYSTEM)]
    return sorted((declared | when.keys()) - given.keys()), undeclared


def shown_names(names: Sequence[str]) -> list[str]:
    """Names from outside as a log may hold them: in ASCII, not too long, not too many."""
    shown = [ascii(name)[1:-1][:_LONGEST_NAME] for name in names[:_MOST_NAMES]]
    return shown + ([f"{len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else [])


class _Schema(GenerateJsonSchema):
    """JSON Schema that leaves open what it has no words for."""

    def handle_invalid_for_json_schema(self, *_: Any) -> dict[str, Any]:
        return {}


class Outputs:
    """The variables that a handler declares to answer."""

    def __init__(self, where: str, annotation: Any) -> None:
        """Read what a function says it returns.

        Raises:
            DeclarationError: a field's annotation is nothing that pydantic knows.
        """
        self._model: type[BaseModel] | None = None
        self._names: frozenset[str] = frozenset()
        self._required: frozenset[str] = frozenset()
        declared = _without_none(annotation)
        try:
            if is_typeddict(declared):
                self._read_typed_dict(declared)
            elif inspect.isclass(declared) and issubclass(declared, BaseModel):
                self._read_model(declared)
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise DeclarationError(f"{where}: the fields of {declared.__name__} cannot be read ({reason})") from error

    @property
    def declared(self) -> bool:
        """Whether the handler says which variables it answers."""
        return self._model is not None

    def problems(self, result: Any, variables: Mapping[str, str] | None) -> list[str]:
        """How a result departs from what is declared; names variables, never values.

        Args:
            result: what the handler returned.
            variables: the same as texts.
        """
        if self._model is None or variables is None:
            return []
        undeclared = [name for name in variables if name not in self._names]
        found = [f"{name} is not declared" for name in shown_names(undeclared)]
        found += [f"{name} is declared and missing" for name in sorted(self._required - variables.keys())]
        if isinstance(result, Mapping):
            try:
                self._model.model_validate({name: result[name] for name in self._names if name in result})
            except ValidationError as error:
                found += [
                    f"{item['loc'][0]} does not fit ({item['type']})"
                    for item in error.errors(include_url=False, include_context=False, include_input=False)
                    if item["type"] != "missing"
                ]
            except Exception as error:  # noqa: BLE001 - an integrator's own validator
                found.append(f"it cannot be checked ({type(error).__name__})")
        return found

    def variables(self) -> list[Variable]:
        """The outputs; none when the handler declares none."""
        if self._model is None:
            return []
        schema = self._model.model_json_schema(mode="serialization", schema_generator=_Schema)
        return [
            Variable(
                name=name,
                kind="",
                required=name in self._required,
                type=_type_in_words(field, schema.get("$defs", {})),
                description=field.get("description", ""),
            )
            for name, field in schema.get("properties", {}).items()
        ]

    def _read_typed_dict(self, declared: Any) -> None:
        """Make a model of it: nobody has checked its values."""
        hints = get_type_hints(declared, include_extras=True)
        # Fields go by position: a variable may have any name, a pydantic field may not.
        fields: dict[str, Any] = {
            f"p{index}": (
                _without_required(hint),
                Field(alias=name) if name in declared.__required_keys__ else Field(default=None, alias=name),
            )
            for index, (name, hint) in enumerate(hints.items())
        }
        self._model = create_model("Outputs", __config__=ConfigDict(coerce_numbers_to_str=True), **fields)
        self._model.model_rebuild()
        self._names = frozenset(hints)
        self._required = frozenset(declared.__required_keys__)

    def _read_model(self, declared: type[BaseModel]) -> None:
        """Computed fields are outputs as well; all of them are answered."""
        declared.model_rebuild()
        self._model = declared
        schema = declared.model_json_schema(mode="serialization", schema_generator=_Schema)
        self._names = self._required = frozenset(schema.get("properties", {}))


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else annotation
    return annotation


def _without_required(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) in (Required, NotRequired) else hint


def _kind(parameter: inspect.Parameter) -> str:
    if parameter.name.startswith(_SYSTEM):
        return Kind.SYSTEM
    said = [mark for mark in getattr(parameter.annotation, "__metadata__", ()) if isinstance(mark, Kind)]
    return said[0] if said else "custom or collected"


_LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "multipleOf": "a multiple of {}",
    "pattern": "matching {}",
}


def _type_in_words(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """A JSON schema for the person who enters the variable."""
    schema = definitions.get(schema.get("$ref", "").rpartition("/")[2], {}) | dict(schema)
    if "enum" in schema or "const" in schema:
        return "one of " + ", ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        kinds = [_type_in_words(each, definitions) for each in schema["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    kind = schema.get("format") or {"string": "text", "object": "JSON object", "array": "JSON array"}.get(
        schema.get("type", ""), schema.get("type", "any")
    )
    limits = [words.format(schema[name]) for name, words in _LIMITS.items() if name in schema]
    return ", ".join([kind, *limits])
