"""One attempt at a job, decided as a worker decides."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import pytest

from deskbell import ApiCall, Backoff, Breaker, Discard, Jobs, Retry, SessionEvent, Settings, Unavailable
from deskbell.testing import Performed, api_call, async_perform_job, event_of, perform_job
from shared.errors import DeskbellError, LifespanError

jobs = Jobs()
seen: list[Any] = []


@jobs.on(ApiCall, node="order_status", when={"Type": "1"}, attempts=3, backoff=Backoff(4, 2, 600, 0), timeout=30)
def record(event: ApiCall, settings: Settings) -> None:
    """Do what the variable says."""
    seen.append((event, settings.record_mb))
    raised = {
        "later": Retry(after=60),
        "asked": Retry(after=59.5, counts=False),
        "down": Unavailable("the CRM is down", code=503),
        "never": Discard("no such contact", code=404),
        "broken": RuntimeError("planted"),
    }
    if error := raised.get(event.variables["Do"]):
        raise error


@jobs.on(SessionEvent, name="crm.session", limit="1/h", breaker=Breaker(1, 60), ordered_by="session")
async def note(event: SessionEvent) -> None:
    """Be on an event loop."""
    await asyncio.sleep(0)
    seen.append(event)


def call(do: str, **more: Any) -> ApiCall:
    """An event that the job wants."""
    return api_call("order_status", Type="1", Do=do, **more)


def brief(performed: Performed) -> tuple[Any, ...]:
    """What a worker has decided."""
    return performed.outcome, performed.attempt, performed.retry_after, performed.counts


def test_a_job_is_given_what_came_through_json(make_settings: Any) -> None:
    """An equal event, not the same one; and the settings that the test chooses."""
    event = call("nothing")

    performed = perform_job(jobs, record, event, settings=make_settings(record_mb=7))

    assert brief(performed) == ("done", 1, None, True)
    given, record_mb = seen[-1]
    assert given == event
    assert given.raw is not event.raw
    assert record_mb == 7


@pytest.mark.parametrize(
    ("do", "attempt", "decided"),
    [
        ("broken", 1, ("retry", 1, 4, True)),
        ("broken", 2, ("retry", 2, 8, True)),
        ("broken", 3, ("dead", 3, None, True)),
        ("later", 1, ("retry", 1, 60, True)),
        ("later", 3, ("dead", 3, None, True)),
        ("asked", 3, ("retry", 3, 60, False)),
        ("down", 3, ("retry", 3, 4, False)),
        ("never", 1, ("discarded", 1, None, True)),
    ],
)
def test_what_a_job_raises_is_decided_as_a_worker_decides(do: str, attempt: int, decided: tuple[Any, ...]) -> None:
    """By its attempts, its backoff and the exception."""
    assert brief(perform_job(jobs, record, call(do), attempt=attempt)) == decided


def test_the_cause_of_a_dead_letter_is_that_of_production() -> None:
    """As `deskbell dead` groups them; what was raised is there, too."""
    performed = perform_job(jobs, "record", call("never"))

    assert performed.cause.startswith("Discard 404 at ")
    assert "test_performing.py" in performed.cause
    assert isinstance(performed.error, Discard)
    assert str(performed).startswith("record discarded, attempt 1, Discard 404 at ")


def test_limits_and_order_are_left_out_and_an_async_job_is_awaited() -> None:
    """They are between jobs; one attempt has nothing to wait for."""
    event = event_of(SessionEvent, Event="SessionBegin", SessionId="s")

    assert [perform_job(jobs, note, event).outcome for _ in range(2)] == ["done", "done"]
    assert seen[-1] == event


def test_an_async_test_awaits_its_attempt() -> None:
    """On its own loop; the other function says so."""

    async def test() -> None:
        assert (await async_perform_job(jobs, note, event_of(SessionEvent))).outcome == "done"
        assert brief(await async_perform_job(jobs, record, call("asked"))) == ("retry", 1, 60, False)
        with pytest.raises(DeskbellError, match=r"write await async_perform_job\("):
            perform_job(jobs, note, event_of(SessionEvent))

    asyncio.run(test())


@pytest.mark.parametrize(
    ("job", "event", "attempt", "sentence"),
    [
        ("recrod", call(""), 1, "no job type is recrod; did you mean record?"),
        (print, call(""), 1, "no job type is builtins.print; there are crm.session, record"),
        (record, call(""), 4, "attempt= must be from 1 to 3, got 4"),
        (
            record,
            api_call(Type="1"),
            1,
            "it is for events ApiCall, node order_status, when Type='1'; got ApiCall of app 1400000001, no node",
        ),
        (record, call("", At=dt.date(2026, 1, 2)), 1, "At is a date, and Desk sends JSON; write the text"),
        (record, {"OrderID": "1002"}, 1, "expected an event, got a dict; write api_call("),
        (record, call("", At=object()), 1, "the event cannot be written as JSON, which Desk sends"),
    ],
)
def test_an_attempt_that_no_worker_would_make_is_refused(job: Any, event: Any, attempt: int, sentence: str) -> None:
    """A test would pass for what never happens."""
    with pytest.raises(DeskbellError, match=r"expected a Jobs first, got a function; write perform_job\("):
        perform_job(record, jobs, event)  # type: ignore[arg-type]  # the slip under test
    with pytest.raises(DeskbellError) as refused:
        perform_job(jobs, job, event, attempt=attempt)

    assert str(refused.value).startswith("perform_job: ")
    assert sentence in str(refused.value)


def test_what_jobs_share_is_opened_for_an_attempt() -> None:
    """On the loop of an async job; one that does not start is no failure of the job, but of the test."""
    shared, opened = Jobs(), list[Any]()

    @shared.lifespan
    async def pool() -> AsyncIterator[None]:
        opened.append(asyncio.get_running_loop())
        yield
        opened.append("closed")

    @shared.on(ApiCall)
    async def on_its_loop(_event: ApiCall) -> None:
        assert opened == [asyncio.get_running_loop()]

    assert perform_job(shared, on_its_loop, api_call()).error is None
    assert opened[1:] == ["closed"]
    opened.clear()
    assert asyncio.run(async_perform_job(shared, on_its_loop, api_call())).error is None
    assert opened[1:] == ["closed"]

    @shared.lifespan
    async def missing() -> AsyncIterator[None]:
        raise OSError("planted")
        yield

    with pytest.raises(LifespanError):
        perform_job(shared, on_its_loop, api_call())
    with pytest.raises(LifespanError):
        asyncio.run(async_perform_job(shared, on_its_loop, api_call()))
