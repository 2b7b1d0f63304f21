"""The variables of a node, as the person who enters them in Desk needs them; with their types in words."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from shared.declarations.kind import Kind
from shared.handlers.contract import OpenSchema, Outputs, Shape
from shared.handlers.variables import Inputs
from shared.sentences import Sentence, sentence
from shared.wire.protocol import SYSTEM


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of a node.

    Attributes:
        name: as the Desk administrator enters it.
        kind: system, custom, collected or fixed; `custom or collected` when the handler does not say; "" of an output.
        required: whether it must have a value, or is always answered.
        type: in words.
    """

    name: str
    kind: str
    required: bool
    type: str
    description: str


def input_variables(inputs: Inputs, when: Mapping[str, str]) -> list[Variable]:
    """The inputs of a handler: the fixed ones first, then its parameters."""
    schema = inputs.model.model_json_schema(schema_generator=OpenSchema)
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


def output_variables(outputs: Outputs) -> list[Variable]:
    """The outputs of a handler; none when it declares none."""
    found: dict[str, list[Variable]] = {}
    for variable in (variable for shape in outputs.shapes for variable in _of_shape(shape)):
        found.setdefault(variable.name, []).append(variable)
    return [
        replace(
            same[0],
            required=len(same) == len(outputs.shapes) and all(variable.required for variable in same),
            type=either(variable.type for variable in same),
        )
        for same in found.values()
    ]


def _of_shape(shape: Shape) -> list[Variable]:
    schema = shape.model.model_json_schema(mode="serialization", schema_generator=OpenSchema)
    return [
        Variable(
            name=name,
            kind="",
            required=name in shape.required,
            type=_type_in_words(field, schema.get("$defs", {})),
            description=field.get("description", ""),
        )
        for name, field in schema.get("properties", {}).items()
    ]


def _kind(parameter: inspect.Parameter) -> str:
    if parameter.name.startswith(SYSTEM):
        return Kind.SYSTEM
    said = [mark for mark in getattr(parameter.annotation, "__metadata__", ()) if isinstance(mark, Kind)]
    return said[0] if said else "custom or collected"


def either(texts: Iterable[str]) -> str:
    """One of several texts, each of them once."""
    first, *others = dict.fromkeys(texts)
    for other in others:
        first = sentence("{one} or {other}", one=first, other=other)
    return first


_KINDS = {
    "string": sentence("text"),
    "integer": sentence("integer"),
    "number": sentence("number"),
    "boolean": sentence("boolean"),
    "object": sentence("JSON object"),
    "array": sentence("JSON array"),
    "": sentence("any"),
}


def _limits(schema: Mapping[str, Any]) -> Iterable[Sentence]:
    said = {
        "minimum": partial(sentence, "at least {limit}"),
        "exclusiveMinimum": partial(sentence, "more than {limit}"),
        "maximum": partial(sentence, "at most {limit}"),
        "exclusiveMaximum": partial(sentence, "less than {limit}"),
        "minLength": partial(sentence, "at least {limit} characters"),
        "maxLength": partial(sentence, "at most {limit} characters"),
        "multipleOf": partial(sentence, "a multiple of {limit}"),
        "pattern": partial(sentence, "matching {limit}"),
    }
    return [say(limit=schema[name]) for name, say in said.items() if name in schema]


def _type_in_words(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """A JSON schema for the person who enters the variable."""
    schema = definitions.get(schema.get("$ref", "").rpartition("/")[2], {}) | dict(schema)
    if "enum" in schema or "const" in schema:
        values = [str(value) for value in schema.get("enum", [schema.get("const")])]
        return sentence("one of {values}", values=values)
    if "anyOf" in schema:
        return either(_type_in_words(each, definitions) for each in schema["anyOf"] if each.get("type") != "null")
    kind = schema.get("type", "")
    return sentence("{parts}", parts=[schema.get("format") or _KINDS.get(kind, kind), *_limits(schema)])
