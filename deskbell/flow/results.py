"""How cases ended: what the transcript shows, and what `--json`, JUnit and pytest are told."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deskbell.flow.differences import Difference
from deskbell.flow.loader import Flow
from deskbell.flow.player import NotPlayedError, Played, Player


@dataclass(slots=True)
class CaseResult:
    """A case that was played.

    Attributes:
        line: where it begins.
        seconds: how long it took.
        error: why it could not be played to its end; "" if it was.
    """

    path: Path
    case: str
    line: int
    steps: list[Played] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""

    @property
    def differences(self) -> Sequence[Difference]:
        """Those of all steps."""
        return [difference for step in self.steps for difference in step.differences]

    @property
    def has_passed(self) -> bool:
        """Whether all was as expected."""
        return not self.differences and not self.error

    @property
    def reasons(self) -> list[str]:
        """Why it has not passed, in sentences."""
        return [str(difference) for difference in self.differences] + ([self.error] if self.error else [])

    def as_json(self) -> dict[str, Any]:
        """The result as native JSON."""
        return {
            "file": str(self.path),
            "case": self.case,
            "line": self.line,
            "passed": self.has_passed,
            "seconds": round(self.seconds, 3),
            "error": self.error,
            "steps": [_step(step) for step in self.steps],
        }


def play_case(player: Player, flow: Flow, name: str, show: Callable[[Played], None]) -> CaseResult:
    """Play a case to its end.

    Args:
        player: plays it.
        flow: the file.
        name: the case.
        show: is called with each step once it has been played.
    """
    result = CaseResult(flow.path, name, flow.document.line(("cases", name)))
    started = time.perf_counter()
    try:
        for step in player.play(flow, name):
            result.steps.append(step)
            show(step)
    except NotPlayedError as error:
        result.error = str(error)
    result.seconds = time.perf_counter() - started
    return result


def _step(step: Played) -> dict[str, Any]:
    found: dict[str, Any] = {"line": step.line, "step": step.title}
    if step.answer:
        found |= {
            "event": step.answer.event_id,
            "outcome": step.outcome,
            "code": step.answer.code,
            "ms": round(step.answer.ms, 3),
            "sets": step.answer.variables,
        }
    if step.jobs:
        found["jobs"] = {job.name: job.state for job in step.jobs}
    if step.said:
        found["desk"] = [{"command": each.command, "fields": each.fields} for each in step.said]
    found["differences"] = [
        {"kind": each.kind, "what": each.what, "expected": each.expected, "got": each.got, "line": each.line}
        for each in step.differences
    ]
    return found
