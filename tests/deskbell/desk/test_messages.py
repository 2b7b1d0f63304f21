"""What messages are made of."""

import json

import pytest

from deskbell import SessionEvent
from deskbell.desk import card, msg_random, opens_chat
from deskbell.testing import event_of

OPENING = {"customerServicePlugin": 0, "src": "7"}


def session_event(data: str) -> SessionEvent:
    """A message of a customer, with a custom element."""
    body = [{"MsgType": "TIMCustomElem", "MsgContent": {"Data": data}}]
    return event_of(SessionEvent, MsgBody=body)


def test_the_number_of_a_message_is_that_of_its_event_job_and_part() -> None:
    """A job that runs again has the same number, and two messages never share one by the way their names are joined."""
    numbers = [msg_random("e", "job"), msg_random("e", "job", "2"), msg_random("e", "job2"), msg_random("ejob", "")]

    assert msg_random("e", "job") == numbers[0]
    assert len({*numbers}) == len(numbers)
    assert all(0 <= number < 1 << 32 for number in numbers)


@pytest.mark.parametrize(
    ("data", "opens"),
    [(json.dumps(OPENING), True), (json.dumps({**OPENING, "src": "8"}), False), ('{"src": "22"}', False), ("7", False)],
)
def test_a_customer_who_opens_the_chat_is_known_by_what_desk_sends_for_him(data: str, opens: bool) -> None:
    """As the documented guide has it (C/269/110624); what else arrives is no opening."""
    assert opens_chat(session_event(data)) is opens
    assert not opens_chat(event_of(SessionEvent))


def test_a_card_is_json_in_a_text() -> None:
    """As the page of send_msg has it."""
    data = card(header="Welcome", desc="How can we help?")["MsgContent"]["Data"]

    assert json.loads(data) == {
        "src": "22",
        "content": {"header": "Welcome", "desc": "How can we help?", "pic": "", "url": ""},
        "customerServicePlugin": 0,
    }
