"""Late values: the fallback with a ticket now, the values for the ticket later."""

import asyncio
import dataclasses
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypedDict
from uuid import uuid4

import pytest
from redis import Redis

from deskbell import ApiCall, Callbacks, Discard, Jobs, Late, Refuse
from deskbell.jobs import late
from deskbell.testing import Clock, MemoryQueue, api_call, packet, perform_job, reply
from shared.errors import DeclarationError, DeskbellError
from shared.redis.queues import EVENTS
from shared.wire.events import Reply
from tests.conftest import ApiFactory, WorkplaceFactory, patient_settings
from tests.desk import Desk, serving
from tests.logged import capture_logs
from tests.redis_outages import Server
from tests.waiting import until
from tests.workers.running import Workplace, fetch, status_of, traceback_of
from workers.releases import leaving

SECRET = "planted-4711"
SESSION = {"SystemSessionID": "session"}


class Quote(TypedDict):
    Quote: str


class Backend:
    """A slow back end with its handler: in the api it is waited for in vain, in a worker it answers."""

    def __init__(self, **options: Any) -> None:
        self.answers: list[Any] = []
        self.calls: list[str] = []
        self.callbacks = Callbacks()
        policy = Late(**{"after_ms": 1, "attempts": 1, **options})

        @self.callbacks.api_call("quote", fallback={"Quote": "later"}, late=policy)
        async def quote(call: ApiCall) -> Quote:
            if call.reply is None:  # in the api
                await asyncio.sleep(60)
            self.calls.append(call.id)
            answer = self.answers.pop(0) if self.answers else SECRET
            if isinstance(answer, Exception):
                raise answer
            return {"Quote": answer}

        self.jobs = Jobs()
        self.jobs.include(late.jobs(self.callbacks))


def answer_of(desk: Desk, node: str = "quote", /, **variables: str) -> dict[str, Any]:
    """The envelope of a call in the session."""
    return dict(desk.call(node, **SESSION | variables).json())


def fetched(desk: Desk, ticket: str, **variables: str) -> dict[str, str]:
    """What the second node answers for a ticket."""
    found: dict[str, str] = answer_of(desk, "quote.late", LateTicket=ticket, **variables)["Body"]
    return found


def ticket_of(desk: Desk) -> str:
    """The ticket of a call that is too late."""
    body = answer_of(desk)["Body"]
    assert (body["Quote"], body["LateState"]) == ("later", "not_yet")
    return str(body["LateTicket"])


def test_the_values_come_once_to_the_session_that_asked(
    start_api: ApiFactory, open_workplace: WorkplaceFactory
) -> None:
    """Asked before, by another session, at last, twice; and a delivery that Desk repeats is answered as before."""
    backend = Backend()
    desk, workplace = start_api(backend.callbacks), open_workplace(backend.jobs)
    delivery = str(uuid4())
    with capture_logs() as lines:
        ticket = ticket_of(desk)
        assert fetched(desk, ticket) == {"LateState": "not_yet"}
        workplace.work(EVENTS, "late")
        assert fetched(desk, ticket, SystemSessionID="another") == {"LateState": "unknown"}
        assert fetched(desk, ticket[:-1] + "z") == {"LateState": "unknown"}

        body = packet(LateTicket=ticket, **SESSION)
        first, repeated = (desk.post(body, "quote.late", RequestID=delivery) for _ in range(2))

        assert first.json()["Body"] == {"Quote": SECRET, "LateState": "ready"}
        assert repeated.content == first.content
        assert fetched(desk, ticket) == {"LateState": "used"}

    assert len(backend.calls) == 1
    refused = [line for line in lines if line["event"] == "late_refused"]
    assert [(line["node"], line["app"]) for line in refused] == [("quote.late", "1400000001")] * 2
    written = json.dumps(lines, default=repr)
    assert ticket not in written
    assert SECRET not in written


def test_a_job_that_fails_for_good_says_so_until_it_is_replayed(
    start_api: ApiFactory, open_workplace: WorkplaceFactory
) -> None:
    """As a dead letter; its values come when a person has mended it."""
    backend = Backend()
    backend.answers = [Discard("the back end has no such quote"), "9 yuan"]
    desk, workplace = start_api(backend.callbacks), open_workplace(backend.jobs)
    ticket = ticket_of(desk)

    workplace.work(EVENTS, "late")
    assert fetched(desk, ticket) == {"LateState": "failed"}
    workplace.queue("late").failed_job_registry.requeue(f"{ticket[:32]}-late-quote")
    assert fetched(desk, ticket) == {"LateState": "not_yet"}
    workplace.work("late")

    assert fetched(desk, ticket) == {"Quote": "9 yuan", "LateState": "ready"}


