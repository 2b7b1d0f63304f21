"""`deskbell doctor --url`: whether Desk's URL leads to the api, and for how long its certificate is valid."""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from redis import Redis

from tests.conftest import ApiFactory
from tests.deskbell.cli.doctor.looking import Look, problems, worker
from tests.tls import AUTHORITY, tls


@pytest.fixture
def another() -> Iterator[str]:
    """A server that is no api of ours."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(405)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_url_that_leads_to_the_api(
    look: Look, redis: Redis, start_api: ApiFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its certificate's last day; through a proxy that speaks TLS."""
    desk = start_api()
    with worker(redis), tls(int(desk.url.rpartition(":")[2])) as port:
        _, untrusted = look(url=f"https://127.0.0.1:{port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
        status, lines = look(url=f"https://127.0.0.1:{port}")
        _, plain = look(url=desk.url)

    assert problems(untrusted)[0].startswith(
        "the public URL: expected a server that answers, got a certificate that is not "
    )
    assert (status, problems(lines)) == (0, [])
    assert "the public URL leads to an api of Deskbell" in lines
    assert any(line.startswith("the certificate of the public URL is valid for ") for line in lines)
    assert any(line.startswith("warning: the public URL has no TLS") for line in plain)


def test_a_url_that_leads_elsewhere_is_a_problem(look: Look, redis: Redis, another: str) -> None:
    """Another server, none, or no URL at all."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with worker(redis):
        _, elsewhere = look(url=another)
        _, nowhere = look(url=nobody)
        status, _ = look(url="your.host")

    assert problems(elsewhere)[0].startswith(
        "the public URL: expected the api's answer to a GET of the callback, status "
    )
    assert problems(nowhere) == ["the public URL: expected a server that answers, got no connection"]
    assert status == 2
