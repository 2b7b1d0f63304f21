"""Requests that two parsers could read differently, or that cost the receiver more than the sender."""

import gzip
import json
import socket
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis

from deskbell import Callbacks
from deskbell.testing import packet
from tests.conftest import patient_settings
from tests.desk import APP, Desk, serving, written
from tests.processes import ALONE
from tests.serving import running_api
from tests.waiting import until

BODY = json.dumps(packet()).encode()
LENGTH = len(BODY)
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (LENGTH, BODY)


@pytest.fixture(scope="module")
def desk(valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """An api that these tests share: it refuses what they send."""
    with serving(patient_settings(valkey_url, tmp_path_factory.mktemp("api")), Callbacks()) as desk:
        yield desk


def whole_answer(desk: Desk, headers: list[bytes], tail: bytes) -> bytes:
    """All that comes back for a signed request with these headers until the server hangs up."""
    host, port = desk.url.removeprefix("http://").split(":")
    head = f"POST /callback?{desk.query(packet())} HTTP/1.1\r\nHost: x\r\n".encode()
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + tail)
        answer = b""
        while received := connection.recv(10_000):
            answer += received
    return answer


def test_no_stranger_fills_the_log(redis: Redis, valkey_url: str, tmp_path: Path) -> None:
    """What is no HTTP, or a flood, is counted and logged as refusals are, and no error of Deskbell's."""
    assert redis.ping()
    unsigned = b"POST /callback HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    sent = [b"\x16\x03\x01\x02\x00\x01\xfc", unsigned * 40, unsigned * 2 + b"no HTTP\r\n\r\n"]
    times = 10
    with running_api(valkey_url, tmp_path, *ALONE) as api:
        host, port = api.desk.url.removeprefix("http://").split(":")
        for data in sent * times:
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(data)
                with suppress(ConnectionResetError):
                    while connection.recv(10_000):
                        pass

        def noted(cause: str) -> int:
            return sum(line["times"] for line in api.lines("refused") if line["outcome"] == cause)

        until(lambda: (noted("not_http"), noted("pipelined")) == (2 * times, times))
    lines = [json.loads(line) for line in api.log.read_bytes().splitlines()]

    assert [line for line in lines if "logger" in line and line["level"] != "info"] == []


def smuggled(desk: Desk) -> bytes:
    """A whole request that another parser might have taken for part of the body."""
    return f"POST /callback?{desk.query(packet())} HTTP/1.1\r\nContent-Length: {LENGTH}\r\n\r\n".encode() + BODY


@pytest.mark.parametrize(
    ("headers", "tail"),
    [
        pytest.param(
            [b"Content-Length: %d" % LENGTH, b"Transfer-Encoding: chunked"], CHUNKED, id="a length and chunks"
        ),
        pytest.param([b"Content-Length: 0", b"Transfer-Encoding: chunked"], CHUNKED, id="no length and chunks"),
        pytest.param([b"Content-Length: %d" % LENGTH, b"Content-Length: 0"], BODY, id="two lengths"),
        pytest.param([b"Content-Length: %d, %d" % (LENGTH, LENGTH)], BODY, id="a list of lengths"),
        pytest.param([b"Content-Length: +%d" % LENGTH], BODY, id="a length with a sign"),
        pytest.param([b"Content-Length: -1"], BODY, id="a negative length"),
        pytest.param([b"Content-Length: 0x10"], BODY, id="a length in hex"),
        pytest.param([b"Content-Length : %d" % LENGTH], BODY, id="a space before the colon"),
        pytest.param([b"Transfer-Encoding: xchunked"], CHUNKED, id="almost chunked"),
        pytest.param([b"Transfer-Encoding: chunked, identity"], CHUNKED, id="chunked, but not last"),
        pytest.param([b"Transfer-Encoding: \x0bchunked"], CHUNKED, id="a tab before chunked"),
        pytest.param([b"Transfer-Encoding:\r\n chunked"], CHUNKED, id="a folded header"),
        pytest.param([b"Content-Length: %d" % LENGTH, b"X: a\r\n b"], BODY, id="another folded header"),
        pytest.param([b"X: a\nContent-Length: %d" % LENGTH], BODY, id="a bare line feed"),
        pytest.param([b"Content-Length: %d" % LENGTH, b"X: a\rY: b"], BODY, id="a bare carriage return"),
        pytest.param([b"Content-Length: %d" % LENGTH, b"X: a\0b"], BODY, id="a NUL"),
    ],
)
def test_an_ambiguous_request_is_refused_and_its_connection_closed(
    desk: Desk, redis: Redis, headers: list[bytes], tail: bytes
) -> None:
    """One answer, 400; what follows on the connection is not read as a request, and nothing is kept."""
    answer = whole_answer(desk, headers, tail + smuggled(desk))

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert written(redis) == []


@pytest.mark.parametrize("more", ["Sign=0", "%53ign=0", "s%69gn=0", "Sdk%41ppid=" + APP, "sign", "=&=", "a=1&" * 1000])
def test_a_field_that_stands_twice_is_refused_however_it_is_spelt(desk: Desk, redis: Redis, more: str) -> None:
    """Encoded, in another case, without a value: a proxy may have checked the other one. So is a flood of fields."""
    answer = desk.http.post(f"/callback?{desk.query(packet())}&{more}", json=packet())

    assert (answer.status_code, answer.json()["ErrorCode"]) == (400, 1001)
    assert written(redis) == []


@pytest.mark.parametrize("separator", [";", "%26", "&amp;"])
def test_only_an_ampersand_separates_fields(desk: Desk, redis: Redis, separator: str) -> None:
    """What stands behind another separator is part of a value: the Sign is missing."""
    query = desk.query(packet()).replace("&Sign", f"{separator}Sign")

    answer = desk.http.post(f"/callback?{query}", json=packet())

    assert (answer.status_code, answer.json()["ErrorCode"]) == (403, 1003)
    assert written(redis) == []


@pytest.mark.parametrize("coding", ["gzip", "deflate", "gzip, gzip", "br"])
def test_nothing_is_decompressed(desk: Desk, redis: Redis, coding: str) -> None:
    """Ten kilobytes that would become ten megabytes, all of them a packet, are no JSON."""
    bomb = json.dumps(packet(Padding="0" * 10_000_000)).encode()
    packed = zlib.compress(bomb, 9) if coding == "deflate" else gzip.compress(bomb)
    assert len(packed) < 20_000

    answer = desk.http.post(f"/callback?{desk.query(packet())}", content=packed, headers={"Content-Encoding": coding})

    assert (answer.status_code, answer.json()["ErrorCode"]) == (400, 1001)
    assert written(redis) == []


def test_the_senders_word_for_its_address_and_method_is_not_taken(desk: Desk, redis: Redis) -> None:
    """Headers that proxies and frameworks act on change nothing here."""
    headers = {
        "X-HTTP-Method-Override": "GET",
        "X-Forwarded-For": "127.0.0.1",
        "X-Original-URL": "/healthz",
        "Forwarded": "for=127.0.0.1",
    }

    unsigned = desk.http.post(f"/callback?{desk.query(packet(), Sign=None)}", json=packet(), headers=headers)
    signed = desk.http.post(f"/callback?{desk.query(packet())}", json=packet(), headers=headers)

    assert (unsigned.status_code, signed.status_code) == (403, 200)
    assert redis.llen("rq:queue:events") == 1
