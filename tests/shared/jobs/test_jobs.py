"""The job types of an integrator, and for which events they are run.

Long, because one file holds what one module promises, each rule with a test that reads alone.
"""

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
    C2CSignal,
    Event,
    Jobs,
    MemberEvent,
    OtherEvent,
    SessionEvent,
    Settings,
    TaskFlowEvent,
)
from deskbell.testing import api_call
from shared.declarations.functions import describe
from shared.declarations.policies import Rate
from shared.errors import DeclarationError
from shared.jobs.job_type import JobType
from shared.wire.commands import received


def session_event(**fields: Any) -> Event:
    """An event of a command without a class of its own."""
    return received({"CallbackCommand": "Desk.SessionEventNotify", **fields}, app_id="1400000001")


def wanted(jobs: Jobs, event: Event) -> list[str]:
    """The names of the job types that are run for an event."""
    return [job_type.name for job_type in jobs.wanted_by(event)]


def only(jobs: Jobs) -> JobType:
    """The one job type that was declared."""
    [job_type] = jobs.types
    return job_type


def record_enquiry(event: ApiCall) -> str:
    """Return what would be recorded."""
    return event.id


def another(event: ApiCall) -> None:
    """Do something else."""


def record_anything(event: Event) -> None:
    """Record any event."""


WHERE = describe(record_enquiry)


def test_the_decorator_returns_the_function_untouched() -> None:
    """So that a test calls it like any other."""
    jobs = Jobs()
    call = api_call()

    assert jobs.on(ApiCall)(record_enquiry) is record_enquiry
    assert only(jobs).function is record_enquiry
    assert record_enquiry(call) == call.id


