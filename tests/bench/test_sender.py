"""bench/path/sender.py: callbacks are sent as planned, and each answer is told by its callback's number."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bench.ack.load import FIRST_TIME
from bench.jobs.contenders.probe import END
from bench.path.sender import Plan, send


@contextmanager
def endpoint(*statuses: int, ends: Path | None = None) -> Iterator[int]:
    """An endpoint that answers with these statuses in turn, the last of them for ever; yields its port.

    It tells the two ends of each callback's jobs before it answers, if it is given the file.
    """
    waiting = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            if ends:
                with ends.open("ab") as file:
                    file.write(END.pack(0, 0.0) * 2)
            self.send_response(waiting.pop(0) if len(waiting) > 1 else waiting[0])
            self.send_header("content-length", "4")
            self.end_headers()
            self.wfile.flush()
            self.wfile.write(b"done")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


@pytest.fixture
def ends(tmp_path: Path) -> Path:
    """The file to which jobs would write their ends."""
    path = tmp_path / "ends"
    path.touch()
    return path


def numbers(acks: bytes) -> list[int]:
    """The callbacks that were answered, in order."""
    return sorted(time - FIRST_TIME for time, _ in END.iter_unpack(acks))


def test_each_callback_is_sent_once_and_told_by_its_number(ends: Path) -> None:
    """From the first number on, as many as are asked for, over several connections."""
    with endpoint(200) as port:
        sent, acks = send(port, ends, Plan(60, most=50, connections=4, first=1000))

    assert (sent.count, sent.refused) == (50, 0)
    assert numbers(acks) == list(range(1000, 1050))


def test_a_callback_that_is_refused_is_counted_and_not_told(ends: Path) -> None:
    """What was not answered with success was not acknowledged."""
    with endpoint(200, 503, 200) as port:
        sent, acks = send(port, ends, Plan(60, most=3, connections=1))

    assert (sent.count, sent.refused) == (3, 1)
    assert numbers(acks) == [0, 2]


def test_no_more_callbacks_are_sent_than_the_window_holds(ends: Path) -> None:
    """Until the jobs of some have ended: these never do."""
    with endpoint(200) as port:
        sent, _ = send(port, ends, Plan(0.3, window=3))

    assert sent.count == 3


def test_the_window_moves_on_as_jobs_end(ends: Path) -> None:
    """One at a time: each callback waits for both jobs of the one before."""
    with endpoint(200, ends=ends) as port:
        sent, acks = send(port, ends, Plan(60, most=5, window=1))

    assert sent.count == 5
    assert numbers(acks) == [0, 1, 2, 3, 4]


def test_a_rate_is_kept_whatever_the_endpoint_does(ends: Path) -> None:
    """At most as many callbacks leave as are due, however fast they are answered."""
    with endpoint(200) as port:
        sent, _ = send(port, ends, Plan(0.5, rate=20))

    assert 1 <= sent.count <= 10
