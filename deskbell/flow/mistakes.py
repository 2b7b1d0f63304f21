"""What pydantic finds wrong with a flow file, as a sentence that says what to write instead."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from deskbell.flow.document import Document
from deskbell.flow.model import Assign, Call, DeskCommands, Event, Expect, FlowFile, JobEnd, JobEnds, Step, Wait
from shared.declarations.nearest import advice

_MODELS: dict[str, type[BaseModel]] = {
    "call": Call,
    "event": Event,
    "assign": Assign,
    "expect": Expect,
    "jobs": JobEnds,
    "desk": DeskCommands,
    "wait": Wait,
}


def sentence(document: Document, error: ErrorDetails) -> str:
    """What is wrong, what was expected, what came."""
    name = error["loc"][-1] if error["loc"] else "the file"
    subject = f"step {name + 1}" if isinstance(name, int) else name
    write = _SENTENCES.get(error["type"])
    if write is _unknown_key:
        return _unknown_key(document, error)
    return f"{subject}: {write(document, error) if write else _in_pydantics_words(error)}"


def _unknown_key(_: Document, error: ErrorDetails) -> str:
    location = error["loc"]
    name = str(location[-1])
    parent = location[-2] if len(location) > 1 else None
    known = _keys(location, parent)
    return f"unknown key {name}" + advice(name, known, f"; the keys here are {', '.join(known)}")


def _keys(location: Sequence[str | int], parent: str | int | None) -> list[str]:
    if "jobs" in location[-3:-2]:  # what precedes is the name of a job type
        return list(JobEnd.model_fields)
    model = FlowFile if parent is None else Step if isinstance(parent, int) else _MODELS[str(parent)]
    return list(model.model_fields)


def _not_text(document: Document, error: ErrorDetails) -> str:
    got = error["input"]
    if got is None:
        return 'expected text, got nothing; write "" for a variable without a value'
    if not isinstance(got, bool | int | float):
        return f"expected text, got {_shown(got)}"
    written = document.written(error["loc"])
    what = written if isinstance(got, bool) else f"the number {written}"
    return f'expected text, got {what} without quotes; write "{written}": it is a string on the wire'


def _not_one_of(_: Document, error: ErrorDetails) -> str:
    got, words = error["input"], str(error.get("ctx", {}).get("expected", "")).split("'")[1::2]
    near = advice(got, words) if isinstance(got, str) else ""
    return f"expected {' or '.join(words)}, got {_shown(got)}{near}"


def _not_of_the_form(_: Document, error: ErrorDetails) -> str:
    return f"expected text of the form {error.get('ctx', {}).get('pattern')}, got {_shown(error['input'])}"


def _not_an_object(_: Document, error: ErrorDetails) -> str:
    return f"expected an object, name: value, got {_shown(error['input'])}"


def _not_a_list(_: Document, error: ErrorDetails) -> str:
    return f"expected a list of steps, each begun with a dash, got {_shown(error['input'])}"


def _empty(_: Document, error: ErrorDetails) -> str:
    return f"expected at least one {'case' if error['loc'] == ('cases',) else 'step'}, got none"


def _missing(_: Document, error: ErrorDetails) -> str:
    return f"missing; write {error['loc'][-1]}: and its value"


_SENTENCES: dict[str, Callable[[Document, ErrorDetails], str]] = {
    "extra_forbidden": _unknown_key,
    "missing": _missing,
    "string_type": _not_text,
    "literal_error": _not_one_of,
    "string_pattern_mismatch": _not_of_the_form,
    "model_type": _not_an_object,
    "dict_type": _not_an_object,
    "list_type": _not_a_list,
    "too_short": _empty,
}


def _in_pydantics_words(error: ErrorDetails) -> str:
    reason = error["msg"].removeprefix("Value error, ")
    reason = reason[0].lower() + reason[1:]
    if reason.startswith("expected"):
        return reason
    return f"expected {reason.removeprefix('input should be ')}, got {_shown(error['input'])}"


def _shown(got: Any) -> str:
    if got is None:
        return "nothing"
    if isinstance(got, dict | list):
        return "an object" if isinstance(got, dict) else "a list"
    return repr(got) if isinstance(got, str) else str(got).lower()
