"""Load generator: runs the process of an endpoint and sends it callbacks, at a rate or as fast as it answers."""

import json
import os
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.ack.endpoints.endpoint import Endpoint
from bench.pace import Answer, free_port, http_post, run_paced
from bench.processes import end
from deskbell.testing import signed_query
from shared.wire.protocol import API_CALL

APP, TOKEN = "1400000001", "xxxxyyyy"
CONNECTIONS = 64
FIRST_TIME = 1731488371784
"""`EventTime` of the packet numbered 0; each has a time of its own, by its number."""
_BEGIN_SECONDS = 30
_WARM_UP = 200
_SESSION = "207cac25-f49e-4ada-9c9f-301cea31dcf2"


@dataclass(frozen=True, slots=True)
class Speed:
    """What wrk saw; `answered` is how many answers it had."""

    per_second: float
    p50_ms: float
    p99_ms: float
    answered: int


@dataclass(frozen=True, slots=True)
class Serving:
    """An endpoint's process, and the port it listens on."""

    port: int
    pid: int


@contextmanager
def serving(endpoint: Endpoint, redis_url: str) -> Iterator[Serving]:
    """The endpoint's process, which has answered its first requests."""
    port = free_port()  # not handed on: `uvicorn --fd` forgets TCP_NODELAY and costs 40 ms
    environment = {
        "BENCH_REDIS": redis_url,
        "DESKBELL_REDIS_URL": redis_url,
        "DESKBELL_APPS": json.dumps({APP: [TOKEN]}),
        "DESKBELL_CALLBACKS": "bench.handlers:callbacks",
        "PYTHONPATH": str(Path.cwd()),
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as spool, endpoint.log.open("wb") as log:
        process = subprocess.Popen(
            endpoint.command(port),
            env=os.environ | environment | {"DESKBELL_SPOOL_DIR": spool},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _warm_up(endpoint, port, process)
            yield Serving(port, process.pid)
        finally:
            end(process)


def _warm_up(endpoint: Endpoint, port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _BEGIN_SECONDS
    request = request_for(endpoint, first=10**9)
    while [answer.status for answer in run_paced(port, request, 20, 0.05)] != [200]:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{endpoint.name} does not answer; see {endpoint.log}")
        time.sleep(0.1)
    run_paced(port, request_for(endpoint, first=2 * 10**9), 400, _WARM_UP / 400)


def path_for(endpoint: Endpoint) -> str:
    """The URL's path and query, signed now; without RequestID, so that each packet is a delivery of its own."""
    if not endpoint.is_signed:
        return endpoint.path
    return f"{endpoint.path}?{signed_query(APP, TOKEN, API_CALL)}".replace("&RequestID=", "&Unused=")


def padding_of(size: int) -> str:
    """Text of so many characters, the same each time; it is compressed as text is, not as zeros are."""
    chance = random.Random(size)  # noqa: S311 - no secret
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(500)]
    return " ".join(chance.choices(words, k=size // 3 + 1))[:size]


def request_for(endpoint: Endpoint, first: int = 0, padding: int = 0) -> Callable[[int], bytes]:
    """What makes the bytes of a request: the packets of `post.lua`, counted from `first`."""
    path = path_for(endpoint)
    more = f',"padding":"{padding_of(padding)}"' if padding else ""

    def request(number: int) -> bytes:
        at = first + number
        variables = (
            f'{{"SystemClientUserID":"user517","SystemSessionID":"{_SESSION}","staticKey":"staticValue",'
            f'"testKey3":"{at}"{more}}}'
        )
        packet = f'{{"CallbackCommand":"{API_CALL}","Body":{variables},"EventTime":{FIRST_TIME + at}}}'
        return http_post(path, f"{endpoint.before}{packet}{endpoint.after}".encode())

    return request


def paced(
    endpoint: Endpoint,
    port: int,
    rate: float,
    seconds: float,
    *,
    first: int = 0,
    patience: float = 5.0,
    padding: int = 0,
) -> list[Answer]:
    """Send packets at a rate, and see what becomes of each."""
    return run_paced(port, request_for(endpoint, first, padding), rate, seconds, patience)


def wrk(endpoint: Endpoint, port: int, seconds: float, connections: int = CONNECTIONS, padding: int = 0) -> Speed:
    """Send packets as fast as they are answered.

    Raises:
        RuntimeError: some were not answered with success.
    """
    script = str(Path(__file__).with_name("post.lua"))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s", "--latency", "-s", script]
    packet = {"PATH_AND_QUERY": path_for(endpoint), "BEFORE": endpoint.before, "AFTER": endpoint.after}
    packet["PADDING"] = padding_of(padding)
    printed = subprocess.run(
        [*command, f"http://127.0.0.1:{port}"], env=os.environ | packet, capture_output=True, text=True, check=True
    ).stdout
    if "Non-2xx" in printed:
        raise RuntimeError(f"{endpoint.name} refused some:\n{printed}")
    return Speed(
        per_second=float(_found(r"Requests/sec:\s+([\d.]+)", printed)),
        p50_ms=_milliseconds(_found(r"^\s+50%\s+(\S+)", printed)),
        p99_ms=_milliseconds(_found(r"^\s+99%\s+(\S+)", printed)),
        answered=int(_found(r"(\d+) requests in", printed)),
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    if not match:
        raise RuntimeError(f"wrk printed something else:\n{text}")
    return match[1]


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]  # wrk's own units
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
