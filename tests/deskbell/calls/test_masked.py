"""A callback without its personal values."""

from redis import Redis

from deskbell.calls.masked import has_personal_values, masked
from deskbell.testing import api_call
from shared.records.packing import Packing
from shared.records.query import all_calls
from shared.settings.config import Settings
from shared.wire.events import Reply
from tests.records import put_on_record


def test_a_record_with_all_values_is_masked_to_what_it_would_be_without(redis: Redis) -> None:
    """So the setting changes nothing for whoever may not see more."""
    event = api_call("order", OrderID="1002", Phone="555-0199", SystemClientUserID="user517")
    reply = Reply(variables={"Status": "sent", "Address": "Old Road 7"}, info="to Old Road 7", outcome="refused")
    for values in (True, False):
        packing = Packing(Settings(record_values=values), public={"OrderID", "Status"})
        put_on_record(redis, packing.callback(event, reply))

    without, with_all = all_calls(redis)

    assert (has_personal_values(without), has_personal_values(with_all)) == (False, True)
    assert with_all.asked["Phone"] == "555-0199"
    shown, expected = masked(with_all), masked(without)
    assert (shown.user, shown.info, shown.asked, shown.answered) == (
        expected.user,
        expected.info,
        expected.asked,
        expected.answered,
    )
    assert shown.answered == {"Status": "sent", "Address": 10}
