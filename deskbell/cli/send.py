"""`deskbell send`: post a signed callback, as Tencent does."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from deskbell.cli.exit import stop
from deskbell.cli.settings.running import Target
from deskbell.testing import signed_query
from shared.settings.proxies import client_options
from shared.wire.json_values import read_json
from shared.wire.protocol import API_CALL

_FAILED = 1


def send(words: list[str], to: Target, command: str, body_file: Path | None) -> None:
    """Post a callback, and exit with status 0 only on ErrorCode 0."""
    node, fields = _split(words)
    if body_file and fields:
        stop(f"--body-file and {next(iter(fields))}=… exclude each other")
    body = body_file.read_bytes() if body_file else json.dumps(_packet(command, fields), ensure_ascii=False).encode()
    console = Console(soft_wrap=True)
    target = to.url.rstrip("/") + "/callback" + (f"/{node}" if node else "")
    started = time.perf_counter()
    try:
        answer = httpx.post(
            f"{target}?{signed_query(to.app, to.token or None, _command_of(body, command))}",
            content=body,
            headers={"Content-Type": "application/json"},
            timeout=10,
            **client_options(target),
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        stop(f"no answer from {target}: {error}", _FAILED)
    milliseconds = (time.perf_counter() - started) * 1000
    event = answer.headers.get("X-Deskbell-Event")
    console.print(f"POST {target}", markup=False, highlight=False)
    console.print(f"HTTP {answer.status_code} in {milliseconds:.1f} ms" + (f", event {event}" if event else ""))
    console.print(answer.text, markup=False, highlight=False)
    try:
        is_answered = answer.json()["ErrorCode"] == 0
    except (ValueError, TypeError, KeyError):
        is_answered = False
    sys.exit(0 if is_answered else _FAILED)


def _split(words: list[str]) -> tuple[str, dict[str, str]]:
    node = words[0] if words and "=" not in words[0] else ""
    fields: dict[str, str] = {}
    for word in words[1:] if node else words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            stop(f"expected NAME=VALUE, got {word!r}")
        fields[name] = value
    return node, fields


def _packet(command: str, fields: dict[str, str]) -> dict[str, Any]:
    now = int(time.time() * 1000)
    if command.lower() == API_CALL.lower():
        return {"CallbackCommand": command, "Body": fields, "EventTime": now}
    return {"CallbackCommand": command, **fields, "EventTime": now}


def _command_of(body: bytes, default: str) -> str:
    """The command that stands in the body: the query must agree with it."""
    try:
        return str(read_json(body)["CallbackCommand"])
    except (ValueError, TypeError, KeyError):
        return default
