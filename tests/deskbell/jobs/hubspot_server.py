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
from typing import Any

from tests.deskbell.jobs.stand_in import Reply, Request, StandIn, lost

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


class HubSpot(StandIn):
    """One account.

    Attributes:
        token: the access token that is accepted.
        contact_properties, note_properties: which there are, and whether their values are unique.
        contacts: by id, their properties.
        notes: by id: their properties, and the contact that they are associated with.
        day, ten_seconds: how many requests are still served; None is without limit.
        statuses: what its own answers were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.token = TOKEN
        self.contact_properties = {"desk_user_id": True, "email": True, "last_order": False}
        self.note_properties = {"deskbell_event_id": True, "hs_timestamp": False, "hs_note_body": False}
        self.contacts: dict[str, Body] = {}
        self.notes: dict[str, tuple[Body, str]] = {}
        self.day: int | None = None
        self.ten_seconds: int | None = None
        self.statuses: list[int] = []

    def hold(self, reply: Reply) -> Reply:
        """A fault: what was asked for is done, and not answered before `pause` is set, nor then."""
        self.wait()
        return lost(reply)

    def answer(self, request: Request) -> Reply:
        """Answer as HubSpot does."""
        with self.lock:
            try:
                reply = self._served(request)
            except Refused as refused:
                reply = Reply(refused.status, refused.body)
            self.statuses.append(reply.status)
            return reply

    def _served(self, request: Request) -> Reply:
        self._admit(request.headers.get("authorization", ""))
        if request.body is None:
            raise Refused(400, "VALIDATION_ERROR", "Invalid input JSON")
        if (request.method, request.path) == ("POST", UPSERT):
            results = [self._upsert(each) for each in _inputs(request.body)]
            return Reply(200, {"status": "COMPLETE", "results": results})
        if (request.method, request.path) == ("POST", NOTES):
            return Reply(201, self._note(request.body))
        return Reply(404, {"status": "error", "message": "resource not found"})

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


def failed(status: int) -> Reply:
    """What a server answers that cannot do what it is asked for."""
    return Reply(status, {"status": "error", "message": "internal error", "correlationId": "c-1"})


_WRONG = {
    "status": "error",
    "category": "VALIDATION_ERROR",
    "message": "Property values were not valid",
    "context": {},
}
MULTI_STATUS = Reply(207, {"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [_WRONG]})
"""What a batch with one wrong entry is answered."""
