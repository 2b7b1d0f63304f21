"""The judge of `make chaos`: it must not acquit."""

import json
from dataclasses import replace

import pytest

from bench.chaos.deliveries import Deliveries, Kept, Span, Verdict, judge
from bench.pace import Answer

DELIVERIES = Deliveries("run")
SPAN = Span(10, 11, 20, 21)
OK = json.dumps({"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0}).encode()
FULL = json.dumps({"ActionStatus": "FAIL", "ErrorInfo": "", "ErrorCode": 1010}).encode()
FIRST = Answer(0, 1.0, 0.1, 200, OK, "e0")
AGAIN = Answer(0, 2.0, 0.1, 200, OK, "e0")
KEPT = Kept({"run-0": ["e0"]}, ["e0"])


def verdict(*answers: Answer, kept: Kept = KEPT) -> Verdict:
    """What is found of the given answers."""
    return judge("a fault", DELIVERIES, list(answers), SPAN, kept, 1.5)


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


@pytest.mark.parametrize(("sent", "differing"), [(10.5, 0), (12.0, 0), (9.0, 1)])
def test_what_could_not_be_known_is_told_apart(sent: float, differing: int) -> None:
    """Two answers to one delivery are excused only if the fault lay, or may have lain, between them."""
    found = verdict(FIRST, replace(AGAIN, sent=sent, event_id="e1"))

    assert (found.differing, found.raced) == (differing, 1 - differing)


@pytest.mark.parametrize("excused", [True, False])
def test_two_requests_at_once_are_excused_only_if_redis_may_be_away(excused: bool) -> None:
    """Otherwise Redis has the first answer; a third request that gets either answer says nothing new."""
    answers = [FIRST, replace(FIRST, sent=1.05, event_id="e1"), replace(FIRST, sent=5.0, event_id="e1")]

    found = judge("a fault", DELIVERIES, answers, SPAN, KEPT, 1.5, excused=excused)

    assert (found.differing, found.raced) == ((0, 1) if excused else (1, 0))


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
