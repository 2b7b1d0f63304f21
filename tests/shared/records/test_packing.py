"""What a record holds of a callback, and what it does not."""

import json
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel, Field

from api.app import public_variables
from deskbell import C2CSignal, Callbacks, Event, Personal
from deskbell.testing import api_call, event_of
from shared.records.packing import MOST_CHARACTERS, MOST_VARIABLES, Packing
from shared.settings.config import Settings
from shared.wire.events import Reply


class Parcel(TypedDict):
    """What a node answers."""

    Status: str
    Address: Annotated[str, Personal]


class Person(BaseModel):
    """What another answers."""

    level: int = Field(serialization_alias="Level")
    phone: Annotated[str | None, Personal] = Field(default=None, serialization_alias="Phone")


callbacks = Callbacks()


@callbacks.api_call
def parcel(OrderID: str, Phone: str) -> Parcel:
    """Phone is personal, since the other node says so."""
    return {"Status": f"sent {OrderID}", "Address": Phone}


@callbacks.api_call
def person(Card: Annotated[str, Personal] | None = None, Nick: str = "") -> Person:
    """A model's fields go by the names that are answered."""
    return Person(level=len(Nick), phone=Card)


@callbacks.api_call
def plain(Free: str, SystemClientUserID: str, SystemChannelType: str = "") -> dict[str, str]:
    """It declares no output; the user's id is personal in any case."""
    return {"Secret": f"{Free} {SystemClientUserID} {SystemChannelType}"}


def shown(event: Event, reply: Reply, **settings: Any) -> list[Any]:
    """The record, read."""
    packing = Packing(Settings(**settings), public_variables(callbacks))
    read: list[Any] = json.loads(packing.callback(event, reply).text)
    return read


def test_public_variables_are_those_declared_and_nowhere_personal() -> None:
    """One mark suffices for all nodes: in a flow they share their variables."""
    assert public_variables(callbacks) == {"OrderID", "Status", "SystemChannelType", "Level", "Nick", "Free"}


def test_values_of_other_variables_are_kept_as_their_lengths() -> None:
    """Of the user a digest, of the session the id."""
    event = api_call("parcel", OrderID="1002", Phone="555-0199", Undeclared="hello", SystemClientUserID="user517")
    record = shown(event, Reply(variables={"Status": "sent", "Address": "1 Main Street"}, outcome="answered"))

    assert record[1:5] == [event.id, event.app_id, event.command, "parcel"]
    assert "user517" not in json.dumps(record)
    assert record[11]["OrderID"] == "1002"
    assert (record[11]["Phone"], record[11]["Undeclared"], record[11]["SystemClientUserID"]) == (8, 5, 7)
    assert record[12] == {"Status": "sent", "Address": 13}


def test_all_values_are_kept_where_the_setting_asks_for_it() -> None:
    """The user's id, too, and the text of a `Refuse`; each marked as personal, so that it can still be hidden."""
    event = api_call("parcel", OrderID="1002", Phone="555-0199", SystemClientUserID="user517")
    record = shown(event, Reply(code=7, info="no, Mr. Li", outcome="refused"), record_values=True)

    assert (record[5], record[9], record[11]["Phone"]) == (["user517"], ["no, Mr. Li"], ["555-0199"])
    assert record[11]["OrderID"] == "1002"


@pytest.mark.parametrize(
    ("outcome", "info"), [("refused", ""), ("misfit", "OrderID is missing"), ("no_handler", "no handler")]
)
def test_error_info_is_kept_where_it_is_our_own_text(outcome: Any, info: str) -> None:
    """A handler may put what a customer wrote into that of a `Refuse`."""
    assert shown(api_call("parcel"), Reply(code=1, info=info or "Mr. Li", outcome=outcome))[9] == info


def test_a_record_is_small_whatever_came() -> None:
    """Names, values and their number are cut; what no text can be is empty."""
    many = {f"V{number}": "x" for number in range(1000)}
    event = api_call("plain", Free="界" * 200_000, Nick=10**5000, **many | {"N" * 1000: 1, "OrderID": [{"a": "b"}]})
    record = shown(event, Reply(variables={"Free": "y" * 300}))

    assert record[11]["Free"] == "界" * (MOST_CHARACTERS - 1) + "…"
    assert record[11]["Nick"] == ""
    assert len(record[11]) == MOST_VARIABLES
    assert shown(api_call("plain", SystemClientUserID=10**5000), Reply())[5] == ""
    assert len(json.dumps(record, ensure_ascii=False)) < 2000


def test_events_of_other_commands_show_what_happened_and_nothing_of_whom() -> None:
    """Their fields, and what was answered beside variables."""
    event = event_of(C2CSignal, From_Account="user01", Data='{"a": 1}')
    record = shown(event, Reply(fields={"RspData": "[1]"}))

    assert "user01" not in json.dumps(record)
    assert (record[11]["Data"], record[12]) == (8, {"RspData": 3})
