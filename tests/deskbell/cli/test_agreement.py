"""Whether jobs ask for what handlers have."""

from typing import Any

import pytest

from deskbell import ApiCall, Callbacks, Event, Jobs, SessionEvent
from deskbell.cli.agreement import disagreements, keyless
from deskbell.desk import Desks
from shared.declarations.functions import describe
from tests.conftest import SettingsFactory


def job(event: Event) -> None:
    """Do nothing."""


def callbacks() -> Callbacks:
    """Two nodes, one of which may read any variable, and another command."""
    made = Callbacks()

    @made.api_call("order_status", when={"type": "1"})
    def order_status(OrderID: int) -> None: ...

    @made.api_call("anything")
    def anything(call: ApiCall) -> None: ...

    made.assign_agent(lambda: None)
    return made


def said(events: Any, **options: Any) -> list[str]:
    """The sentences about one job beside these handlers."""
    jobs = Jobs()
    jobs.on(*events, name="job", **options)(job)
    return list(disagreements(callbacks(), jobs))


@pytest.mark.parametrize(
    "options",
    [
        {"node": "order_status", "when": {"type": "1", "OrderID": "7", "SystemSessionID": "s"}},
        {"node": ["order_status", "anything"], "ordered_by": "Any"},
        {"node": "order_status", "ordered_by": "session"},
        {"when": {"Any": "7"}},
    ],
)
def test_jobs_that_ask_for_what_there_is_are_left_alone(options: Any) -> None:
    """Declared, fixed and system variables; any, where a handler takes the whole call."""
    assert said([ApiCall], **options) == []


def test_a_node_that_no_handler_has_is_said() -> None:
    """With the job's file and line, and the nearest node."""
    assert said([ApiCall], node=["order_staus", "zzz", "anything"]) == [
        (
            f"the job job, {describe(job)}, is run for the node order_staus, which no handler has; "
            "did you mean order_status?"
        ),
        f"the job job, {describe(job)}, is run for the node zzz, which no handler has",
    ]


def test_a_variable_that_no_handler_of_the_node_declares_is_said() -> None:
    """With the nearest of those that are declared."""
    assert said([ApiCall], node="order_status", when={"OrdrID": "7"}, ordered_by="zzz") == [
        (
            f"the job job, {describe(job)}, asks for the variable OrdrID, which no handler of its nodes declares; "
            "did you mean OrderID?"
        ),
        f"the job job, {describe(job)}, asks for the variable zzz, which no handler of its nodes declares",
    ]


def test_without_handlers_of_nodes_nothing_is_said() -> None:
    """Then the api runs elsewhere."""
    jobs = Jobs()
    jobs.on(ApiCall, node="order_staus")(job)
    jobs.on(SessionEvent, name="other", when={"Anything": "1"})(job)

    assert list(disagreements(Callbacks(), jobs)) == []


@pytest.mark.parametrize(
    ("apps", "keys", "missing"),
    [
        (["1400000001", "1400000002"], ["1400000001"], [("the app 1400000002", "1400000002")]),
        (["1400000001"], ["1400000001", "1400000002"], []),
        ([], ["1400000001"], []),  # a worker's host need not know the apps
        ([], [], [("any app", "1400000001")]),
    ],
)
def test_an_app_without_a_key_is_named_where_jobs_talk_to_desk(
    make_settings: SettingsFactory, apps: list[str], keys: list[str], missing: list[tuple[str, str]]
) -> None:
    """Each of its jobs that talks to Desk would be a dead letter at once."""
    jobs = Jobs()
    settings = make_settings(apps={app: ["token"] for app in apps}, desk_keys=dict.fromkeys(keys, "key"))
    assert list(keyless(jobs, settings)) == []

    jobs.lifespan(Desks().lifespan)

    assert list(keyless(jobs, settings)) == [
        f"job types talk to Desk, and DESKBELL_DESK_KEYS has no secret key of {who}: such jobs are dead letters at "
        f'once; write DESKBELL_DESK_KEYS={{"{app}": "key"}}'
        for who, app in missing
    ]