def test_a_job_type_has_defaults() -> None:
    """A declaration that says only the event is complete."""
    jobs = Jobs()
    jobs.on(ApiCall)(record_enquiry)

    assert only(jobs) == JobType(
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


def test_every_option_is_kept() -> None:
    """As it was declared; texts that are compared are texts."""
    jobs = Jobs()
    options: dict[str, Any] = {
        "when": {"type": 1},
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

    assert only(jobs) == JobType(
        name="crm.enquiry",
        function=record_enquiry,
        events=(ApiCall,),
        apps=frozenset(),
        nodes=frozenset({"a", "b"}),
        when={"type": "1"},
        queue="crm-2",
        attempts=1,
        timeout=5,
        event_parameter="event",
        settings_parameter=None,
        isolation="process",
        backoff=Backoff(base=1),
        keep=60,
        limit=Rate(starts=10, period_ms=1000),
        breaker=Breaker(failures=3),
        ordered_by="session",
        on_dead="hold",
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

    assert only(jobs).events == (ApiCall, SessionEvent)
    assert only(jobs).event_parameter == "event"
    assert wanted(jobs, api_call()) == wanted(jobs, session_event()) == ["job"]
    assert wanted(jobs, received({"CallbackCommand": "Desk.New"}, app_id="1")) == []


def test_a_union_that_lacks_an_event_is_refused() -> None:
    """The sentence has the whole annotation to write."""

    def job(event: ApiCall | SessionEvent) -> None: ...

    assert refusal_of(job, ApiCall, SessionEvent, MemberEvent).endswith(
        ": parameter event is annotated ApiCall | SessionEvent, but the job is run for ApiCall, SessionEvent, "
        "MemberEvent; write event: ApiCall | SessionEvent | MemberEvent"
    )


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


@pytest.mark.parametrize(
    ("events", "options", "reason"),
    [
        ([SessionEvent], {"when": {"Evnt": "x"}}, "when= names 'Evnt'; write 'Event', as the packet does"),
        ([C2CSignal], {"when": {"Dta": "x"}}, "when= names 'Dta'; write 'Data', as the packet does"),
        ([SessionEvent], {"ordered_by": "CustomerServiceID"}, "ordered_by= names 'CustomerServiceID'; write"),
        ([SessionEvent], {"ordered_by": "agent"}, "ordered_by= names 'agent'; write 'AgentId', as the packet does"),
        ([TaskFlowEvent], {"ordered_by": "ExecutonId"}, "ordered_by= names 'ExecutonId'; write 'ExecutionId'"),
        ([SessionEvent, TaskFlowEvent], {"ordered_by": "execution_id"}, "write 'ExecutionId', as the packet does"),
        ([ApiCall], {"ordered_by": "sesion"}, "ordered_by= is 'sesion'; write ordered_by=\"session\""),
        ([Event], {"ordered_by": "Session"}, "ordered_by= is 'Session'; write ordered_by=\"session\""),
        ([ApiCall], {"when": {"SystemChanelType": "Web"}}, "names 'SystemChanelType'; write 'SystemChannelType'"),
        ([ApiCall], {"ordered_by": "SystemClientUserId"}, "write 'SystemClientUserID', as Desk does"),
        ([SessionEvent], {"node": "a"}, "node= chooses among API calls, and SessionEvent has no node"),
        ([ApiCall, OtherEvent], {"node": "a"}, "node= chooses among API calls, and OtherEvent has no node"),
    ],
)
def test_what_no_event_would_ever_match_is_refused(events: list[Any], options: dict[str, Any], reason: str) -> None:
    """Known fields are known: the sentence has the nearest one."""
    assert f"{describe(record_anything)}: " in (refused := refusal_of(record_anything, *events, **options))
    assert reason in refused


@pytest.mark.parametrize(
    ("events", "options"),
    [
        ([ApiCall], {"when": {"Evnt": "x"}, "ordered_by": "SessionID"}),
        ([OtherEvent], {"when": {"Evnt": "x"}, "ordered_by": "Sesion_Id"}),
        ([TaskFlowEvent], {"when": {"NextNodeName": "x"}, "ordered_by": "ExecutionId"}),
        ([SessionEvent, TaskFlowEvent], {"ordered_by": "ExecutionId"}),
        ([ApiCall], {"when": {"SystemClientUserName": "x"}}),
        ([Event], {"node": "a", "when": {"type": "1"}}),
    ],
)
def test_what_an_event_may_match_is_taken(events: list[Any], options: dict[str, Any]) -> None:
    """Variables have any name, and a packet may hold fields that no page lists."""
    jobs = Jobs()
    jobs.on(*events, **options)(record_anything)

    assert only(jobs).events == tuple(events)


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


def test_the_variables_of_an_api_call_select() -> None:
    """All that `when` names must be there with that text."""
    jobs = Jobs()
    jobs.on(ApiCall, when={"type": "1", "shop": "tea"})(record_enquiry)

    assert wanted(jobs, api_call(type=1, shop="tea", other="x")) == ["record_enquiry"]
    assert wanted(jobs, api_call(type="1")) == []
    assert wanted(jobs, api_call(type="1", shop="coffee")) == []


def test_the_fields_of_another_event_select() -> None:
    """So a job can ask for one kind of session event."""
    jobs = Jobs()
    jobs.on(SessionEvent, when={"Event": "SessionBegin"})(record_anything)

    assert wanted(jobs, session_event(Event="SessionBegin")) == ["record_anything"]
    assert wanted(jobs, session_event(Event="ChatBot.UserSendMsg")) == []


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
    arguments = only(jobs).arguments(call, settings)

    assert arguments == {"ring": call, "config": settings}
    assert job(**arguments) == (settings, call, 0.5)


def test_a_job_for_several_events_takes_what_they_have_in_common() -> None:
    """The parameter may be annotated with any class above those of the events."""
    jobs = Jobs()

    jobs.on(ApiCall, OtherEvent)(record_anything)
    jobs.on(ApiCall, name="narrower")(record_anything)

    assert [job_type.event_parameter for job_type in jobs.types] == ["event", "event"]


def test_a_job_id_is_the_same_each_time_and_one_that_rq_admits() -> None:
    """Fan-out may run twice; the second run must name the same jobs."""
    jobs = Jobs()
    jobs.on(ApiCall, name="crm.enquiry_2")(record_enquiry)
    identifier = only(jobs).job_id("0" * 32)

    assert identifier == only(jobs).job_id("0" * 32) == "0" * 32 + "-crm-enquiry_2"
    assert JOB_ID_PATTERN.fullmatch(identifier)


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,3}(\.[a-z][a-z0-9_]{0,3}){0,2}", fullmatch=True)


@given(first=NAMES, second=NAMES)
def test_two_names_never_share_a_job_id(first: str, second: str) -> None:
    """Or one job would take the other's place."""
    jobs = Jobs()
    jobs.on(ApiCall, name=first)(record_enquiry)
    made = only(jobs)

    other = dataclasses.replace(made, name=second)

    assert (made.job_id("0" * 32) == other.job_id("0" * 32)) is (first == second)


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


def refusal_of(function: Any, *events: Any, **options: Any) -> str:
    """The sentence with which a declaration is refused, after the name `taken` was given."""
    jobs = Jobs()
    jobs.on(ApiCall, name="taken")(record_enquiry)
    with pytest.raises(DeclarationError) as caught:
        jobs.on(*events, **options)(function)
    assert jobs.names == ["taken"]
    return str(caught.value)


@pytest.mark.parametrize("events", [(), ("ApiCall",), (api_call(),), (record_enquiry,), (ApiCall, dict), (None,)])
def test_a_job_without_an_event_is_refused(events: tuple[Any, ...]) -> None:
    """What is not an event's class is none; nor is the function, where the parentheses are missing."""
    assert refusal_of(record_enquiry, *events) == (
        f"{WHERE}: a job needs the event it is run for; write @jobs.on(ApiCall)"
    )


@pytest.mark.parametrize(
    "name",
    ["", "Enquiry", "crm-enquiry", "crm.", ".crm", "crm..enquiry", "1crm", "_crm", "crm enquiry", "询问", "a\n", 5],
)
def test_a_name_that_cannot_stand_on_the_wire_is_refused(name: Any) -> None:
    """It is part of a job's id, in which a dot becomes a dash."""
    assert refusal_of(record_enquiry, ApiCall, name=name) == (
        f"{WHERE}: the job's name must match [a-z][a-z0-9_]*(\\.[a-z][a-z0-9_]*)*, got {name!r}; "
        'write for example name="crm.enquiry"'
    )


def test_a_name_that_logs_would_not_print_is_refused() -> None:
    """A job of anybody's name could fill a log: what is longer is not printed."""
    assert "must have 100 characters at most, got 101" in refusal_of(record_enquiry, ApiCall, name="x" * 101)


def test_a_name_that_is_taken_is_refused() -> None:
    """The sentence names both functions and another name."""
    assert refusal_of(another, ApiCall, name="taken") == (
        f"{describe(another)}: the job name taken is taken by {WHERE}; write another: name='taken_2'"
    )


def test_including_a_duplicate_is_refused() -> None:
    """As declaring it is."""
    jobs, crm = Jobs(), Jobs()
    jobs.on(ApiCall, name="a")(record_enquiry)
    crm.on(ApiCall, name="a")(another)

    with pytest.raises(DeclarationError, match=r"the job name a is taken by"):
        jobs.include(crm)


@pytest.mark.parametrize("queue", ["", "c r m", "crm:1", "crm.1", "客户", "crm\n", "a" * 65, 5, None])
def test_a_queue_that_cannot_be_named_is_refused(queue: Any) -> None:
    """It is part of Redis keys and of command lines."""
    assert refusal_of(record_enquiry, ApiCall, queue=queue) == (
        f'{WHERE}: queue= must match [A-Za-z0-9_-]{{1,64}}, got {queue!r}; write for example queue="crm"'
    )


def test_the_queue_of_events_is_refused() -> None:
    """Only accepted events wait there, and its worker runs nothing else."""
    assert refusal_of(record_enquiry, ApiCall, queue="events") == (
        f'{WHERE}: the queue events is kept for events; write another, such as queue="crm"'
    )


@pytest.mark.parametrize("option", ["attempts", "timeout"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "3", None, True])
def test_attempts_and_timeout_are_whole_numbers_of_1_or_more(option: str, value: Any) -> None:
    """A job that is never run, or has no time, is a mistake."""
    assert refusal_of(record_enquiry, ApiCall, **{option: value}) == (
        f"{WHERE}: {option}= must be a whole number of 1 or more, got {value!r}"
    )


@pytest.mark.parametrize("keep", [-1, 1.5, "3", None, True, 365 * 24 * 3600 + 1])
def test_a_result_is_kept_for_whole_seconds(keep: Any) -> None:
    """Or not at all: 0."""
    jobs = Jobs()
    jobs.on(ApiCall, keep=0)(record_enquiry)

    assert only(jobs).keep == 0
    assert refusal_of(record_enquiry, ApiCall, keep=keep) == (
        f"{WHERE}: keep= must be whole seconds from 0 to 31536000, got {keep!r}; write keep=3600"
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"isolation": "thread"},
            'isolation= must be "process", got \'thread\'; write isolation="process", or leave it out',
        ),
        ({"isolation": True}, 'isolation= must be "process", got True; write isolation="process", or leave it out'),
        ({"backoff": 5}, "backoff= must be a Backoff, got 5; write backoff=Backoff(base=2, factor=2, cap=600)"),
        ({"backoff": None}, "backoff= must be a Backoff, got None; write backoff=Backoff(base=2, factor=2, cap=600)"),
        ({"breaker": 5}, "breaker= must be a Breaker, got 5; write breaker=Breaker(failures=10, pause=60)"),
        (
            {"limit": 4},
            (
                "limit= must be a number of starts, 1 to 10000, in a s, min or h, or a Concurrency, got 4; "
                'write limit="10/s" or limit=Concurrency(4)'
            ),
        ),
        (
            {"on_dead": "stop", "ordered_by": "session"},
            'on_dead= must be "continue" or "hold", got \'stop\'; write on_dead="hold"',
        ),
        (
            {"on_dead": "hold"},
            'on_dead= says what ordered jobs do; write ordered_by="session" as well, or leave it out',
        ),
        (
            {"ordered_by": "my session"},
            (
                "ordered_by= must match [A-Za-z_][A-Za-z0-9_.-]{0,127}, got 'my session'; "
                'write for example ordered_by="session"'
            ),
        ),
    ],
)
def test_a_policy_that_is_none_is_refused(options: dict[str, Any], sentence: str) -> None:
    """Where it is declared, in a sentence that says what to write."""
    assert refusal_of(record_enquiry, ApiCall, **options) == f"{WHERE}: {sentence}"


