"""Shows a case as it is played: each step with its line, the answer, and what differs."""

from rich.console import Console

from deskbell.flow.desk import in_words
from deskbell.flow.player import Played
from deskbell.flow.results import CaseResult

_MARGIN = " " * 10


class Transcript:
    """Writes to standard output."""

    def __init__(self) -> None:
        self._console = Console(soft_wrap=True, highlight=False, markup=False)

    def file(self, path: object, where: str) -> None:
        """A file is begun."""
        self._console.print(f"{path}, played against {where}", style="bold")

    def case(self, name: str) -> None:
        """A case is begun."""
        self._console.print(f"\n  {name}", style="bold")

    def step(self, step: Played) -> None:
        """A step has been played."""
        self._console.print(f"{step.line:>8}  {step.title}{_answer(step)}", style=None if step.differences else "dim")
        if step.answer and step.answer.variables:
            self._console.print(_MARGIN + ", ".join(f"{name}={text}" for name, text in step.answer.variables.items()))
        for job in step.jobs:
            self._console.print(_MARGIN + str(job))
        for received in step.said:
            self._console.print(_MARGIN + in_words(received))
        for difference in step.differences:
            self._console.print(_MARGIN + str(difference), style="red")

    def ended(self, result: CaseResult) -> None:
        """A case has been played."""
        if result.error:
            self._console.print(_MARGIN + result.error, style="red")
        word, style = ("passed", "green") if result.has_passed else ("FAILED", "bold red")
        self._console.print(f"  {word} in {result.seconds:.2f} s", style=style)

    def all(self, results: list[CaseResult], errors: list[str]) -> None:
        """Everything has been played.

        Args:
            results: of all cases.
            errors: lines that the api and the workers have logged.
        """
        failed = [result for result in results if not result.has_passed]
        if failed and errors:
            self._console.print("\nErrors that the api and the workers have logged:", style="bold")
            for line in errors:
                self._console.print(line, style="dim")
        counted = f"{len(results) - len(failed)} passed" + (f", {len(failed)} failed" if failed else "")
        self._console.print(f"\n{counted}", style="bold red" if failed else "bold green")
        for result in failed:
            self._console.print(f"{result.path}:{result.line}: {result.case}: {result.reasons[0]}")


def _answer(step: Played) -> str:
    if not step.answer:
        return ""
    code = step.answer.code
    words = [step.outcome or f"HTTP {step.answer.status}", *([] if code in (0, None) else [f"ErrorCode {code}"])]
    return f": {', '.join(words)}, {step.answer.ms:.1f} ms"
