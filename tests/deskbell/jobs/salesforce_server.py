"""A stand-in of Salesforce's REST API, as far as contacts and tasks by external id go.

It enforces what the pages of developer.salesforce.com say:

- chatterapi/quickstart_connecting: OAuth 2 client credentials, a form at `/services/oauth2/token` of the org's own
  domain; the reply has no lifetime.
- api-rest/guide/resources-sobject-upsert-patch: 201 created, 200 updated, both with the record's id, 300 when several
  match; `updateOnly`; an id in the body is an error.
- api-rest/guide/errorcodes: 401, 403 `REQUEST_LIMIT_EXCEEDED`, 404; every error is a list.
- salesforce-app-limits-cheatsheet: so many calls in rolling 24 hours.
- connect-rest-api/guide/intro_api_eol: a retired version is 410.
- github.com/developerforce/Force.com-JavaScript-REST-Toolkit/issues/68: the body of `UNABLE_TO_LOCK_ROW`.

From memory: the status of a lock that is not got (400), of `updateOnly` without a match (404 `NOT_FOUND`), the texts of
OAuth errors, `REQUIRED_FIELD_MISSING` for a contact without `LastName`, and that a task's field may be an external id.
"""

import itertools
import re
from typing import Any
from urllib.parse import unquote

from tests.deskbell.jobs.stand_in import Reply, Request, StandIn

CLIENT, SECRET = "3MVG9.client", "8A4BE698"
CONTACT_ID, TASK_ID = "DeskUser__c", "DeskEvent__c"
OLDEST_VERSION, NEWEST_VERSION = 31, 68
_FIELDS = {
    "Contact": {"LastName", "FirstName", "Description", "Email", "DeskNode__c"},
    "Task": {"WhoId", "Subject", "Status", "Description", "ActivityDate"},
}
_IDS = {"Contact": CONTACT_ID, "Task": TASK_ID}
_PATH = re.compile(r"/services/data/v(\d+)\.0/sobjects/(\w+)/(\w+)/([^/]+)")


class Salesforce(StandIn):
    """The service.

    Attributes:
        records: of each kind of record, each by its external id; the values are lists, since several may match.
        written: of each record, what was written, in order.
        calls: those that count for the limit.
        most_calls: how many there may be in 24 hours.
        pause: while it is cleared, a task is written and not answered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.secret = SECRET
        self.records: dict[str, dict[str, list[dict[str, Any]]]] = {"Contact": {}, "Task": {}}
        self.written: dict[str, list[dict[str, Any]]] = {}
        self.fetches = 0
        self.calls = 0
        self.most_calls = 100_000
        self._numbers = itertools.count(1)
        self._token = ""

    def end_token(self) -> None:
        """End the session, as its time-out or an administrator does."""
        with self.lock:
            self._token = ""

    def may_fail(self, request: Request) -> bool:
        """Faults are for records."""
        return request.path.startswith("/services/data/")

    def answer(self, request: Request) -> Reply:
        """Answer as Salesforce does."""
        with self.lock:
            if (request.method, request.path) == ("POST", "/services/oauth2/token"):
                return self._give_token(request)
            reply = self._refusal(request) or self._records(request)
        if "/Task/" in request.path:
            self.wait()
        return reply

    def _give_token(self, request: Request) -> Reply:
        self.fetches += 1
        form = request.body or {}
        if form.get("grant_type") != "client_credentials":
            return Reply(400, {"error": "unsupported_grant_type", "error_description": "grant type not supported"})
        if form.get("client_id") != CLIENT:
            return Reply(400, {"error": "invalid_client_id", "error_description": "client identifier invalid"})
        if form.get("client_secret") != self.secret:
            return Reply(400, {"error": "invalid_client", "error_description": "invalid client credentials"})
        self._token = f"00DS7!salesforce-token-{next(self._numbers)}"
        return Reply(
            200,
            {
                "access_token": self._token,
                "signature": "nUFH",
                "token_format": "opaque",
                "instance_url": self.url,
                "id": f"{self.url}/id/00D/005",
                "token_type": "Bearer",
                "issued_at": "1700000000000",
            },
        )

    def _refusal(self, request: Request) -> Reply | None:
        if not self._token or request.headers.get("authorization") != f"Bearer {self._token}":
            return _error(401, "INVALID_SESSION_ID", "Session expired or invalid")
        self.calls += 1
        if self.calls > self.most_calls:
            return _error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        return None

    def _records(self, request: Request) -> Reply:
        path = _PATH.fullmatch(request.path)
        if path and int(path[1]) < OLDEST_VERSION:
            return _error(410, "GONE", "The requested resource is retired or removed")
        if not path or int(path[1]) > NEWEST_VERSION or _IDS.get(path[2]) != path[3]:
            return _error(404, "NOT_FOUND", "The requested resource does not exist")
        kind, value = path[2], unquote(path[4])
        found = self.records[kind].get(
            value.lower(), []
        )  # an external id that is not told to be, is not case-sensitive
        if len(found) > 1:
            return Reply(300, [f"/services/data/v{path[1]}.0/sobjects/{kind}/{record['Id']}" for record in found])
        if request.method == "GET":
            return Reply(200, {"Id": found[0]["Id"]}) if found else _not_found()
        return self._upsert(kind, value, found, request)

    def _upsert(self, kind: str, value: str, found: list[dict[str, Any]], request: Request) -> Reply:
        body = request.body
        if not isinstance(body, dict):
            return _error(400, "JSON_PARSER_ERROR", "Unexpected character")
        if not found and request.query.get("updateOnly") == "true":
            return _not_found()
        if unknown := body.keys() - _FIELDS[kind]:
            return _error(400, "INVALID_FIELD", f"No such column '{min(unknown)}' on sobject of type {kind}")
        if kind == "Contact" and not found and not body.get("LastName"):
            return _error(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", "LastName")
        if kind == "Task" and not any(
            record["Id"] == body.get("WhoId") for records in self.records["Contact"].values() for record in records
        ):
            return _error(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        record = found[0] if found else {"Id": f"{'003' if kind == 'Contact' else '00T'}{next(self._numbers):015}"}
        record.update(body)
        self.records[kind][value.lower()] = [record]
        self.written.setdefault(f"{kind} {value}", []).append(body)
        self.count_write()
        status = 200 if found else 201
        return Reply(status, {"id": record["Id"], "success": True, "errors": [], "created": not found})


def locked() -> Reply:
    """What Salesforce answers while somebody else writes the record."""
    text = "unable to obtain exclusive access to this record or 1 records: 003000000000001"
    return _error(400, "UNABLE_TO_LOCK_ROW", text)


def _not_found() -> Reply:
    return _error(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible")


def _error(status: int, code: str, text: str, *fields: str) -> Reply:
    return Reply(status, [{"message": text, "errorCode": code, "fields": list(fields)}])