@pytest.mark.parametrize("node", ["", "a b", "a/b", 5, None, ["a", ""], ["a", 5], [["a"]]])
def test_a_node_that_no_url_can_name_is_refused(node: Any) -> None:
    """No event would ever come from it."""
    assert f"{WHERE}: node= must match [A-Za-z0-9][A-Za-z0-9_.-]{{0,63}}, got " in refusal_of(
        record_enquiry, ApiCall, node=node
    )


def test_a_job_that_does_not_take_its_event_is_refused() -> None:
    """None and two are both wrong; the settings alone are no event."""

    def nothing() -> None: ...

    def settings_alone(settings: Settings) -> None: ...

    def two(event: ApiCall, again: ApiCall) -> None: ...

    for function in (nothing, settings_alone, two):
        assert refusal_of(function, ApiCall).endswith(": a job takes its event in one parameter; write event: ApiCall")


def test_a_parameter_annotated_with_another_event_is_refused() -> None:
    """It would be given what its author did not expect."""

    def other(event: OtherEvent) -> None: ...

    assert refusal_of(other, ApiCall).endswith(
        ": parameter event is annotated OtherEvent, but the job is run for ApiCall; write event: ApiCall"
    )
    assert refusal_of(record_enquiry, ApiCall, OtherEvent) == (
        f"{WHERE}: parameter event is annotated ApiCall, but the job is run for ApiCall, OtherEvent; "
        "write event: ApiCall | OtherEvent"
    )


def test_a_parameter_that_nothing_is_given_to_is_refused() -> None:
    """A job is given its event and the settings, once each; variables are for handlers."""

    def variable(event: ApiCall, OrderID: str) -> None: ...

    def twice(event: ApiCall, first: Settings, second: Settings) -> None: ...

    for function, parameter in ((variable, "OrderID"), (twice, "second")):
        assert refusal_of(function, ApiCall).endswith(
            f": nothing is given to parameter {parameter}; a job takes event: ApiCall and settings: Settings"
        )


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


@pytest.mark.parametrize("events", [(ApiCall,), (OtherEvent,), (Event,), (SessionEvent, ApiCall)])
def test_variables_and_unlisted_fields_are_called_as_they_are(events: Any) -> None:
    """Nobody knows them all."""
    jobs = Jobs()
    jobs.on(*events, when={"event": "x", "agentid": "y"})(record_anything)

    assert jobs.names == ["record_anything"]
