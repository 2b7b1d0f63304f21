"""A stand-in for HubSpot, over HTTP: the shapes, quotas and error bodies that its documents have.

Sources, under developers.hubspot.com: /docs/api-reference/2026-03/crm/objects/contacts/batch/upsert-contacts (paths,
inputs, results, errors, numErrors), /docs/api-reference/crm-notes-v3/guide (hs_timestamp, 65,536 characters,
associations), /docs/api-reference/error-handling (207, 401, 423, 477), /changelog/upcoming-property-validations (the
body of a 400), /docs/api/usage-details (429, policyName), /docs/api/crm/properties (hasUniqueValue). From memory: the
body of a 401, the status 201 of a new note, that a value is text, and that and how a second note with the same unique
value is refused; public code reads CONFLICTING_UNIQUE_VALUE from the body of a 400, for deals.
"""

import json
import re
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import DEADLINE_SECONDS

TOKEN = "pat-na1-planted-4711"
UPSERT, NOTES = "/crm/objects/2026-03/contacts/batch/upsert", "/crm/objects/2026-03/notes"
NOTE_CHARACTERS = 65_536
Body = dict[str, Any]


class Refused(Exception):  # noqa: N818 - an answer
    """Another answer than success."""

    def __init__(self, status: int, category: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"status": "error", "message": message, "correlationId": "c-1", "category": category, **more}


@dataclass
class HubSpot:
    """One account.

    Attributes:
        token: the access token that is accepted.
        contact_properties, note_properties: which there are, and whether their values are unique.
        contacts: by id, their properties.
        notes: by id: their properties, and the contact that they are associated with.
        day, ten_seconds: how many requests are still served; None is without limit.
        faults: what happens to the next requests: a status, "half" an answer, "lost" (done, and not answered), "held"
            (done, and not answered before the end), "multi" (207), "" for none.
        requests: the path and the status of each.
        holds: set when a request is held.
    """

    token: str = TOKEN
    contact_properties: dict[str, bool] = field(
        default_factory=lambda: {"desk_user_id": True, "email": True, "last_order": False}
    )
    note_properties: dict[str, bool] = field(
        default_factory=lambda: {"deskbell_event_id": True, "hs_timestamp": False, "hs_note_body": False}
    )
    contacts: dict[str, Body] = field(default_factory=dict)
    notes: dict[str, tuple[Body, str]] = field(default_factory=dict)
    day: int | None = None
    ten_seconds: int | None = None
    faults: deque[int | str] = field(default_factory=deque)
    requests: list[tuple[str, int]] = field(default_factory=list)
    holds: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    def answer(self, path: str, authorization: str, raw: bytes) -> tuple[int, Body]:
        """Serve a request."""
        try:
            self._admit(authorization)
            try:
                body = json.loads(raw)
            except ValueError:
                raise Refused(400, "VALIDATION_ERROR", "Invalid input JSON") from None
            if path == UPSERT:
                return 200, {"status": "COMPLETE", "results": [self._upsert(each) for each in _inputs(body)]}
            if path == NOTES:
                return 201, self._note(body)
        except Refused as refused:
            return refused.status, refused.body
        return 404, {"status": "error", "message": "resource not found"}

    def _admit(self, authorization: str) -> None:
        """The quotas and the token."""
        for policy, left in (("DAILY", self.day), ("TEN_SECONDLY_ROLLING", self.ten_seconds)):
            if left == 0:
                limit = f"You have reached your {policy.lower()} limit."
                raise Refused(429, "RATE_LIMITS", limit, errorType="RATE_LIMIT", policyName=policy, requestId="r-1")
        self.day, self.ten_seconds = (left and left - 1 for left in (self.day, self.ten_seconds))
        if authorization != f"Bearer {self.token}":
            raise Refused(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")

    def _upsert(self, given: Body) -> Body:
        name = given["idProperty"]
        if not self.contact_properties.get(name):
            raise Refused(400, "VALIDATION_ERROR", f"The property {name} does not have unique values")
        found = [each for each, there in self.contacts.items() if there.get(name) == given["id"]]
        contact_id = found[0] if found else str(501 + len(self.contacts))
        others = [there for each, there in self.contacts.items() if each != contact_id]
        _check(given["properties"], self.contact_properties, others)
        self.contacts[contact_id] = self.contacts.get(contact_id, {}) | {name: given["id"]} | given["properties"]
        return {"id": contact_id, "new": not found, "archived": False, "properties": self.contacts[contact_id]}

    def _note(self, body: Body) -> Body:
        properties, (association,) = body["properties"], body["associations"]
        if not re.fullmatch(r"\d{13}", properties.get("hs_timestamp", "")):
            raise _invalid("hs_timestamp", "INVALID_DATE", "hs_timestamp was not a valid timestamp")
        if len(properties.get("hs_note_body", "")) > NOTE_CHARACTERS:
            raise _invalid("hs_note_body", "INVALID_LENGTH", "too long")
        _check(properties, self.note_properties, [there for there, _ in self.notes.values()])
        if association["types"] != [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}]:
            raise Refused(400, "VALIDATION_ERROR", "No such association type")
        if association["to"]["id"] not in self.contacts:
            raise Refused(404, "OBJECT_NOT_FOUND", "No such contact")
        note_id = str(9001 + len(self.notes))
        self.notes[note_id] = properties, association["to"]["id"]
        return {"id": note_id, "archived": False, "properties": properties}


