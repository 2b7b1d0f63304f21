"""The sentence by which a process says that it cannot start, and the integrator's line that it is about."""

import re
from dataclasses import dataclass
from pathlib import Path

SAID = "deskbell: "
"""What the sentence of a command begins with, on standard error."""

_PLACE = re.compile(r"(?:\bat |\()(?P<file>[^():]+\.py):(?P<line>\d+)\b")
_AROUND = 2


@dataclass(frozen=True, slots=True)
class Mistake:
    """Why a process cannot start.

    Attributes:
        sentence: what it said.
        file: where the integrator's code is wrong; "" where it is a setting that is.
        excerpt: the lines around, with their numbers; the one in question is marked.
    """

    sentence: str
    file: str = ""
    line: int = 0
    excerpt: tuple[str, ...] = ()

    @property
    def cause(self) -> str:
        """What is alike when two processes meet the same mistake: the sentence without the setting."""
        return self.sentence.partition(": ")[2]


def mistake_in(text: str) -> Mistake | None:
    """The mistake that a line of a process tells of, if it does."""
    if not text.startswith(SAID):
        return None
    sentence = text.removeprefix(SAID)
    place = _PLACE.search(sentence)
    if not place:
        return Mistake(sentence)
    number = int(place["line"])
    return Mistake(sentence, place["file"], number, tuple(_excerpt(Path(place["file"]), number)))


def _excerpt(file: Path, number: int) -> list[str]:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return []
    first, last = max(number - _AROUND, 1), min(number + _AROUND, len(lines))
    return [f"{'>' if at == number else ' '} {at:>4}  {lines[at - 1]}" for at in range(first, last + 1)]
