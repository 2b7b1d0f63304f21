"""The judge of `make chaos`: it must not acquit."""

import json
from dataclasses import replace

import pytest

from bench.chaos.deliveries import Deliveries, Kept, Span, Verdict, judge
from bench.chaos.evidence import Cause, Evidence
from bench.pace import Answer

DELIVERIES = Deliveries("run")
SPAN = Span(10, 21)
OK = json.dumps({"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0}).encode()
FULL = json.dumps({"ActionStatus": "FAIL", "ErrorInfo": "", "ErrorCode": 1010}).encode()
FIRST = Answer(0, 1.0, 0.1, 200, OK, "e0")
AGAIN = Answer(0, 2.0, 0.1, 200, OK, "e0")
KEPT = Kept({"run-0": ["e0"]}, ["e0"])
NO_EVIDENCE = Evidence()
BOTH_SPOOLED = Evidence(taken={"e0": 5.0}, dropped={"e1": 5.0}, without_redis={"e0", "e1"})
ONE_ON_REDIS = Evidence(taken={"e0": 1.05}, dropped={"e1": 5.0}, without_redis={"e1"})
FIRST_IN_SPOOL = Evidence(taken={"e1": 2.05}, dropped={"e0": 5.0}, without_redis={"e0"})
FIRST_GONE = Evidence(taken={"e0": 1.05, "e1": 2.05}, unreplicated={"e0"})


def verdict(*answers: Answer, kept: Kept = KEPT, evidence: Evidence = NO_EVIDENCE) -> Verdict:
    """What is found of the given answers."""
    return judge("a fault", DELIVERIES, list(answers), SPAN, kept, evidence, 1.5)


def test_a_run_in_which_all_was_kept_is_good() -> None:
    """Acknowledged, in the table and in the log once, and answered alike."""
    assert verdict(FIRST, AGAIN).is_good


@pytest.mark.parametrize(
    ("kept", "counted"),
    [
        (Kept({}, []), "lost"),
        (Kept({"run-0": ["e0"]}, ["e0", "e1"]), "lost"),
        (Kept({"run-0": ["e0", "e1"]}, ["e0", "e1"]), "duplicated"),
        (Kept({"run-0": ["e0"]}, ["e0", "e0"]), "duplicated"),
        (Kept({"run-0": ["e0"]}, []), "unlogged"),
    ],
)
def test_what_is_not_there_once_is_counted(kept: Kept, counted: str) -> None:
    """No row, a logged event without one, two rows, logged twice, not logged."""
    found = verdict(FIRST, kept=kept)

    assert getattr(found, counted) == 1
    assert not found.is_good


@pytest.mark.parametrize(
    ("changed", "counted"),
    [
        ({"event_id": "e1"}, "differing"),
        ({"body": OK + b" "}, "differing"),
        ({"seconds": 1.6}, "late"),
        ({"status": 0}, "unanswered"),
    ],
)
def test_an_answer_that_breaks_a_promise_is_counted(changed: dict[str, object], counted: str) -> None:
    """Another event or other bytes for one delivery, too late, none at all."""
    found = verdict(FIRST, replace(AGAIN, **changed))  # type: ignore[arg-type]  # by name

    assert getattr(found, counted) == 1
    assert not found.is_good


UNAVOIDABLE = [
    (Cause.AT_ONCE, 1.05, BOTH_SPOOLED),
    (Cause.AWAY, 2.0, ONE_ON_REDIS),
    (Cause.AWAY, 2.0, replace(BOTH_SPOOLED, taken={"e0": 1.5})),
    (Cause.ELSEWHERE, 2.0, FIRST_IN_SPOOL),
    (Cause.GONE, 2.0, FIRST_GONE),
]
AVOIDABLE = [
    (2.0, BOTH_SPOOLED),
    (2.0, replace(ONE_ON_REDIS, without_redis=set())),
    (2.0, replace(FIRST_IN_SPOOL, taken={"e0": 1.5, "e1": 2.05}, dropped={})),
    (2.0, replace(FIRST_IN_SPOOL, without_redis=set())),
    (2.0, replace(FIRST_GONE, unreplicated=set())),
    (1.05, NO_EVIDENCE),
]


@pytest.mark.parametrize(("cause", "sent", "evidence"), UNAVOIDABLE)
def test_an_answer_that_could_not_be_known_is_counted_by_its_cause(
    cause: Cause, sent: float, evidence: Evidence
) -> None:
    """Both in spools at once; Redis out of reach; the first in a spool; the first on a Redis that is gone."""
    found = verdict(FIRST, replace(AGAIN, sent=sent, event_id="e1"), evidence=evidence)

    assert (found.unavoidable, found.differing) == ({cause: 1}, 0)
    assert found.is_good


@pytest.mark.parametrize(("sent", "evidence"), AVOIDABLE)
def test_the_same_without_its_cause_is_a_broken_promise(sent: float, evidence: Evidence) -> None:
    """The first waited in a spool, was on a Redis within reach, was drained before, or is replicated; no evidence."""
    found = verdict(FIRST, replace(AGAIN, sent=sent, event_id="e1"), evidence=evidence)

    assert (found.unavoidable, found.differing) == ({}, 1)
    assert not found.is_good


def test_no_cause_excuses_other_bytes_for_the_same_event() -> None:
    """What is remembered of an event is its answer, byte for byte."""
    found = verdict(FIRST, replace(AGAIN, body=OK + b" "), evidence=FIRST_GONE)

    assert (found.unavoidable, found.differing) == ({}, 1)


def test_a_third_request_that_gets_either_answer_says_nothing_new() -> None:
    """One of two answers is kept in the end, and which one is known only then."""
    third = replace(FIRST, sent=6.0, event_id="e1")

    found = verdict(FIRST, replace(AGAIN, event_id="e1"), third, evidence=ONE_ON_REDIS)

    assert found.unavoidable == {Cause.AWAY: 1}
    assert found.is_good


def test_a_refusal_is_not_lost() -> None:
    """What was answered 1010 need not be there, and is counted apart from other failures."""
    found = verdict(FIRST, Answer(1, 2.0, 0.1, 503, FULL), Answer(2, 2.0, 0.1, 403, FULL))

    assert (found.refused, found.otherwise, found.lost) == (1, 1, 0)


def test_requests_of_one_delivery_have_one_identity() -> None:
    """The same body, and the same RequestID or none."""
    repeated = [number for number in range(300) if DELIVERIES.delivery_of(number) != number]

    for number in repeated:
        first = DELIVERIES.request(DELIVERIES.delivery_of(number))
        again = DELIVERIES.request(number)
        assert identity(first) == identity(again)
    assert {number - DELIVERIES.delivery_of(number) for number in repeated} == {1, 96}
    assert len({identity(DELIVERIES.request(number)) for number in range(300)}) == 300 - len(repeated)


def identity(request: bytes) -> tuple[bytes, bytes]:
    """What PROTOCOL §4 tells deliveries apart by."""
    head, _, body = request.partition(b"\r\n\r\n")
    _, _, request_id = head.partition(b"&RequestID=")
    return request_id.split(b"&")[0], body