def _inputs(body: Body) -> list[Body]:
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= 100:
        raise Refused(400, "VALIDATION_ERROR", "inputs must have 1 to 100 entries")
    for each in inputs:
        if not {"id", "properties"} <= each.keys() <= {"id", "properties", "idProperty", "objectWriteTraceId"}:
            raise Refused(400, "VALIDATION_ERROR", "Invalid input JSON")
    return inputs


def _check(properties: Body, known: dict[str, bool], others: list[Body]) -> None:
    for name, value in properties.items():
        if not isinstance(value, str):
            raise Refused(400, "VALIDATION_ERROR", "Invalid input JSON")
        if name not in known:
            raise _invalid(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
        if known[name] and any(other.get(name) == value for other in others):
            raise _invalid(name, "CONFLICTING_UNIQUE_VALUE", f"propertyName {name}: 501 already has that value")


def _invalid(name: str, error: str, message: str) -> Refused:
    wrong = json.dumps([{"isValid": False, "message": message, "error": error, "name": name}])
    return Refused(400, "VALIDATION_ERROR", f"Property values were not valid: {wrong}")


def _multi_status() -> Body:
    message = "Property values were not valid"
    return {
        "status": "COMPLETE",
        "results": [],
        "numErrors": 1,
        "errors": [{"status": "error", "category": "VALIDATION_ERROR", "message": message, "context": {}}],
    }


@contextmanager
def serving(account: HubSpot) -> Iterator[HubSpot]:
    """Serve it on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            fault = account.faults.popleft() if account.faults else ""
            body: Body
            if isinstance(fault, int):
                status, body = fault, {"status": "error", "message": "internal error", "correlationId": "c-1"}
            elif fault == "multi":
                status, body = 207, _multi_status()
            else:
                with account.lock:
                    status, body = account.answer(self.path, self.headers.get("Authorization", ""), raw)
            account.requests.append((self.path, status))
            if fault == "held":
                account.holds.set()
                account.released.wait(DEADLINE_SECONDS)
            if fault in {"held", "lost"}:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self._send(status, body, is_half=fault == "half")

        def _send(self, status: int, body: Body, *, is_half: bool) -> None:
            text = json.dumps(body).encode()
            self.send_response_only(status)
            for name, value in (
                ("Content-Type", "application/json;charset=utf-8"),
                ("Content-Length", str(len(text))),
                ("X-HubSpot-RateLimit-Max", "100"),
                ("X-HubSpot-RateLimit-Interval-Milliseconds", "10000"),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text[: len(text) // 2] if is_half else text)
            self.close_connection = is_half

        def log_message(self, *_: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 256
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        account.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield account
        finally:
            account.released.set()
            server.shutdown()
            thread.join()