def test_a_refusal_that_comes_late_takes_the_exception_branch_of_the_second_node(
    start_api: ApiFactory, open_workplace: WorkplaceFactory
) -> None:
    """It is the handler's answer, and no failure of the job."""
    backend = Backend()
    backend.answers = [Refuse("no quote for that", code=7)]
    desk, workplace = start_api(backend.callbacks), open_workplace(backend.jobs)
    ticket = ticket_of(desk)

    workplace.work(EVENTS, "late")

    answer = answer_of(desk, "quote.late", LateTicket=ticket)
    assert (answer["ErrorCode"], answer["ErrorInfo"], "Body" in answer) == (7, "no quote for that", False)


def test_an_event_with_a_ticket_that_no_job_type_answers_is_a_dead_letter_after_a_day(
    start_api: ApiFactory, open_workplace: WorkplaceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a sentence that says what to write; the second node says that the values will not come."""
    desk, workplace = start_api(Backend().callbacks), open_workplace(Jobs())
    ticket = ticket_of(desk)
    with capture_logs() as lines:
        workplace.work(EVENTS)
    registry = workplace.queue(EVENTS).scheduled_job_registry
    assert registry.get_job_ids() == [ticket[:32]]
    assert fetched(desk, ticket) == {"LateState": "not_yet"}
    monkeypatch.setattr(leaving, "LEFT_SECONDS", -1)
    workplace.make_due(EVENTS)
    workplace.work(EVENTS)

    assert status_of(workplace.redis, ticket[:32]) == "failed"
    assert "write jobs.include(late.jobs(callbacks))" in traceback_of(fetch(workplace.redis, ticket[:32]))
    assert fetched(desk, ticket) == {"LateState": "failed"}
    assert [line["event_id"] for line in lines if line["event"] == "late_without_job"] == [ticket[:32]]


def test_a_call_that_is_answered_in_time_leaves_no_ticket_and_no_job(
    start_api: ApiFactory, open_workplace: WorkplaceFactory
) -> None:
    """Also one whose handler fails: the flow need not ask."""
    callbacks = Callbacks()

    @callbacks.api_call(fallback={"Price": 0}, late=True)
    def price(Weight: int) -> dict[str, int]:
        return {"Price": 10 // Weight}

    jobs = Jobs()
    jobs.include(late.jobs(callbacks))
    desk, workplace = start_api(callbacks), open_workplace(jobs)

    bodies = [answer_of(desk, "price", Weight=weight)["Body"] for weight in ("5", "0")]
    workplace.work(EVENTS)

    assert bodies == [
        {"Price": "2", "LateTicket": "", "LateState": "ready"},
        {"Price": "0", "LateTicket": "", "LateState": "failed"},
    ]
    assert workplace.queue("late").job_ids == []


def test_a_plain_function_runs_on_in_its_thread_and_its_result_is_dropped(
    start_api: ApiFactory, open_workplace: WorkplaceFactory
) -> None:
    """Its work is done twice: the worker's run is the one that counts."""
    callbacks, begun, goes_on, ended = Callbacks(), threading.Event(), threading.Event(), threading.Event()

    @callbacks.api_call(fallback={"By": ""}, late=Late(after_ms=50))
    def work(call: ApiCall) -> dict[str, str]:
        if call.reply:
            return {"By": "worker"}
        begun.set()
        goes_on.wait(60)
        ended.set()
        return {"By": "api"}

    jobs = Jobs()
    jobs.include(late.jobs(callbacks))
    desk, workplace = start_api(callbacks), open_workplace(jobs)
    ticket = ""
    while not begun.is_set():  # on a busy machine a call may be too late to be begun
        ticket = answer_of(desk, "work")["Body"]["LateTicket"]
    goes_on.set()
    assert ended.wait(60)
    assert answer_of(desk, "work.late", LateTicket=ticket)["Body"] == {"LateState": "not_yet"}

    workplace.work(EVENTS, "late")

    assert answer_of(desk, "work.late", LateTicket=ticket)["Body"] == {"By": "worker", "LateState": "ready"}


def test_an_api_without_redis_gives_tickets_for_what_waits_on_its_disk(server: Server, tmp_path: Any) -> None:
    """Until Redis is back the second node says not yet, and then the job runs."""
    backend = Backend()
    settings = patient_settings(server.url, tmp_path, redis_timeout_ms=200, budget_ms=5000)
    with serving(settings, backend.callbacks) as desk:
        server.kill()
        ticket = ticket_of(desk)
        assert fetched(desk, ticket) == {"LateState": "not_yet"}
        server.start()
        with Redis.from_url(server.url) as redis:
            until(lambda: redis.exists(f"rq:job:{ticket[:32]}"))
            Workplace(redis, backend.jobs, settings).work(EVENTS, "late")

            assert fetched(desk, ticket) == {"Quote": SECRET, "LateState": "ready"}


@pytest.fixture
def clock() -> Iterator[Clock]:
    """A clock under the test's control."""
    with Clock() as clock:
        yield clock


def test_values_are_kept_for_their_own_time(clock: Clock) -> None:
    """Not for that of RQ's results, which is shorter here; then a ticket has expired, fetched or not."""
    backend = Backend(keep=2000)
    queue = MemoryQueue(backend.jobs)
    tickets = [reply(backend.callbacks, api_call("quote", **SESSION), queue=queue) for _ in range(2)]
    asks = [api_call("quote.late", LateTicket=(each.variables or {})["LateTicket"], **SESSION) for each in tickets]
    queue.perform()

    clock.advance(1990)
    in_time = reply(backend.callbacks, asks[0], queue=queue)
    clock.advance(20)
    too_late = [reply(backend.callbacks, ask, queue=queue) for ask in asks]

    assert in_time.variables == {"Quote": SECRET, "LateState": "ready"}
    assert [each.variables for each in too_late] == [{"LateState": "expired"}] * 2


def test_a_late_run_is_tried_again_as_a_job_is(clock: Clock) -> None:
    """Meanwhile the ticket says not yet."""
    backend = Backend(attempts=2)
    backend.answers = [OSError(), "9 yuan"]
    queue = MemoryQueue(backend.jobs)
    given = reply(backend.callbacks, api_call("quote", **SESSION), queue=queue)
    assert given.outcome == "late"
    ticket = (given.variables or {})["LateTicket"]

    (first,) = queue.perform("late.quote")
    assert reply(backend.callbacks, api_call("quote.late", LateTicket=ticket, **SESSION), queue=queue).variables == {
        "LateState": "not_yet"
    }
    clock.advance(first.retry_after or 0)
    assert [each.outcome for each in queue.perform()] == ["done"]

    fetched = reply(backend.callbacks, api_call("quote.late", LateTicket=ticket, **SESSION), queue=queue)
    assert fetched.variables == {"Quote": "9 yuan", "LateState": "ready"}


@pytest.mark.parametrize(("answer", "why"), [(SECRET * 30_000, "larger than"), (object(), "has no text")])
def test_a_result_that_cannot_be_answered_is_a_dead_letter_at_once(answer: object, why: str) -> None:
    """It would be the same at each attempt; the text has no value."""
    backend = Backend(attempts=3)
    backend.answers = [answer]
    event = dataclasses.replace(api_call("quote", **SESSION), reply=Reply(outcome="late"))

    ended = perform_job(backend.jobs, "late.quote", event)

    assert (ended.outcome, why in str(ended.error), SECRET in str(ended.error)) == ("discarded", True, False)


def test_what_handlers_share_is_there_for_their_late_runs() -> None:
    """Their lifespans are entered in the worker, too."""
    backend, opened = Backend(), []

    @backend.callbacks.lifespan
    async def pool() -> AsyncIterator[None]:
        opened.append("pool")
        yield

    jobs = late.jobs(backend.callbacks)
    event = dataclasses.replace(api_call("quote", **SESSION), reply=Reply(outcome="late"))

    assert perform_job(jobs, "late.quote", event).outcome == "done"
    assert opened == ["pool"]


def test_what_nobody_can_be_late_for_is_refused() -> None:
    """Job types without a handler, and a ticket in a test without a queue."""
    with pytest.raises(DeclarationError, match="no handler has late="):
        late.jobs(Callbacks())
    with pytest.raises(DeskbellError, match="queue=…"):
        reply(Backend().callbacks, api_call("quote.late", LateTicket="x"))
