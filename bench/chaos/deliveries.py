"""What `make chaos` sends, the answers it gets, and whether what they promised is there in the end.

A delivery is sent once; some are sent again while the first is under way, some a second later, as a sender that retries
does. The user of a packet is the delivery's number, so that the analytics table tells whose rows it holds.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.ack.load import APP, TOKEN
from bench.chaos.evidence import Cause, Evidence
from bench.pace import Answer, http_post, percentile
from deskbell.testing import signed_query
from shared.wire.protocol import API_CALL

NODE = "token"
_PERIOD, _AT_ONCE, _LATER, _LATER_BY = 10, 4, 9, 96
_OK, _UNAVAILABLE, _CANNOT_KEEP = 200, 503, 1010


class Deliveries:
    """Makes the requests of a run: which delivery each belongs to, and its bytes."""

    def __init__(self, run: str) -> None:
        """Make one.

        Args:
            run: what tells its deliveries from those of other runs.
        """
        self._run = run
        self.is_signed = True

    def delivery_of(self, number: int) -> int:
        """The delivery of a request: its own number, or that of the first request of the delivery."""
        at = number % _PERIOD
        if at == _AT_ONCE:
            return number - 1
        if at == _LATER and number >= _LATER_BY + 1:
            return number - _LATER_BY
        return number

    def request(self, number: int) -> bytes:
        """The bytes of a request, signed now."""
        delivery = self.delivery_of(number)
        query = signed_query(APP, TOKEN if self.is_signed else None, API_CALL)
        named = delivery % 2 == 0  # the others are told apart by the digest of their body (PROTOCOL §4)
        head, _, tail = query.partition("&RequestID=")
        identity = f"&RequestID={self._run}-{delivery}" if named else ""
        query = head + identity + tail[36:]
        body = {
            "CallbackCommand": API_CALL,
            "Body": {"SystemClientUserID": self.user(delivery), "SystemSessionID": self._run},
            "EventTime": 1731488371784 + delivery,
        }
        return http_post(f"/callback/{NODE}?{query}", json.dumps(body).encode())

    def user(self, delivery: int) -> str:
        """The user of a delivery's packet."""
        return f"{self._run}-{delivery}"


@dataclass(frozen=True, slots=True)
class Span:
    """When a fault was, in monotonic seconds."""

    begins: float
    ended: float


@dataclass(frozen=True, slots=True)
class Kept:
    """What is there in the end.

    Attributes:
        rows: the events of the analytics table, by the user of their packet.
        logged: the ids on record, in their order.
    """

    rows: dict[str, list[str]]
    logged: list[str]


@dataclass
class Verdict:
    """What came of a run under one fault.

    Attributes:
        fault: its title.
        sent: requests, those that were sent again included.
        acknowledged: requests answered with success.
        refused: with 1010.
        otherwise: with anything else.
        unanswered: whose connection broke, or that nobody answered.
        lost: deliveries that were acknowledged and have no row, and logged events that have none.
        duplicated: deliveries with more than one row, and ids that are logged twice.
        unlogged: rows whose event is not in the log.
        differing: requests whose answer differs from the delivery's first, which their process could have known.
        unavoidable: requests whose answer differs because their process could not know the first, by cause.
        late: requests that were answered later than the budget.
        p50_ms, p99_ms, most_ms: of the requests that were sent during the fault and answered.
        undrained: whether it was judged before all had come to rest.
        breaks_connections: whether requests may go unanswered, since the process that had them was killed.
        examples: of what was broken.
        logged_errors: what the api logged as errors.
    """

    fault: str
    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    otherwise: int = 0
    unanswered: int = 0
    lost: int = 0
    duplicated: int = 0
    unlogged: int = 0
    differing: int = 0
    unavoidable: dict[Cause, int] = field(default_factory=dict)
    late: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    most_ms: float = 0.0
    undrained: bool = False
    breaks_connections: bool = False
    examples: list[str] = field(default_factory=list)
    logged_errors: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        broken = self.lost, self.duplicated, self.unlogged, self.differing, self.late, self.undrained
        return not any(broken) and self.acknowledged > 0 and (self.breaks_connections or not self.unanswered)


def judge(
    fault: str,
    deliveries: Deliveries,
    answers: list[Answer],
    span: Span,
    kept: Kept,
    evidence: Evidence,
    budget_seconds: float,
) -> Verdict:
    """Compare what was acknowledged with what is there.

    Args:
        fault: its title.
        deliveries: what was sent.
        answers: what became of it.
        span: when the fault was.
        kept: what is there in the end.
        evidence: where it was kept meanwhile.
        budget_seconds: within which an answer is due.
    """
    verdict = Verdict(fault, sent=len(answers))
    successes: dict[int, list[Answer]] = defaultdict(list)
    for answer in answers:
        if is_success(answer):
            successes[deliveries.delivery_of(answer.number)].append(answer)
    _count_answers(verdict, answers, span, budget_seconds)
    _count_kept(verdict, [deliveries.user(each) for each in successes], kept)
    _compare_answers(verdict, successes, evidence)
    return verdict


def _count_answers(verdict: Verdict, answers: list[Answer], span: Span, budget_seconds: float) -> None:
    for answer in answers:
        if answer.status == 0:
            verdict.unanswered += 1
        elif is_success(answer):
            verdict.acknowledged += 1
        elif answer.status == _UNAVAILABLE and json.loads(answer.body)["ErrorCode"] == _CANNOT_KEEP:
            verdict.refused += 1
        else:
            verdict.otherwise += 1
    verdict.late = sum(answer.seconds > budget_seconds for answer in answers)
    spent = [answer.seconds for answer in answers if answer.status and span.begins <= answer.sent <= span.ended]
    if spent:
        verdict.p50_ms, verdict.p99_ms, verdict.most_ms = (percentile(spent, each) for each in (50, 99, 100))


def _count_kept(verdict: Verdict, users: Iterable[str], kept: Kept) -> None:
    rowed = {event_id for events in kept.rows.values() for event_id in events}
    lost = [*(user for user in users if user not in kept.rows), *(set(kept.logged) - rowed)]
    twice = [user for user, events in kept.rows.items() if len(events) > 1]
    twice += [event_id for event_id, times in Counter(kept.logged).items() if times > 1]
    unlogged = rowed - set(kept.logged)
    verdict.lost, verdict.duplicated, verdict.unlogged = len(lost), len(twice), len(unlogged)
    for what, found in {"lost": lost, "twice": twice, "unlogged": sorted(unlogged)}.items():
        verdict.examples += [f"{what}: {each}" for each in found[:3]]


def _compare_answers(verdict: Verdict, successes: dict[int, list[Answer]], evidence: Evidence) -> None:
    for delivery, given in successes.items():
        first, *others = sorted(given, key=lambda answer: answer.sent + answer.seconds)
        known = {(first.body, first.event_id): first}
        for other in others:
            if (other.body, other.event_id) in known:
                continue
            causes = [evidence.cause(before, other) for before in known.values()]
            known[other.body, other.event_id] = other
            if None in causes:
                verdict.differing += 1
                after = round((other.sent - first.sent) * 1000)
                verdict.examples.append(f"answered differently: {delivery}, {after} ms later, {other.event_id}")
            elif cause := causes[0]:
                verdict.unavoidable[cause] = verdict.unavoidable.get(cause, 0) + 1


def is_success(answer: Answer) -> bool:
    """Whether it acknowledges its request."""
    return answer.status == _OK and json.loads(answer.body)["ErrorCode"] == 0
