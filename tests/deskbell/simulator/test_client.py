"""Posting callbacks as Desk does, over real HTTP."""

from redis import Redis

from deskbell import Callbacks, SessionEvent
from deskbell.simulator.client import Answer, Desk
from deskbell.simulator.packets import packet_of
from shared.redis.queues import EVENTS, queue
from shared.wire.commands import event_from_wire
from tests.conftest import ApiFactory
from tests.desk import APP, TOKEN


def test_an_answer_says_what_desk_would_get(start_api: ApiFactory, redis: Redis) -> None:
    """Status, envelope, variables, milliseconds, and the event that was kept."""
    callbacks = Callbacks()

    @callbacks.api_call
    def order_status(OrderID: int) -> dict[str, str]:
        return {"OrderStatus": f"{OrderID} shipped"}

    with Desk(start_api(callbacks).url, APP, TOKEN) as desk:
        answer = desk.post(packet_of("api_call", {"Body": {"OrderID": "7"}}), "order_status")
        failed = desk.post(packet_of("api_call", {"Body": {}}), "order_status")

    assert (answer.status, answer.code, answer.variables) == (200, 0, {"OrderStatus": "7 shipped"})
    assert answer.ms > 0
    assert [answer.event_id, failed.event_id] == queue(EVENTS, redis).job_ids
    assert (failed.code, failed.variables) == (1007, {})


def test_an_equal_request_id_is_the_same_delivery(start_api: ApiFactory, redis: Redis) -> None:
    """The second gets the first one's answer."""
    packet = packet_of("session_event", {"Event": "SessionBegin"})
    with Desk(start_api().url, APP, TOKEN) as desk:
        first, second = (desk.post(packet, request_id="r-1") for _ in range(2))

    (job,) = queue(EVENTS, redis).jobs
    event = event_from_wire(job.args[0])
    assert (first.event_id, first.text) == (second.event_id, second.text) == (job.id, first.text)
    assert isinstance(event, SessionEvent)
    assert event.event_name == "SessionBegin"


def test_a_sign_is_as_old_as_one_says(start_api: ApiFactory) -> None:
    """And no Sign is sent without a token."""
    url = start_api().url
    with Desk(url, APP, TOKEN) as desk, Desk(url, APP, None) as unsigned:
        assert desk.post(packet_of("api_call"), now=1.0).code == 1003
        assert unsigned.post(packet_of("api_call")).code == 1003


def test_the_answer_of_another_server_has_no_code() -> None:
    """It may be no JSON, or another JSON."""
    assert [Answer(200, text, 1, "").code for text in ("<html>", "[]", "{}", '{"ErrorCode": "0"}')] == [None] * 4
