"""The calls of the integrator's nodes, ready to be pasted."""

import shlex
from typing import Annotated

from pydantic import Field

from deskbell import AssignAgent, Assignment, Callbacks
from deskbell.cli.dev.declared import call_of, declared
from shared.settings.config import load_settings


def test_a_call_holds_a_value_for_each_input_that_needs_one() -> None:
    """And the fixed variables, quoted for the shell; not what has a default, nor what no sample fits."""
    callbacks = Callbacks()

    @callbacks.api_call("one", when={"type": "it's 1"})
    def one(Value: Annotated[int, Field(ge=1000)], Other: int = 1) -> None: ...

    @callbacks.api_call("two")
    def two(Value: Annotated[str, Field(pattern="^[A-Z]{2}$")]) -> None: ...

    calls = [call_of(handler) for handler in callbacks.handlers]

    assert [shlex.split(call) for call in calls] == [["one", "type=it's 1", "Value=1000"], ["two"]]


def test_another_command_is_named_as_it_is_declared() -> None:
    """As `deskbell send` knows it."""
    callbacks = Callbacks()

    @callbacks.assign_agent
    def anyone(_: AssignAgent) -> Assignment:
        return Assignment(group_id=1)

    assert [call_of(each) for each in callbacks.handlers] == ["assign_agent"]


def test_what_cannot_be_loaded_others_say() -> None:
    """The api and the workers do, with the line."""
    assert declared(load_settings(callbacks="nowhere:callbacks", jobs="nowhere:jobs")) == {
        "event": "declared",
        "calls": [],
        "warnings": [],
    }


def test_the_settings_handlers_and_jobs_are_compared() -> None:
    """The example has nodes for the jobs that want one."""
    found = declared(load_settings(callbacks="examples.shop.callbacks:callbacks", jobs="examples.shop.jobs:jobs"))

    assert {"order_status OrderID=1002", "track_parcel OrderID=1002", "assign_agent"} <= {*found["calls"]}
    assert not [call for call in found["calls"] if call.startswith("track_parcel.late")]  # which needs a ticket
    assert found["warnings"] == []
