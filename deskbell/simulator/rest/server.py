"""Stands in for Desk's REST interface (PROTOCOL §5) on loopback, over real HTTP.

    with DeskRest({"1400000001": "a-key"}) as rest:
        ...  # DESKBELL_DESK_URL is rest.url, DESKBELL_DESK_KEYS {"1400000001": "a-key"}
        assert rest.messages == [...]

`POST /v4/desk_http_svc/<command>` is Desk's. Beside it, `GET /received?after=<number>` lists what has come, and
`POST /faults` takes a fault as JSON: for other processes, such as `deskbell flow` and a person with curl.
"""

import json
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from deskbell.desk.client import ADMINISTRATOR
from deskbell.simulator.rest.commands import CommandError, Commands, Fields
from deskbell.simulator.rest.faults import Fault, Faults, fault_of
from deskbell.simulator.rest.received import Received
from deskbell.simulator.rest.signed import refused
from shared.wire.json_values import read_json

_PATH = "/v4/desk_http_svc/"
_NOT_JSON = 90001
_POLL_SECONDS = 0.05
_MOST_KEPT = 10_000


class DeskRest:
    """The stand-in. Everything of it may be called while it serves.

    Attributes:
        url: what `DESKBELL_DESK_URL` must be.
        keys: the secret keys, by SdkAppid.
    """

    def __init__(
        self,
        keys: Mapping[str, str],
        *,
        identifier: str = ADMINISTRATOR,
        listener: socket.socket | None = None,
        show: Callable[[Received], object] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Listen; requests wait until it is entered.

        Args:
            keys: the secret key of each app that it knows.
            identifier: the administrator's account, which alone may call.
            listener: where it listens; by default on a free port of loopback.
            show: is called with each request that has come, in a thread of the server.
            clock: Unix seconds.
        """
        self.keys = dict(keys)
        listener = listener or socket.create_server(("127.0.0.1", 0))
        self.url = "http://{}:{}".format(*listener.getsockname())
        self._identifier = identifier
        self._show = show
        self._clock = clock
        self._server = _Server(listener, self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_SECONDS,), name="desk")
        self._turn = threading.Lock()
        self._faults = Faults()
        self._number = 0
        self._forget()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.is_closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def received(self) -> Sequence[Received]:
        """What has come, the oldest first; the last thousands of it."""
        with self._turn:
            return list(self._received)

    @property
    def messages(self) -> Sequence[Fields]:
        """The bodies of the messages that have been written, each once."""
        return [each.fields for each in self.received if each.command == "send_msg" and each.has_effect]

    def fail(self, command: str = "", **fault: Any) -> None:
        """Have the next requests answered otherwise.

        Args:
            command: of this command; by default of any.
            **fault: `times`, `status`, `code`, `retry_after`, `half`, `seconds`: see `Fault`.
        """
        with self._turn:
            self._faults.add(fault_of({"command": command, **fault}))

    def set_agents(self, *, online: Sequence[str], free: Sequence[str] = ()) -> None:
        """Say which agents are there, and which of them would take a session at once."""
        with self._turn:
            self._agents = (list(online), list(free))
            for commands in self._apps.values():
                commands.online, commands.free = self._agents

    def end_session(self, session_id: str) -> None:
        """End a session of every app, as a customer who leaves does."""
        with self._turn:
            for app in self.keys:
                self._commands(app).end(session_id)

    def clear(self) -> None:
        """Forget what has come, all sessions, and the faults that are to come."""
        with self._turn:
            self._forget()

    def answer(self, command: str, query: Mapping[str, str], body: bytes) -> tuple[Fields, Fault]:
        """Carry a request out: the answer, and what is to become of it."""
        with self._turn:
            fault = self._faults.take(command)
            read, given, is_duplicate = _object(body), Fields(), False
            code = refused(query, self.keys, self._identifier, self._clock())
            if not code and fault.is_refusal:
                code = fault.code or fault.status
            elif not code and read is None:
                code = _NOT_JSON
            elif not code:
                given, code, is_duplicate = self._carried_out(command, query["sdkappid"], read or {})
            self._number += 1
            received = Received(self._number, command, query.get("sdkappid", ""), read or {}, code, is_duplicate)
            self._received.append(received)
        if self._show:
            self._show(received)
        return _envelope(code, given), fault

    def _carried_out(self, command: str, app: str, fields: Fields) -> tuple[Fields, int, bool]:
        try:
            given, is_duplicate = self._commands(app).run(command, fields)
        except CommandError as error:
            return {}, error.code, False
        return given, 0, is_duplicate

    def _commands(self, app: str) -> Commands:
        if app not in self._apps:
            self._apps[app] = Commands()
            self._apps[app].online, self._apps[app].free = self._agents
        return self._apps[app]

    def _forget(self) -> None:
        self._faults.clear()
        self._received: deque[Received] = deque(maxlen=_MOST_KEPT)
        self._apps: dict[str, Commands] = {}
        self._agents = (["agent1"], ["agent1"])


class _Server(ThreadingHTTPServer):
    """One thread for each connection, which is kept; they end with the process at the latest."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, rest: DeskRest) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.rest = rest
        self.is_closing = threading.Event()

    def handle_error(self, *_: Any) -> None:
        """Let a client go that has lost patience."""
        if not isinstance(sys.exception(), ConnectionError):
            raise  # noqa: PLE0704 - called while it is handled


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        """A command, or a fault."""
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if url.path == "/faults":
            self._take_fault(body)
        elif url.path.startswith(_PATH):
            command = url.path.removeprefix(_PATH)
            self._answer(*self.server.rest.answer(command, dict(parse_qsl(url.query)), body))
        else:
            self._send(HTTPStatus.NOT_FOUND, b"")

    def do_GET(self) -> None:
        """What has come."""
        url = urlsplit(self.path)
        after = dict(parse_qsl(url.query)).get("after", "0")
        if url.path != "/received" or not after.isdecimal():
            self._send(HTTPStatus.NOT_FOUND, b"")
            return
        found = [each.as_json() for each in self.server.rest.received if each.number > int(after)]
        self._send(HTTPStatus.OK, json.dumps(found, ensure_ascii=False).encode())

    def log_message(self, *_: Any) -> None:
        """Write no line: it would hold the query, and so the UserSig."""

    def _take_fault(self, body: bytes) -> None:
        try:
            self.server.rest.fail(**(_object(body) or {}))
        except (TypeError, ValueError) as error:
            self._send(HTTPStatus.BAD_REQUEST, f"{error}\n".encode())
        else:
            self._send(HTTPStatus.OK, b"{}")

    def _answer(self, answer: Fields, fault: Fault) -> None:
        if fault.seconds:
            self.server.is_closing.wait(fault.seconds)
        body = (
            json.dumps(answer, ensure_ascii=False).encode() if fault.status == HTTPStatus.OK else b"no answer of Desk"
        )
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        self._send(fault.status, body, headers, half=fault.half)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None, *, half: bool = False) -> None:
        self.send_response_only(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if half else body)
        self.close_connection = self.close_connection or half


def _object(body: bytes) -> Fields | None:
    try:
        read = read_json(body)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def _envelope(code: int, given: Fields | None = None) -> Fields:
    status, info = ("FAIL", f"refused with {code}") if code else ("OK", "")
    return {"ActionStatus": status, "ErrorInfo": info, "ErrorCode": code, **(given or {})}
