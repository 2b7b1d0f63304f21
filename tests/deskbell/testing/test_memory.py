"""Queues in memory: what an event becomes, and what becomes of its jobs as time passes."""

import sys
from typing import Any

import pytest
from rq.timeouts import JobTimeoutException

from deskbell import ApiCall, Backoff, Breaker, Discard, Jobs, Retry, SessionEvent, Unavailable
from deskbell.testing import Clock, MemoryQueue, Performed, api_call, event_of
from shared.errors import ConfigError, DeskbellError

jobs = Jobs()
is_down = {"now": True}


@jobs.on(ApiCall, node="order_status", queue="crm", attempts=3, backoff=Backoff(4, 2, 600, 0))
def record(event: ApiCall) -> None:
    """Fail as the variable says."""
    if event.variables.get("Do") == "fail":
        raise RuntimeError("planted")
    if event.variables.get("Do") == "wait":
        raise Retry(after=3600, counts=False)


@jobs.on(ApiCall, node="limited", queue="slow", limit="2/min")
async def limited(_event: ApiCall) -> None:
    """Be one of two in a minute."""


@jobs.on(ApiCall, node="guarded", queue="guarded", breaker=Breaker(failures=10, pause=60))
def guarded(_event: ApiCall) -> None:
    """Call what may be down."""
    if is_down["now"]:
        raise Unavailable("down", code=503)


@jobs.on(SessionEvent, queue="chat", ordered_by="session", attempts=1)
def note(event: SessionEvent) -> None:
    """Refuse the first message."""
    if event.raw.get("MsgKey") == "first":
        raise Discard("no", code="no")


@pytest.fixture
def queue(deskbell_clock: Clock) -> MemoryQueue:
    """Empty queues, under a clock that stands."""
    assert deskbell_clock.now
    return MemoryQueue(jobs)


def brief(ended: list[Performed]) -> list[tuple[Any, ...]]:
    """How attempts ended."""
    return [(each.job, each.outcome, each.attempt, each.retry_after, each.counts) for each in ended]


def test_an_event_becomes_the_jobs_that_want_it(queue: MemoryQueue) -> None:
    """By node, class and fields; the job that waits is given, with its event."""
    event = queue.put(api_call("order_status", OrderID="1002", Other="x"))

    found = queue.assert_enqueued(record, variables={"OrderID": "1002"}, within=0)

    assert (found.job, found.queue, found.state, found.event) == ("record", "crm", "now", event)
    assert [each.job for each in queue.enqueued] == ["record"]
    queue.assert_enqueued("record", variables={"OrderID": 1002})
    queue.refute_enqueued(record, variables={"OrderID": "1003"})
    queue.refute_enqueued(limited)


def test_an_assertion_that_fails_says_what_is_there_instead(queue: MemoryQueue) -> None:
    """What waits, with its fields and its time, and what has ended."""
    with pytest.raises(AssertionError) as nothing:
        queue.assert_enqueued(record)
    queue.put(api_call("limited", N="1"))
    queue.perform()
    queue.put(api_call("order_status", OrderID="1002", Do="fail"))
    queue.perform(record)
    with pytest.raises(AssertionError) as others:
        queue.assert_enqueued(record, variables={"OrderID": "1003"}, within=60)
    with pytest.raises(AssertionError) as too_late:
        queue.assert_enqueued(record, variables={"OrderID": "1002"}, within=3)
    with pytest.raises(AssertionError) as unwanted:
        queue.refute_enqueued(record, variables={"OrderID": "1002"})

    there = (
        "there is\n  waits: record on crm, in 4 s, with {'OrderID': '1002', 'Do': 'fail'}"
        "\n  ended: limited done, attempt 1\n  ended: record retry after 4 s, attempt 1"
    )
    assert str(nothing.value) == "expected record; there is no job at all: no job type wants an event that was put"
    assert str(others.value) == f"expected record with {{'OrderID': '1003'}} within 60 s; {there}"
    assert str(too_late.value) == f"expected record with {{'OrderID': '1002'}} within 3 s; {there}"
    assert str(unwanted.value) == f"expected no record with {{'OrderID': '1002'}}; {there}"


