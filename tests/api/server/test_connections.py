"""Connections that are not used are closed, and the others are not affected."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from api.server.connections import Connections
from api.server.server import connections_of
from deskbell.testing import packet
from shared.handlers.callbacks import Callbacks
from tests.conftest import SettingsFactory
from tests.desk import Desk, serving
from tests.waiting import until

BUDGET_MS = 600
SETTINGS = {"budget_ms": BUDGET_MS, "redis_timeout_ms": 100}
HEAD = b"POST /callback HTTP/1.1\r\nHost: x\r\n"


@contextmanager
def desk_and_raw(make_settings: SettingsFactory, connections: Connections | None = None) -> Iterator[Desk]:
    """An api with a short budget."""
    with serving(make_settings(**SETTINGS), Callbacks(), connections) as desk:
        yield desk


@pytest.fixture
def desk(redis: object, make_settings: SettingsFactory) -> Iterator[Desk]:
    """An api with a short budget."""
    assert redis
    with desk_and_raw(make_settings) as running:
        yield running


def connect(desk: Desk) -> socket.socket:
    """A bare connection to the api."""
    connection = socket.create_connection(("127.0.0.1", int(desk.url.rsplit(":", 1)[1])), timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def call_anew(desk: Desk) -> int:
    """Post a callback on a connection of its own; the answer's code."""
    newcomer = Desk(desk.url)
    with newcomer.http:
        return int(newcomer.call().json()["ErrorCode"])


def rest(connection: socket.socket) -> bytes:
    """All that still comes, until the other side closes."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


def dribble(connection: socket.socket, data: bytes, seconds: float = 0.02) -> threading.Thread:
    """Send a byte at a time, again and again, until the connection breaks."""

    def send() -> None:
        try:
            while True:
                for at in range(len(data)):
                    connection.sendall(data[at : at + 1])
                    time.sleep(seconds)  # the sender's pace is what is tested
        except OSError:
            return

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def send_until_cut_off(connection: socket.socket, data: bytes) -> int:
    """Send the same again and again until the connection breaks; how many bytes went out."""
    for number in range(100_000):
        try:
            connection.sendall(data)
        except OSError:
            return number * len(data)
    raise AssertionError("nobody cut the connection off")


@pytest.mark.parametrize(
    ("begun", "again"), [(b"POST /callback/", b"x"), (HEAD, b"X-Name: value\r\n"), (HEAD + b"X-Slow: ", b"x")]
)
def test_headers_that_do_not_end_are_refused_within_the_budget(desk: Desk, begun: bytes, again: bytes) -> None:
    """A byte at a time does not prolong it; the answer is an envelope, and the connection closes."""
    with closing(connect(desk)) as connection:
        connection.sendall(begun)
        thread = dribble(connection, again)
        answer = rest(connection)
    thread.join()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close\r\n" in answer
    assert b'"ErrorCode":1001' in answer
    assert desk.refused("slow_sender") == 1
    assert desk.call().json()["ErrorCode"] == 0


def test_a_body_that_stops_half_way_is_refused_within_the_budget(desk: Desk) -> None:
    """A body that comes a byte at a time is rejected, too."""
    query = desk.query(packet())
    head = f"POST /callback?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode()
    with closing(connect(desk)) as stopped, closing(connect(desk)) as slow:
        stopped.sendall(head + b'{"CallbackCommand"')
        slow.sendall(head)
        thread = dribble(slow, b"{")
        answers = [rest(stopped), rest(slow)]
    thread.join()

    for answer in answers:
        assert b'"ErrorCode":1001' in answer
        assert b"the body did not arrive in time" in answer


def test_what_comes_behind_an_answer_is_not_read_for_ever(desk: Desk) -> None:
    """The rest of a body that the answer did not wait for."""
    with closing(connect(desk)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        thread = dribble(connection, b"x")
        answer = rest(connection)
    thread.join()

    assert b"alive" in answer


def test_headers_without_bounds_are_refused(desk: Desk) -> None:
    """Headers that come quickly cannot fill the memory, either."""
    with closing(connect(desk)) as connection:
        connection.sendall(HEAD)
        sent = send_until_cut_off(connection, f"X-Long: {'x' * 1000}\r\n".encode())

    assert sent < 64_000_000
    assert desk.refused("long_headers") == 1


def test_cookies_are_left_unread(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody needs any, and Pythons before 3.11.10 and 3.12.6 read a quoted one for half a minute (CVE-2024-7592)."""
    read: list[str] = []
    monkeypatch.setattr("starlette.requests.cookie_parser", read.append)

    status = desk.http.get("/healthz", headers={"Cookie": 'a="' + "\\\\" * 30_000 + '"'}).status_code

    assert (status, read) == (200, [])


