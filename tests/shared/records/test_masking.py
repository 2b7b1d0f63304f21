"""An event as an operator may see it: what its record shows, and lengths."""

from redis import Redis

from deskbell import SessionEvent
from deskbell.testing import api_call, event_of
from shared.records.masking import mask
from shared.records.packing import Packing
from shared.records.query import read_story
from shared.settings.config import Settings
from shared.wire.events import Reply
from tests.records import put_on_record


def test_what_is_on_record_is_shown_and_of_all_else_the_length(redis: Redis) -> None:
    """In what was asked and answered; a text that quotes what is hidden is shown without it."""
    event = api_call(OrderID="1002", Phone="13800138000", SystemClientUserID="user517", Flat="7", Empty="")
    reply = Reply(variables={"Status": "sent", "Address": "Old Road 7"}, info="to Old Road 7", outcome="refused")
    put_on_record(redis, Packing(Settings(), public={"OrderID", "Status"}).callback(event, reply))
    text = "ValueError: 13800138000 of user517, order 1002, at Old Road 7"

    on_record = mask(event.to_wire(reply), read_story(redis, event.id).call)
    not_any_more = mask(event.to_wire(reply), None)

    assert on_record.event["packet"]["Body"] == {
        "OrderID": "1002",
        "Phone": "(11 characters)",
        "SystemClientUserID": "(7 characters)",
        "Flat": "(1 characters)",
        "Empty": "",
    }
    assert on_record.event["reply"]["variables"] == {"Status": "sent", "Address": "(10 characters)"}
    assert on_record.event["reply"]["info"] == "(13 characters)"
    assert on_record.without(text) == "ValueError: (personal) of (personal), order 1002, at (personal)"
    assert not_any_more.event["packet"]["Body"]["OrderID"] == "(4 characters)"
    assert not_any_more.without(text) == "ValueError: (personal) of (personal), order (personal), at (personal)"
    assert event.variables["Phone"] == "13800138000"


def test_of_other_commands_the_fields_that_say_nothing_of_a_person_are_shown() -> None:
    """What a user wrote is hidden however deep it lies."""
    message = [{"MsgType": "TIMTextElem", "MsgContent": {"Text": "my name is Li"}}]
    event = event_of(SessionEvent, Event="ChatBot.UserSendMsg", ClientUserId="user517", MsgBody=message)

    masked = mask(event.to_wire(), None)

    assert masked.event["packet"]["Event"] == "ChatBot.UserSendMsg"
    assert masked.event["packet"]["ClientUserId"] == "(7 characters)"
    assert "Li" not in str(masked.event)
    assert masked.without("KeyError: 'my name is Li' of user517") == "KeyError: '(personal)' of (personal)"
