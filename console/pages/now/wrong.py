"""What is wrong: the findings about queues, at once, and the rest that `deskbell doctor` looks at, each once."""

from dataclasses import dataclass

from deskbell.queues.findings import Finding
from deskbell.queues.now import Now
from deskbell.queues.reasons import held, suspension_of

_ORDER = ("problem", "unknown", "warning", "said")


@dataclass(frozen=True, slots=True)
class Wrong:
    """A finding.

    Attributes:
        queue: which queue it is about; "" of none in particular.
    """

    finding: Finding
    queue: str = ""


def what_is_wrong(now: Now, others: list[Finding]) -> list[Wrong]:
    """What was found, what needs a person first; what concerns all queues is said once."""
    found = [Wrong(suspension_of())] if now.is_suspended else []
    stands = {each.state.name for each in now.queues if each.findings}
    found += [Wrong(held(each), each.queue) for each in now.paused if each.queue not in stands]
    found += [
        Wrong(finding, each.state.name)
        for each in now.queues
        for finding in each.findings
        if finding.reason != "suspended"
    ]
    found += [Wrong(finding) for finding in others]
    return sorted(found, key=lambda each: _ORDER.index(each.finding.kind))
