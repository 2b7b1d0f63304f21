"""What is wrong: the findings about queues, at once, and the rest that `deskbell doctor` looks at, each once."""

import time
from dataclasses import dataclass

from console.state import State
from deskbell.cli.doctor import beside_queues
from deskbell.queues.findings import Finding
from deskbell.queues.now import Now, read_now
from deskbell.queues.reasons import held, suspension_of
from deskbell.queues.refused import refused
from deskbell.queues.together import blocks, dead_letters, meaningful, no_api, unread_queues

_ORDER = ("problem", "warning", "said", "unknown")


@dataclass(frozen=True, slots=True)
class Wrong:
    """A finding.

    Attributes:
        queue: which queue it is about; "" of none in particular.
    """

    finding: Finding
    queue: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What goes on, and what is wrong.

    Attributes:
        looked: when the rest of `deskbell doctor` was looked at, in Unix seconds; 0 before the first time.
    """

    now: Now
    wrong: list[Wrong]
    looked: float


def look(state: State) -> Look:
    """Look at all queues, at once.

    Raises:
        RedisError: Redis does not answer.
    """
    now = read_now(state.redis, state.settings)
    reads = [_beside(state, of_the_server=True), _beside(state, of_the_server=False)]
    others = [finding for found, _ in reads for finding in found]
    at_once = (*no_api(now.apis, redis_refuses=_refuses(others)), *refused(state.redis), *blocks(state.redis))
    wrong = what_is_wrong(now, [*(each for each in at_once if each.kind != "said"), *others])
    return Look(now, wrong, min(at for _, at in reads))


def _beside(state: State, *, of_the_server: bool) -> tuple[list[Finding], float]:
    """What they found last, and when; 0 before the first time."""

    def read(_: object) -> tuple[list[Finding], float]:
        return beside_queues(state.settings, state.shard, of_the_server=of_the_server), time.time()

    return state.doctor.get((state.shard, of_the_server), read).result or ([], 0.0)


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
    meant = meaningful((each.finding for each in found), redis_refuses=_refuses(others))
    once: dict[Finding, Wrong] = {}
    for each in found:
        if each.finding in meant:
            once.setdefault(each.finding, each)  # a worker that is silent is so on each of its queues
    return sorted(once.values(), key=place)


def _refuses(findings: list[Finding]) -> bool:
    """Whether Redis takes no events, as the last look has it."""
    return any(each.reason == "redis_refuses" for each in findings)


def place(wrong: Wrong) -> tuple[bool, bool, int]:
    """Problems of all before those of a queue; of the rest, what is about queues before all else."""
    finding = wrong.finding
    is_problem, is_of_queues = finding.kind == "problem", bool(wrong.queue) or finding.reason == "dead_letters"
    return not is_problem, is_of_queues == is_problem, _ORDER.index(finding.kind)