def test_a_job_is_tried_again_when_its_time_has_come_and_is_a_dead_letter_in_the_end(
    queue: MemoryQueue, deskbell_clock: Clock
) -> None:
    """By its backoff and its attempts; before that nothing starts."""
    queue.put(api_call("order_status", Do="fail"))

    first = queue.perform()
    deskbell_clock.advance(3)
    early = queue.perform()
    deskbell_clock.advance(1)
    second = queue.perform()
    deskbell_clock.advance(8)
    third = queue.perform()

    assert brief(first + early + second) == [("record", "retry", 1, 4, True), ("record", "retry", 2, 8, True)]
    assert brief(third) == [("record", "dead", 3, None, True)]
    assert third[0].cause.startswith("RuntimeError at ")
    assert queue.enqueued == []


def test_waits_that_use_up_no_attempt_end_after_a_day(queue: MemoryQueue, deskbell_clock: Clock) -> None:
    """By the test's clock."""
    queue.put(api_call("order_status", Do="wait"))

    ended = []
    for _ in range(30):
        ended += queue.perform()
        deskbell_clock.advance(3600)

    assert brief(ended)[:25] == [("record", "retry", 1, 3600, False)] * 25
    assert brief(ended)[25:] == [("record", "dead", 1, None, True)]


def test_a_rate_limit_holds_back_what_is_too_much(queue: MemoryQueue, deskbell_clock: Clock) -> None:
    """Until its period is over."""
    for _ in range(3):
        queue.put(api_call("limited"))

    counts = []
    for _ in range(3):
        counts.append(len(queue.perform()))
        deskbell_clock.advance(40)

    assert counts == [2, 0, 1]


def test_a_breaker_pauses_its_queue_and_tries_one_job(
    queue: MemoryQueue, deskbell_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing starts during a pause, and no attempt is used up; when the one succeeds, the others go on."""
    for _ in range(3):
        queue.put(api_call("guarded"))

    opened, held = queue.perform(), queue.perform()
    deskbell_clock.advance(60)
    tried = queue.perform()
    monkeypatch.setitem(is_down, "now", False)
    deskbell_clock.advance(60)
    closed = queue.perform()

    assert [(each.outcome, each.counts) for each in opened + tried] == [("retry", False)] * 2
    assert held == []
    assert [each.outcome for each in closed] == ["done"] * 3


def test_jobs_of_a_key_wait_behind_each_other(queue: MemoryQueue, deskbell_clock: Clock) -> None:
    """They run in the order of their events; a dead letter lets the next one go."""
    for key in ("first", "second"):
        queue.put(event_of(SessionEvent, SessionId="s", MsgKey=key))
        deskbell_clock.advance(1)

    assert [each.state for each in queue.enqueued] == ["now", "behind"]
    assert [(each.event.raw["MsgKey"], each.outcome) for each in queue.perform()] == [
        ("first", "discarded"),
        ("second", "done"),
    ]


def test_rqs_time_out_keeps_its_words_for_the_rest_of_the_process(queue: MemoryQueue) -> None:
    """RQ writes the sentence of a job's time-out into the class of what it raises."""
    queue.put(api_call("limited"))
    assert queue.perform()

    assert str(JobTimeoutException("as written")) == "as written"


def test_a_name_that_no_job_type_has_is_refused(queue: MemoryQueue) -> None:
    """An assertion about it would always hold."""
    for ask in (queue.assert_enqueued, queue.refute_enqueued, queue.perform):
        with pytest.raises(DeskbellError, match=r"no job type is recrod; did you mean record\?"):
            ask("recrod")


def test_without_the_extra_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kit itself is there without it."""
    monkeypatch.setitem(sys.modules, "lupa", None)

    with pytest.raises(ConfigError, match=r"^a queue in memory needs lupa: pip install 'deskbell\[testing\]'$"):
        MemoryQueue(jobs)
