"""More at once than one process answers in time: refused at once, and everything else goes on."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from threading import Event as Flag
from urllib.parse import urlsplit

import httpx
import pytest

from api.admission.concurrency import ConcurrencyLimit, Slot
from api.errors import Rejection
from deskbell.testing import packet
from shared.handlers.callbacks import Callbacks
from shared.wire.codes import Code
from tests.conftest import ApiFactory
from tests.desk import Desk
from tests.waiting import until

MOST = 4


@contextmanager
def crowd(desk: Desk, begun: list[int], ends: Flag) -> Iterator[list[httpx.Response]]:
    """As many callbacks in flight as there may be; their answers, when they have ended."""
    answers: list[httpx.Response] = []
    with ThreadPoolExecutor(MOST) as threads:
        calls = [threads.submit(desk.call, "waits", N=str(number)) for number in range(MOST)]
        until(lambda: len(begun) == MOST)
        try:
            yield answers
        finally:
            ends.set()
            answers += [call.result() for call in calls]


def test_a_callback_too_many_is_refused_at_once(start_api: ApiFactory, capsys: pytest.CaptureFixture[str]) -> None:
    """With the envelope, 1010 and 503; counted, and logged once a second; the others get their answers."""
    callbacks, begun, ends = Callbacks(), [], Flag()

    @callbacks.api_call("waits")
    def waits() -> dict[str, str]:
        begun.append(1)
        ends.wait(30)
        return {"Waited": "yes"}

    desk = start_api(callbacks, max_in_flight=MOST)
    with crowd(desk, begun, ends) as answers:
        one_too_many = [desk.call("waits") for _ in range(20)]
        beside = [desk.http.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")]
        counted = desk.refused("overloaded")
    after = desk.call("waits")
    lines = [line for line in capsys.readouterr().out.splitlines() if "overloaded" in line]

    assert [answer.json()["Body"] for answer in answers] == [{"Waited": "yes"}] * MOST
    for answer in one_too_many:
        assert answer.status_code == 503
        assert list(answer.json().items())[0:3:2] == [("ActionStatus", "FAIL"), ("ErrorCode", 1010)]
        assert "connection" not in answer.headers
    assert beside == [200, 200, 200]
    assert counted == 20
    assert len(lines) < 20
    assert after.json()["ErrorCode"] == 0


def test_a_refused_callback_with_a_large_body_keeps_its_connection(start_api: ApiFactory) -> None:
    """The rest of the body is thrown away; the next callback on it is answered."""
    callbacks, begun, ends = Callbacks(), [], Flag()

    @callbacks.api_call("waits")
    def waits() -> dict[str, str]:
        begun.append(1)
        ends.wait(30)
        return {}

    desk = start_api(callbacks, max_in_flight=MOST)
    body = json.dumps(packet(Long="x" * 200_000)).encode()
    target = f"/callback?{desk.query(packet())}"
    connection = HTTPConnection(urlsplit(desk.url).netloc, timeout=20)
    with crowd(desk, begun, ends):
        connection.request("POST", target, body)
        first = connection.getresponse()
        said = json.loads(first.read())["ErrorCode"]
        connected = connection.sock
    connection.request("POST", target, body)
    second = json.loads(connection.getresponse().read())["ErrorCode"]

    assert (first.status, said, second) == (503, 1010, 0)
    assert connection.sock is connected
    connection.close()


def test_bodies_in_flight_are_bounded_together() -> None:
    """One that would be too much is refused; what it held is free again."""
    limit = ConcurrencyLimit(10, most_body_bytes=100)

    with Slot(limit) as first:
        first.hold(90)
        with pytest.raises(Rejection) as caught, Slot(limit) as second:
            second.hold(11)
        with Slot(limit) as third:
            third.hold(10)
        held = limit.count, limit.body_bytes

    assert caught.value.code is Code.CANNOT_KEEP
    assert held == (1, 90)
    assert (limit.count, limit.body_bytes) == (0, 0)
