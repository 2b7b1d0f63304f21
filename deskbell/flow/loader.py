"""Reads a flow file, and refuses what cannot be played: a sentence with the file, the line and what to write."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deskbell.flow.document import Document
from deskbell.flow.mistakes import sentence
from deskbell.flow.model import CALLBACKS, FlowFile, Step
from deskbell.simulator.packets import packet_of
from shared.declarations.options import check_variables
from shared.errors import DeclarationError, FlowFileError, PacketError

Location = tuple[str | int, ...]

_SEPARATE = "one key for each step: begin a line of its own with a dash"


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow file that can be played."""

    document: Document
    content: FlowFile

    @property
    def path(self) -> Path:
        """The file."""
        return self.document.path


def load_flow(path: Path) -> Flow:
    """Read a file.

    Raises:
        FlowFileError: it is not a flow; the first mistake, with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise FlowFileError(f"{path}: expected text in UTF-8, got other bytes") from None
    except OSError as error:
        raise FlowFileError(f"{path}: expected a flow file, got: {error.strerror}") from None
    document = Document(path, text)
    try:
        content = FlowFile.model_validate(document.value)
    except ValidationError as error:
        # What is missing may be what is misspelt elsewhere.
        mistakes = error.errors(include_url=False)
        first = min(mistakes, key=lambda each: (each["type"] == "missing", document.line(each["loc"])))
        raise FlowFileError(f"{document.at(first['loc'])}: {sentence(document, first)}") from None
    _check_names(document, ("session",), content.session)
    for name, steps in content.cases.items():
        _check(document, ("cases", name), steps, None)
    return Flow(document, content)


def _check(document: Document, place: Location, steps: Sequence[Step], last: str | None) -> None:
    """Refuse steps that refer to what is not there.

    Args:
        document: the file.
        place: where the steps are.
        steps: a case, or an exception branch.
        last: the kind of the callback before them.
    """
    for number, step in enumerate(steps):
        here = (*place, number)
        at = document.at(here)
        if len(step.model_fields_set) != 1:
            got = " and ".join(sorted(step.model_fields_set)) or "none"
            raise FlowFileError(f"{at}: expected {_SEPARATE}, got {got}")
        if step.key in CALLBACKS:
            last = step.key
            _check_callback(document, here, step)
        elif last is None and step.key != "wait":
            raise FlowFileError(f"{at}: {step.key} is about the callback before it, and there is none; write one first")
        if step.expect and not step.expect.model_fields_set:
            raise FlowFileError(f"{at}: expect checks nothing; write for example expect: {{outcome: answered}}")
        if step.jobs and not (step.jobs.model_extra or step.jobs.others):
            raise FlowFileError(f"{at}: jobs checks nothing; write for example jobs: {{crm.contact: done}}")
        if step.desk and not step.desk.model_fields_set - {"within_ms"}:
            raise FlowFileError(f"{at}: desk checks nothing; write for example desk: {{send_msg: the text}}")
        if step.exception is not None:
            if last != "call":
                raise FlowFileError(f"{at}: only an API call has an exception branch, and the last callback is {last}")
            _check(document, (*here, "exception"), step.exception, last)


def _check_callback(document: Document, here: Location, step: Step) -> None:
    if step.call:
        _check_names(document, (*here, "call", "variables"), step.call.variables)
        _check_names(document, (*here, "call", "session"), step.call.session)
        both = step.call.variables.keys() & step.call.session.keys()
        if both:
            raise FlowFileError(
                f"{document.at((*here, 'call', 'session'))}: {min(both)} is given twice, under variables and under "
                "session; keep one"
            )
        return
    command = step.event.command if step.event else "assign_agent"
    fields = step.event.fields if step.event else step.assign.fields if step.assign else {}
    try:
        packet_of(command, fields)
    except (PacketError, DeclarationError) as error:
        raise FlowFileError(f"{document.at((*here, step.key))}: {error}") from None
    if command.lower() in ("api_call", "chatbot.interfaceinvocation"):
        raise FlowFileError(f"{document.at((*here, 'event'))}: an API call is a step of its own; write call: NODE")


def _check_names(document: Document, place: Location, names: Any) -> None:
    try:
        check_variables(document.at(place), "a variable", names)
    except DeclarationError as error:
        raise FlowFileError(str(error)) from None
