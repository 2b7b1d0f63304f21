"""What a job type is refused for where it is declared."""

from typing import Any

import pytest

from deskbell import (
    ApiCall,
    C2CSignal,
    Event,
    Jobs,
    OtherEvent,
    SessionEvent,
    Settings,
    TaskFlowEvent,
)
from deskbell.testing import api_call
from shared.declarations.functions import describe
from shared.errors import DeclarationError
from tests.shared.declared import only_job


def record_enquiry(event: ApiCall) -> str:
    """Return what would be recorded."""
    return event.id


def another(event: ApiCall) -> None:
    """Do something else."""


def record_anything(event: Event) -> None:
    """Record any event."""


WHERE = describe(record_enquiry)


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

    assert only_job(jobs).keep == 0
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
        ([ApiCall], {"when": {"SystemClientUserName": "x", "systems": "x"}}),
        ([Event], {"node": "a", "when": {"type": "1", "agentid": "y"}}),
        ([SessionEvent, ApiCall], {"when": {"event": "x"}}),
    ],
)
def test_what_an_event_may_match_is_taken(events: list[Any], options: dict[str, Any]) -> None:
    """Variables have any name, and a packet may hold fields that no page lists."""
    jobs = Jobs()
    jobs.on(*events, **options)(record_anything)

    assert only_job(jobs).events == tuple(events)


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


def test_a_name_that_is_taken_is_refused() -> None:
    """The sentence names both functions and another name."""
    assert refusal_of(another, ApiCall, name="taken") == (
        f"{describe(another)}: the job name taken is taken by {WHERE}; write another: name='taken_2'"
    )
