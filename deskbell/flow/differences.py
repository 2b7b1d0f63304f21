"""Compares an answer with what a flow file expects of it. Subset matching: what is not named may be there."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from deskbell.flow.model import Expect
from deskbell.simulator.client import Answer

DifferenceKind = Literal["missing", "differs", "extra", "outcome", "branch", "job", "late"]
"""`branch`: the exception branch is taken and not written, or the other way round; `late`: the answer took too long."""

_ENVELOPE = ("ActionStatus", "ErrorInfo", "ErrorCode", "Body")


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes:
        what: the variable, the field or the job type.
        expected, got: in words.
        line: the line of the flow file, from 1.
    """

    kind: DifferenceKind
    what: str
    expected: str
    got: str
    line: int

    def __str__(self) -> str:
        """The difference in a sentence."""
        kind = "" if self.what == self.kind else f"{self.kind}: "
        return f"line {self.line}: {kind}{self.what}: expected {self.expected}, got {self.got}"


def differences(expect: Expect, answer: Answer, outcome: str, line: int) -> Iterator[Difference]:
    """How an answer differs from what is expected.

    Args:
        expect: what is expected.
        answer: what came.
        outcome: how it came about; "" where nothing was kept of it.
        line: of the step.
    """
    envelope = answer.envelope
    if expect.outcome and expect.outcome != outcome:
        info = answer.envelope.get("ErrorInfo")
        got = f"{outcome} ({info})" if info else outcome
        yield Difference("outcome", "outcome", expect.outcome, got if outcome else in_words(answer), line)
    if expect.code is not None and expect.code != answer.code:
        yield Difference("outcome", "ErrorCode", str(expect.code), in_words(answer), line)
    if expect.info is not None and expect.info != envelope.get("ErrorInfo"):
        yield Difference("outcome", "ErrorInfo", _quoted(expect.info), _quoted(envelope.get("ErrorInfo", "")), line)
    fields = {name: value for name, value in envelope.items() if name not in _ENVELOPE}
    yield from _compared(expect.variables, answer.variables, line, only=bool(expect.others))
    yield from _compared(expect.fields, fields, line, only=bool(expect.others))
    if expect.within_ms is not None and answer.ms > expect.within_ms:
        yield Difference("late", "within_ms", f"{expect.within_ms} ms at most", f"{answer.ms:.0f} ms", line)


def in_words(answer: Answer) -> str:
    """An answer, short."""
    if answer.code is None:
        return f"HTTP {answer.status} and no answer of the api"
    words = f"ErrorCode {answer.code}" + (f" ({info})" if (info := answer.envelope.get("ErrorInfo")) else "")
    return words if answer.status == 200 else f"HTTP {answer.status}, {words}"  # noqa: PLR2004 - as everybody knows it


def _compared(expected: Mapping[str, Any], got: Mapping[str, Any], line: int, *, only: bool) -> Iterator[Difference]:
    names = ", ".join(got) or "nothing"
    for name, value in expected.items():
        if name not in got:
            yield Difference("missing", name, _quoted(value), names, line)
        elif got[name] != value:
            yield Difference("differs", name, _quoted(value), _quoted(got[name]), line)
    for name in got.keys() - expected.keys() if only else ():
        yield Difference("extra", name, "no others", _quoted(got[name]), line)


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
