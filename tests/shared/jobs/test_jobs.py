"""The job types of an integrator, and which of them an event wants."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rq.job import JOB_ID_PATTERN

from deskbell import (
    ApiCall,
    Backoff,
    Breaker,
    Event,
    Jobs,
    MemberEvent,
    OtherEvent,
    SessionEvent,
    Settings,
    TaskFlowEvent,
)
from deskbell.testing import api_call
from shared.declarations.policies import Rate
from shared.errors import DeclarationError
from shared.jobs.job_type import JobType
from shared.wire.commands import received
from tests.shared.declared import only_job


def session_event(**fields: Any) -> Event:
    """An event of a command without a class of its own."""
    return received({"CallbackCommand": "Desk.SessionEventNotify", **fields}, app_id="1400000001")


def wanted(jobs: Jobs, event: Event) -> list[str]:
    """The names of the job types that are run for an event."""
    return [job_type.name for job_type in jobs.wanted_by(event)]


def record_enquiry(event: ApiCall) -> str:
    """Return what would be recorded."""
    return event.id


def another(event: ApiCall) -> None:
    """Do something else."""


def record_anything(event: Event) -> None:
    """Record any event."""


def test_the_decorator_returns_the_function_untouched() -> None:
    """So that a test calls it like any other."""
    jobs = Jobs()
    call = api_call()

    assert jobs.on(ApiCall)(record_enquiry) is record_enquiry
    assert only_job(jobs).function is record_enquiry
    assert record_enquiry(call) == call.id


DEFAULTS = JobType(
    name="record_enquiry",
    function=record_enquiry,
    events=(ApiCall,),
    apps=frozenset(),
    nodes=frozenset(),
    when={},
    queue="default",
    attempts=8,
    timeout=60,
    event_parameter="event",
    settings_parameter=None,
    isolation=None,
    backoff=Backoff(base=2, factor=2, cap=600, jitter=0.5),
    keep=500,
    limit=None,
    breaker=None,
    ordered_by=None,
    on_dead="continue",
)


def test_a_job_type_has_defaults() -> None:
    """A declaration that says only the event is complete."""
    jobs = Jobs()
    jobs.on(ApiCall)(record_enquiry)

    assert only_job(jobs) == DEFAULTS


def test_every_option_is_kept() -> None:
    """As it was declared; values that are compared are texts, as Desk writes them."""
    jobs = Jobs()
    options: dict[str, Any] = {
        "when": {"type": 1, "paid": True},
        "isolation": "process",
        "backoff": Backoff(base=1),
        "keep": 60,
        "limit": "10/s",
        "breaker": Breaker(failures=3),
        "ordered_by": "session",
        "on_dead": "hold",
    }
    jobs.on(ApiCall, node=["a", "b"], queue="crm-2", attempts=1, timeout=5, name="crm.enquiry", **options)(
        record_enquiry
    )

    kept = options | {
        "when": {"type": "1", "paid": "true"},
        "limit": Rate(starts=10, period_ms=1000),
        "nodes": frozenset({"a", "b"}),
    }
    assert only_job(jobs) == dataclasses.replace(
        DEFAULTS, queue="crm-2", attempts=1, timeout=5, name="crm.enquiry", **kept
    )


def test_the_event_class_selects() -> None:
    """`Event` itself means every event."""
    jobs = Jobs()
    jobs.on(ApiCall, name="calls")(record_anything)
    jobs.on(OtherEvent, name="others")(record_anything)
    jobs.on(ApiCall, SessionEvent, name="both")(record_anything)
    jobs.on(Event, name="all")(record_anything)

    assert wanted(jobs, api_call()) == ["calls", "both", "all"]
    assert wanted(jobs, session_event()) == ["both", "all"]
    assert wanted(jobs, received({"CallbackCommand": "Desk.New"}, app_id="1")) == ["others", "all"]


def test_a_union_selects_as_its_members_do() -> None:
    """In the decorator and at the parameter, where type checkers want it."""
    jobs = Jobs()

    @jobs.on(ApiCall | SessionEvent)
    def job(event: ApiCall | SessionEvent) -> None: ...

    assert only_job(jobs).events == (ApiCall, SessionEvent)
    assert only_job(jobs).event_parameter == "event"
    assert wanted(jobs, api_call()) == wanted(jobs, session_event()) == ["job"]
    assert wanted(jobs, received({"CallbackCommand": "Desk.New"}, app_id="1")) == []


def test_jobs_may_be_included_twice() -> None:
    """Two modules of one package may each include the same third; a job type is one all the same."""
    first, second, shop = Jobs(), Jobs(), Jobs()
    shop.on(ApiCall)(record_enquiry)
    first.include(shop)
    second.include(shop)

    second.include(first)
    second.include(second)

    assert [job_type.function for job_type in second.types] == [record_enquiry]


def test_what_is_no_jobs_cannot_be_included() -> None:
    """The sentence says what came."""
    other: Any = {}

    with pytest.raises(DeclarationError, match=r"^include: expected a Jobs, got dict$"):
        Jobs().include(other)


def test_the_node_selects() -> None:
    """One, several, or all."""
    jobs = Jobs()
    jobs.on(ApiCall, node="a", name="one")(record_enquiry)
    jobs.on(ApiCall, node=("a", "b"), name="two")(record_enquiry)
    jobs.on(ApiCall, node=(node for node in "bc"), name="generated")(record_enquiry)
    jobs.on(ApiCall, name="all")(record_enquiry)

    assert wanted(jobs, api_call("a")) == ["one", "two", "all"]
    assert wanted(jobs, api_call("b")) == ["two", "generated", "all"]
    assert wanted(jobs, api_call("d")) == ["all"]
    assert wanted(jobs, api_call()) == ["all"]


def test_class_node_and_when_must_all_fit() -> None:
    """One that does not is enough to leave the job out."""
    jobs = Jobs()
    jobs.on(ApiCall, node="a", when={"type": "1"})(record_enquiry)

    assert wanted(jobs, api_call("a", type="1")) == ["record_enquiry"]
    assert wanted(jobs, api_call("b", type="1")) == []
    assert wanted(jobs, api_call("a", type="2")) == []
    assert wanted(jobs, dataclasses.replace(session_event(type="1"), node="a")) == []


def test_a_job_takes_its_event_and_the_settings() -> None:
    """By annotation, whatever the names and the order; a parameter with a default is left alone."""
    jobs = Jobs()

    @jobs.on(ApiCall)
    def job(config: Settings, ring: ApiCall, pause: float = 0.5) -> tuple[Settings, ApiCall, float]:
        return config, ring, pause

    call, settings = api_call(), Settings()
    arguments = only_job(jobs).arguments(call, settings)

    assert arguments == {"ring": call, "config": settings}
    assert job(**arguments) == (settings, call, 0.5)


def test_a_job_id_is_the_same_each_time_and_one_that_rq_admits() -> None:
    """It is the event's with the type's slug: fan-out may run twice, and the second run must name the same jobs."""
    jobs = Jobs()
    jobs.on(ApiCall, name="crm.enquiry_2")(record_enquiry)

    assert only_job(jobs).type_slug == "crm-enquiry_2"
    assert JOB_ID_PATTERN.fullmatch(f"{'0' * 32}-{only_job(jobs).type_slug}")


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,3}(\.[a-z][a-z0-9_]{0,3}){0,2}", fullmatch=True)


@given(first=NAMES, second=NAMES)
def test_two_names_never_share_a_job_id(first: str, second: str) -> None:
    """Or one job would take the other's place."""
    jobs = Jobs()
    jobs.on(ApiCall, name=first)(record_enquiry)
    made = only_job(jobs)

    other = dataclasses.replace(made, name=second)

    assert (made.type_slug == other.type_slug) is (first == second)


