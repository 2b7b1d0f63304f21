"""What is wrong: the findings about queues, at once, and the rest that `deskbell doctor` looks at, each once."""

from dataclasses import dataclass

from deskbell.queues.findings import Finding
from deskbell.queues.now import Now
from deskbell.queues.reasons import held, suspension_of
from deskbell.queues.together import dead_letters, unread_queues

_ORDER = ("problem", "warning", "said", "unknown")


@dataclass(frozen=True, slots=True)
class Wrong:
    """A finding.

    Attributes:
        queue: which queue it is about; "" of none in particular.
    """

    finding: Finding
    queue: str = ""


def what_is_wrong(now: Now, others: list[Finding]) -> list[Wrong]:
    """What was found, what needs a person first; each sentence is said once."""
    found = [Wrong(suspension_of())] if now.is_suspended else []
    stands = {each.state.name for each in now.queues if each.findings}
    found += [Wrong(held(each), each.queue) for each in now.paused if each.queue not in stands]
    found += [
        Wrong(finding, each.state.name)
        for each in now.queues
        for finding in each.findings
        if finding.reason != "suspended"
    ]
    states = [each.state for each in now.queues]
    told = (*unread_queues(states, stands), *dead_letters(states))
    found += [Wrong(finding) for finding in (*told, *others)]
    once: dict[Finding, Wrong] = {}
    for each in found:
        once.setdefault(each.finding, each)  # a worker that is silent is so on each of its queues
    return sorted(once.values(), key=_place)


def _place(wrong: Wrong) -> tuple[bool, bool, int]:
    """Problems of all before those of a queue; of the rest, what is about queues before all else."""
    finding = wrong.finding
    is_problem, is_of_queues = finding.kind == "problem", bool(wrong.queue) or finding.reason == "dead_letters"
    return not is_problem, is_of_queues == is_problem, _ORDER.index(finding.kind)
