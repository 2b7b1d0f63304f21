"""What may be found: one sentence, and how bad it is."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from shared.sentences import sentence


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence.

    Attributes:
        kind: `said` informs; a `warning` could be better; what is `unknown` could not be read; a `problem` keeps
            events or jobs from moving, or may lose them.
        text: the sentence, a `Sentence` where the console shows it.
        do: what a person is to do; "" where the sentence says it, or there is nothing to do.
        reason: why a queue does not move, as a word for programs; "" of what is no such reason.
        dead_letter: the id of the one that is to be acted on; "" of all else.
    """

    kind: Literal["said", "warning", "unknown", "problem"]
    text: str
    do: str = ""
    reason: str = ""
    dead_letter: str = ""

    @property
    def whole(self) -> str:
        """The sentence, with what is to be done."""
        return sentence("{text}; {do}", text=self.text, do=self.do) if self.do else self.text

    def __str__(self) -> str:
        """The same."""
        return str(self.whole)


said = partial(Finding, "said")
warning = partial(Finding, "warning")
unknown = partial(Finding, "unknown")
problem = partial(Finding, "problem")