def test_job_types_are_found_by_name() -> None:
    """The name is what stands on the wire."""
    jobs = Jobs()
    jobs.on(ApiCall, name="crm.enquiry", queue="crm")(record_enquiry)
    jobs.on(ApiCall, queue="analytics")(another)
    jobs.on(ApiCall, name="b", queue="crm")(another)

    found = jobs.get("crm.enquiry")

    assert found is not None
    assert found.function is record_enquiry
    assert jobs.get("record_enquiry") is None
    assert jobs.names == ["another", "b", "crm.enquiry"]
    assert jobs.queues == ["analytics", "crm"]


def test_include_takes_in_the_job_types_of_another() -> None:
    """As a router does, in their order, leaving the other as it is."""
    jobs, crm = Jobs(), Jobs()
    jobs.on(ApiCall)(another)
    crm.on(ApiCall, name="crm.enquiry", queue="crm")(record_enquiry)

    jobs.include(crm)

    assert [job_type.name for job_type in jobs.types] == ["another", "crm.enquiry"]
    assert crm.names == ["crm.enquiry"]
    assert wanted(jobs, api_call()) == ["another", "crm.enquiry"]


def test_including_a_duplicate_is_refused() -> None:
    """As declaring it is."""
    jobs, crm = Jobs(), Jobs()
    jobs.on(ApiCall, name="a")(record_enquiry)
    crm.on(ApiCall, name="a")(another)

    with pytest.raises(DeclarationError, match=r"the job name a is taken by"):
        jobs.include(crm)


def test_jobs_subscribe_to_any_class_with_conditions() -> None:
    """To one, to several, to a command that nobody listed; `app=` limits them."""
    jobs = Jobs()
    jobs.on(SessionEvent, when={"Event": "ChatBot.UserSendMsg"}, name="messages")(record_anything)
    jobs.on(TaskFlowEvent, MemberEvent, name="flows")(record_anything)
    jobs.on(OtherEvent, name="others")(record_anything)
    jobs.on(SessionEvent, app="1400000002", name="elsewhere")(record_anything)
    message = {"CallbackCommand": "Desk.SessionEventNotify", "Event": "ChatBot.UserSendMsg"}

    assert wanted(jobs, received(message, app_id="1400000001")) == ["messages"]
    assert wanted(jobs, received(message, app_id="1400000002")) == ["messages", "elsewhere"]
    assert wanted(jobs, received(message | {"Event": "SessionBegin"}, app_id="1400000001")) == []
    assert wanted(jobs, received({"CallbackCommand": "Chatbot.TaskFlowEventNotify"}, app_id="1")) == ["flows"]
    assert wanted(jobs, received({"CallbackCommand": "member.eventnotify"}, app_id="1")) == ["flows"]
    assert wanted(jobs, received({"CallbackCommand": "Desk.Invented"}, app_id="1")) == ["others"]
