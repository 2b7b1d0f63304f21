"""Variables in and out: a call's values become a handler's arguments, its result becomes strings (PROTOCOL §3.1)."""

import inspect
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ValidationError, create_model
from pydantic_core import to_jsonable_python

from shared.errors import ResultError, VariableError
from shared.handlers.reading import CONFIG
from shared.handlers.text_types import field_of

_MOST_DIGITS = 400  # more than any float has


class Inputs:
    """The variables that a handler's parameters ask for, converted by pydantic as annotated: see `reading`."""

    def __init__(self, where: str, parameters: list[inspect.Parameter]) -> None:
        """Build the converter.

        Args:
            where: the handler, for messages.
            parameters: those parameters that are variables.

        Raises:
            DeclarationError: pydantic cannot convert to an annotation, or no text can be.
        """
        self.parameters = parameters
        self.names = frozenset(parameter.name for parameter in parameters)
        self.required = frozenset(
            parameter.name for parameter in parameters if parameter.default is inspect.Parameter.empty
        )
        self._names = {f"p{index}": parameter.name for index, parameter in enumerate(parameters)}
        # Fields go by position: a variable may have any name, `json` or `_id` too, a pydantic field may not.
        fields = {f"p{index}": field_of(where, parameter) for index, parameter in enumerate(parameters)}
        self.model: type[BaseModel] = create_model("Inputs", __config__=CONFIG, **fields)

    def bind(self, variables: Mapping[str, Any], *, blanks: bool = False) -> dict[str, Any]:
        """The arguments for a call.

        Args:
            variables: the call's `Body`; what no parameter asks for is ignored.
            blanks: whether `""` and null are values; otherwise they count as absent.

        Raises:
            VariableError: names each variable that is missing or does not fit.
        """
        given = {name: value for name, value in variables.items() if blanks or value not in ("", None)}
        try:
            model = self.model.model_validate(given)
        except ValidationError as error:
            reasons = {
                str(item["loc"][0]): "is missing"
                if item["type"] == "missing" and len(item["loc"]) == 1
                else f"does not fit ({item['type']})"
                for item in error.errors(include_url=False, include_context=False, include_input=False)
            }
            raise VariableError("; ".join(f"{name} {reason}" for name, reason in reasons.items())) from None
        return {name: getattr(model, position) for position, name in self._names.items()}


def to_variables(result: Any) -> dict[str, str] | None:
    """A handler's result as the reply's `Body`.

    Args:
        result: a dict, a TypedDict, a pydantic model, or None for no variables.

    Returns:
        Names and values as strings: numbers as decimal text, booleans `true` and `false`, None `""`, lists and
        dicts as JSON, other values as pydantic writes them in JSON.

    Raises:
        ResultError: the result is of another kind, a name is no string, or a value has no text.
    """
    if result is None:
        return None
    if isinstance(result, BaseModel):
        result = result.model_dump(by_alias=True)
    if not isinstance(result, Mapping):
        raise ResultError(f"expected a dict, a TypedDict, a pydantic model or None, got {type(result).__name__}")
    variables = {}
    for name, value in result.items():
        if not isinstance(name, str):
            raise ResultError(f"expected names of variables as str, got {type(name).__name__}")
        try:
            variables[name] = value if type(value) is str else _text(value)
            (name + variables[name]).encode()  # half a surrogate pair is not text
        except ValueError:
            raise ResultError(f"variable {name!r}: this {type(value).__name__} has no text") from None
    return variables


def _text(value: Any) -> str:
    plain = to_jsonable_python(value) if not isinstance(value, int | float | Decimal | str) else value
    if plain is None:
        return ""
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, str):
        return str.__str__(plain)  # an Enum's own `str` gives the member's name
    if isinstance(plain, int):
        return str(int(plain))
    if isinstance(plain, float | Decimal):
        number = Decimal(repr(float(plain)) if isinstance(plain, float) else plain)
        if not number.is_finite():
            raise ValueError("a number that is not finite has no decimal text")
        if abs(number.adjusted()) > _MOST_DIGITS:  # written out, 1e99999999 from a customer would fill the memory
            raise ValueError("a number of that many digits has no text")
        return f"{number:f}"
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
