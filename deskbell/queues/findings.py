"""What may be found: one sentence, and how bad it is."""

from dataclasses import dataclass
from functools import partial
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence.

    Attributes:
        kind: `said` informs; a `warning` could be better; what is `unknown` could not be read; a `problem` keeps
            events or jobs from moving, or may lose them.
        text: the sentence.
    """

    kind: Literal["said", "warning", "unknown", "problem"]
    text: str


said = partial(Finding, "said")
warning = partial(Finding, "warning")
unknown = partial(Finding, "unknown")
problem = partial(Finding, "problem")
