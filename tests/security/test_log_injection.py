"""What a caller names must not become a line, or a command, of the terminal that shows the log."""

import json
import re
from pathlib import Path

from redis import Redis

from deskbell.testing import packet
from tests.desk import APP, TOKEN, Desk
from tests.forked import Forked
from tests.processes import ALONE, PATIENT, environment
from tests.waiting import until

HOSTILE = [
    "a\n2026-01-01T00:00:00Z [info     ] forged",
    "b\r\nforged",
    "\x1b[31mforged\x1b[0m",
    "\x1b]0;forged\x07",
    "c\u2028forged",
    "d\x9bforged",
    "\u202eforged",
    "e\0forged",
]
HANDLERS = """
from deskbell import Callbacks

callbacks = Callbacks()

@callbacks.api_call("strict")
def strict(OrderID: int) -> dict[str, str]:
    return {}

@callbacks.api_call("echo")
def echo(call_names: str = "") -> dict[str, str]:
    return {}
"""


def log_of(log_format: str, folder: Path, redis_url: str) -> str:
    """What an api process prints while it is called with hostile names, wherever a name may stand."""
    (folder / "handlers.py").write_text(HANDLERS)
    settings = environment(
        DESKBELL_REDIS_URL=redis_url,
        DESKBELL_APPS=f'{{"{APP}": ["{TOKEN}"]}}',
        DESKBELL_CALLBACKS="handlers:callbacks",
        DESKBELL_LOG_FORMAT=log_format,
        **PATIENT,
    )
    path, words = folder / "log", ("api", *ALONE, "--port", "0")
    with path.open("wb") as log, Forked(words, settings, folder, stdout=log, stderr=log) as api:
        try:
            [port] = until(lambda: re.findall(r'port"?[:=](\d+)', path.read_text()))
            desk = Desk(f"http://127.0.0.1:{port}")
            with desk.http:
                for name in HOSTILE:
                    call(desk, name)
        finally:
            api.terminate()
    return path.read_bytes().decode()


def call(desk: Desk, name: str) -> None:
    """Say a name as a variable, a value, a command, an app, a request's id, a platform and a header."""
    for node in ("strict", "echo", "nobody", ""):
        desk.post(packet(**{name: name, "OrderID": name}), node, RequestID=name, OptPlatform=name, ClientIP=name)
    desk.post(packet() | {"CallbackCommand": name}, CallbackCommand=name)
    desk.post(packet(), SdkAppid=name)
    desk.post(packet(), **{name: name})
    desk.http.post("/callback/" + "".join(f"%{byte:02x}" for byte in name.encode()), content=b"{}")


def test_a_console_line_is_one_line_of_plain_characters(valkey_url: str, redis: Redis, tmp_path: Path) -> None:
    """No name begins a line of its own, nor colours or retitles the terminal; each line is one that we wrote."""
    assert redis.ping()

    log = log_of("console", tmp_path, valkey_url)

    assert all(character.isprintable() or character == "\n" for character in log), log
    forged = [line for line in log.split("\n") if line.startswith(("forged", "2026-01-01"))]
    assert not forged
    assert all(event in log for event in ("drift", "no_handler", "refused", "callback")), log


def test_a_json_line_is_one_object_whatever_is_named(valkey_url: str, redis: Redis, tmp_path: Path) -> None:
    """It holds the names in ASCII alone."""
    assert redis.ping()

    log = log_of("json", tmp_path, valkey_url)

    events = {json.loads(line)["event"] for line in log.split("\n") if line}
    assert {"drift", "no_handler", "refused", "callback"} <= events
    assert log.isascii()