def test_a_flood_of_pipelined_requests_is_cut_off(desk: Desk) -> None:
    """A few at once are answered, in their order."""
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with closing(connect(desk)) as few:
        few.sendall(request * 9 + last)
        answers = rest(few)
    with closing(connect(desk)) as many:
        many.sendall(request * 1000 + last)
        flooded = rest(many)

    assert answers.count(b"HTTP/1.1 200 OK") == 10
    assert flooded.count(b"HTTP/1.1 200 OK") < 1001
    assert desk.refused("pipelined") == 1


def test_a_client_that_does_not_read_is_cut_off(redis: object, make_settings: SettingsFactory) -> None:
    """Answers pile up no further than the system's own buffers."""
    assert redis
    connections = Connections(budget_seconds=BUDGET_MS / 1000, max_body_bytes=262_144)
    with desk_and_raw(make_settings, connections) as desk, closing(connect_unread(desk, connections, most=10**6)):
        until(lambda: desk.refused("slow_reader") == 1)


def connect_unread(desk: Desk, connections: Connections, most: int = 1) -> socket.socket:
    """A connection that has so many bytes of answers left, which neither the other side nor the system's buffers take.

    Fewer, when the server writes no more until some are read.
    """
    known = set(connections.all)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.connect(("127.0.0.1", int(desk.url.rsplit(":", 1)[1])))
    until(lambda: connections.all - known)
    (ours,) = connections.all - known
    ours.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)  # soon full
    while not ours.flow.write_paused and ours.transport.get_write_buffer_size() < most:
        before = ours.server_state.total_requests
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
        # One after the other: more at once would be cut off as a flood.
        until(lambda: ours.flow.write_paused or ours.server_state.total_requests > before)  # noqa: B023
    return connection


@pytest.mark.parametrize(
    "last", [HEAD, b"no HTTP\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b""]
)
def test_a_client_that_does_not_read_keeps_no_file_open(
    redis: object, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch, last: bytes
) -> None:
    """However the connection was closed: the client has no more time to read than a request has to arrive."""
    assert redis
    monkeypatch.setattr("api.server.connections.IDLE_SECONDS", 1)
    connections = Connections(budget_seconds=BUDGET_MS / 1000, max_body_bytes=262_144)
    with desk_and_raw(make_settings, connections) as desk, closing(connect_unread(desk, connections)) as connection:
        (file,) = (each.transport.get_extra_info("socket").fileno() for each in connections.all)
        inode = os.fstat(file).st_ino
        connection.sendall(last)
        until(lambda: not connections.all)

        until(lambda: not is_open(file, inode))
        # The first cause counts.
        assert sum(desk.refused(cause) for cause in ("slow_reader", "slow_sender", "not_http")) == 1


def is_open(file: int, inode: int) -> bool:
    """Whether a file of this process is still what it was."""
    try:
        return os.fstat(file).st_ino == inode
    except OSError:
        return False


def test_thousands_of_idle_connections_make_room_for_callers(redis: object, make_settings: SettingsFactory) -> None:
    """The one that has been idle longest is closed; no caller is rejected."""
    assert redis
    connections = Connections(budget_seconds=BUDGET_MS / 1000, max_body_bytes=262_144, most=200)
    with desk_and_raw(make_settings, connections) as desk, ExitStack() as stack:
        idle = [stack.enter_context(closing(connect(desk))) for _ in range(1000)]
        answers = [call_anew(desk) for _ in range(20)]
        first = rest(idle[0])

        assert len(connections.all) <= 200
        assert answers == [0] * 20
        assert first == b""
        assert desk.refused("crowded") >= 800


def test_slow_senders_make_room_where_none_is_idle(redis: object, make_settings: SettingsFactory) -> None:
    """Half a request keeps a connection open no longer than none."""
    assert redis
    connections = Connections(budget_seconds=60, max_body_bytes=262_144, most=50)
    with desk_and_raw(make_settings, connections) as desk, ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(closing(connect(desk))).sendall(HEAD)

        assert desk.call().json()["ErrorCode"] == 0
        assert len(connections.all) <= 50


def test_a_connection_that_sends_nothing_but_line_ends_is_idle(
    redis: object, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They begin no request, and prolong nothing."""
    assert redis
    monkeypatch.setattr("api.server.connections.IDLE_SECONDS", 1)
    with desk_and_raw(make_settings) as desk, closing(connect(desk)) as connection:
        thread = dribble(connection, b"\r\n")

        assert rest(connection) == b""
        thread.join()


def test_slow_senders_do_not_slow_the_others(redis: object, make_settings: SettingsFactory) -> None:
    """A hundred of them, each with half a request, and again when they are cut off."""
    assert redis
    settings = make_settings(**SETTINGS)
    with serving(settings, Callbacks(), connections_of(settings)) as desk, ExitStack() as stack:
        threads = []
        for _ in range(100):
            connection = stack.enter_context(closing(connect(desk)))
            connection.sendall(HEAD)
            threads.append(dribble(connection, b"X: y\r\n", 0.1))
        answers = [desk.call() for _ in range(50)]

        assert {answer.json()["ErrorCode"] for answer in answers} == {0}
        for thread in threads:
            thread.join()
        assert desk.refused("slow_sender") == 100
