"""Posts callbacks as Desk does: signed, over connections that are kept, with one answer for each."""

import json
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Self

from deskbell.http import URL, ReadError, client
from deskbell.simulator.signing import signed_query
from shared.wire.json_values import read_json
from shared.wire.protocol import API_CALL, Packet

_HEADERS = {"Content-Type": "application/json"}
_EVENT = "X-Deskbell-Event"
_PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """What the api answered.

    Attributes:
        status: of HTTP.
        text: the body as it came.
        ms: milliseconds from the sending to the whole answer.
        event_id: the event that was kept, `X-Deskbell-Event`; "" where none was.
    """

    status: int
    text: str
    ms: float
    event_id: str

    @property
    def envelope(self) -> dict[str, Any]:
        """The answer's JSON object; empty when it is none, as that of another server may be."""
        try:
            read = read_json(self.text)
        except ValueError:
            return {}
        return read if isinstance(read, dict) else {}

    @property
    def code(self) -> int | None:
        """`ErrorCode`; None where the answer has none."""
        code = self.envelope.get("ErrorCode")
        return code if isinstance(code, int) else None

    @property
    def variables(self) -> dict[str, str]:
        """`Body`: what the flow gets."""
        body = self.envelope.get("Body")
        return body if isinstance(body, dict) else {}


class Desk:
    """Tencent Cloud Desk, for one app and one api. Threads may share it."""

    def __init__(self, url: str, app_id: str, token: str | None, *, seconds: float = 10) -> None:
        """Prepare; nothing is sent yet.

        Args:
            url: the api, with the path secret if there is one.
            app_id: the `SdkAppid`.
            token: the app's token; None sends no `Sign`.
            seconds: the longest wait for an answer. Desk waits for 2 s.

        Raises:
            ConfigError: the api needs a proxy, and the environment names one that cannot be used.
        """
        self.url = url.rstrip("/")
        self.app_id = app_id
        self.token = token
        self._http = client(self.url, seconds=seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def target(self, node: str = "") -> str:
        """The URL that Desk is told for a node; without a node, for everything else."""
        return f"{self.url}/callback" + (f"/{node}" if node else "")

    def post(
        self, body: Packet | bytes, node: str = "", *, request_id: str | None = None, now: float | None = None
    ) -> Answer:
        """Post one callback.

        Args:
            body: a packet, or bytes that are sent as they are.
            node: the node, the last part of the URL.
            request_id: the `RequestID`; a new one by default: an equal one is the same delivery (PROTOCOL §4).
            now: Unix seconds at which it is signed; the present by default.

        Raises:
            HTTPError: nothing answered in time.
            InvalidURL: the URL is none.
        """
        content = written(body)
        query = signed_query(self.app_id, self.token, command_of(content), now=now, request_id=request_id)
        started = time.perf_counter()
        answer = self._http.post(f"{self.target(node)}?{query}", content=content, headers=_HEADERS)
        ms = (time.perf_counter() - started) * 1000
        return Answer(answer.status_code, answer.text, ms, answer.headers.get(_EVENT, ""))

    def post_half(self, body: Packet | bytes, node: str = "") -> Answer:
        """Send half of a callback's body and hold back the other until the api answers, as a slow sender would.

        Raises:
            HTTPError: nothing answered in time.
            InvalidURL: the URL is none.
        """
        content = written(body)
        url = URL(f"{self.target(node)}?{signed_query(self.app_id, self.token, command_of(content))}")
        kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
        connection = kind(url.host, url.port, timeout=_PATIENCE_SECONDS)
        started = time.perf_counter()
        try:
            connection.putrequest("POST", url.raw_path.decode())
            for name, value in {**_HEADERS, "Content-Length": str(len(content))}.items():
                connection.putheader(name, value)
            connection.endheaders(content[: len(content) // 2])
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, HTTPException) as error:
            raise ReadError(str(error) or type(error).__name__) from error
        finally:
            connection.close()
        return Answer(answer.status, text, (time.perf_counter() - started) * 1000, answer.getheader(_EVENT) or "")


def written(body: Packet | bytes) -> bytes:
    """A packet as the bytes of a body."""
    return body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()


def command_of(body: bytes) -> str:
    """The command that stands in a body, which the query must agree with; that of an API call where none does."""
    try:
        return str(read_json(body)["CallbackCommand"])
    except (ValueError, TypeError, KeyError):
        return API_CALL
