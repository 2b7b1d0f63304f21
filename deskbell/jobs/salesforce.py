"""Salesforce: each API call upserts a contact by an external id, and may put a task on its timeline.

A function of the integrator's says which contact an event is about, and what its fields are. An existing contact is
updated, one that is not there is created, with fields that only a new one gets: its name, say. The task has the event's
id as an external id of its own, so a job that runs twice writes one. The access token is shared by all workers, and an
older event never overwrites a newer one.

Sources, at developer.salesforce.com/docs: platform/api-rest/guide/resources-sobject-upsert-patch.md (the calls; 300),
/errorcodes.md (statuses; an error is a list), atlas chatterapi/quickstart_connecting.htm (client credentials),
salesforce-app-limits-cheatsheet (24 rolling hours), connect-rest-api/guide/intro_api_eol (versions). From memory: that
`updateOnly` answers 404 where nothing matches, and that a custom field of tasks may be an external id.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from deskbell import ApiCall, Breaker, Discard, Jobs, Settings
from deskbell.adapters.contacts import Write, contact_key, redis_of
from deskbell.adapters.needs import require
from deskbell.adapters.once import Once
from deskbell.adapters.outcomes import Outcome, Outcomes, Reply, away, away_for, failed, segment, wait
from deskbell.adapters.tokens import Fetched, SharedToken, token_refused
from deskbell.http import Client, Response, client
from shared.declarations.functions import check_plain_function
from shared.errors import DeclarationError

_FIELD = re.compile(r"[A-Za-z]\w*", re.ASCII)
_TOKEN_SECONDS = 1800  # a reply names no time; the shortest that an administrator can set is 15 minutes without a call


def _several(_: Reply) -> Exception:
    return Discard("several contacts of Salesforce have this external id: merge them, then replay", code=300)


class _MissingError(Discard):
    """Raised when there is no such contact yet."""


def _missing(reply: Reply) -> Exception:
    return _MissingError(reply.text, code=reply.code)


def _error_code(body: Any) -> str | None:
    return str(body[0]["errorCode"]) if isinstance(body, list) else None


def _oauth_error(body: Any) -> str | None:
    error: str | None = body.get("error")
    return error


_TABLE: dict[int | str, Outcome] = {
    300: _several,
    401: token_refused,
    410: away,  # the version of the API is retired
    "REQUEST_LIMIT_EXCEEDED": away_for(900),  # of 24 rolling hours: it becomes less bit by bit, and not in seconds
    "UNABLE_TO_LOCK_ROW": wait(10),  # somebody else writes the record
}
salesforce = Outcomes("Salesforce", _TABLE, _error_code)
"""What each reply means; an `errorCode` that is not named here is decided about by its status."""

_updating = Outcomes("Salesforce", {**_TABLE, 404: _missing, "REQUIRED_FIELD_MISSING": _missing}, _error_code)
# The job of a newer event has yet to create it, and may be held behind this one: so each try is an attempt.
_finding = Outcomes("Salesforce", {**_TABLE, 404: failed}, _error_code)
_oauth = Outcomes("Salesforce", {400: away}, _oauth_error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A contact of Salesforce as of one event.

    Attributes:
        external_id: the value of the external id field: Desk's user id, say.
        fields: what is written each time, by the fields' API names.
        fields_of_new: what is written as well when the contact is created; `LastName` is required there.
        task: the fields of a task on the contact's timeline, such as `Subject` and `Status`; None for none.
    """

    external_id: str
    fields: Mapping[str, JsonValue]
    fields_of_new: Mapping[str, JsonValue] = field(default_factory=dict)
    task: Mapping[str, JsonValue] | None = None


def contact_jobs(contact_of: Callable[[ApiCall], Contact | None], *, id_field: str, task_id_field: str = "") -> Jobs:
    """The job type `salesforce.contact` on the queue `salesforce`: `jobs.include(salesforce.contact_jobs(…))`.

    Args:
        contact_of: a function that says what to write for an API call; None for nothing. It runs in the job, in a
            thread, and may raise what a job may.
        id_field: the external id field of contacts: `DeskUser__c`; unique.
        task_id_field: the external id field of tasks, which takes the event's id; needed for tasks.

    Raises:
        DeclarationError: `contact_of` is no function, or an `async def`; a field's name cannot be one.
    """
    check_plain_function(contact_of, "salesforce.contact_jobs(contact_of)")
    for name, value in (("id_field", id_field), ("task_id_field", task_id_field or "unused")):
        if not _FIELD.fullmatch(value):
            raise DeclarationError(
                f"salesforce.contact_jobs({name}=...): expected the API name of a field, got {value!r}; write "
                f'{name}="DeskUser__c"'
            )
    jobs = Jobs()

    @jobs.on(
        ApiCall,
        name="salesforce.contact",
        queue="salesforce",
        attempts=8,
        timeout=50,
        ordered_by="SystemClientUserID",  # an upsert leaves what it does not name: an older call's may be all there is
        breaker=Breaker(failures=10, pause=30),
    )
    def write_contact(event: ApiCall, settings: Settings) -> None:
        contact = contact_of(event)
        if contact is None:
            return
        if contact.task is not None and not task_id_field:
            raise Discard(
                "a task needs an external id, so that there is one for each event: contact_jobs(task_id_field=…)"
            )
        org = _Org(settings)
        record = _write(org, id_field, contact, event)
        if contact.task is not None:
            task = {**contact.task, "WhoId": record or _found(org, id_field, contact)}
            org.send(salesforce, "PATCH", f"Task/{task_id_field}/{event.id}", json=task)

    return jobs


class _Org:
    """Salesforce, as it is reached by some settings.

    Attributes:
        url: the org's own domain.
        redis: where the token and the contacts' locks are.

    Raises:
        ConfigError: a setting is missing.
    """

    def __init__(self, settings: Settings) -> None:
        require("salesforce.contact", settings)
        self.url, self._id = settings.salesforce_url, settings.salesforce_client_id
        self._secret = settings.salesforce_client_secret.get_secret_value()
        self.redis = redis_of(settings.redis_url.get_secret_value())
        self._path = f"/services/data/v{settings.salesforce_version}/sobjects/"
        self._http = _client(self.url)
        self._token = SharedToken(self.redis, f"{self.url}\n{self._id}", self._secret, self._fetch)

    def send(
        self, outcomes: Outcomes, method: str, path: str, *, write: Write | None = None, **content: Any
    ) -> Response | None:
        """Send a request; None when it is a write and a newer event has been written.

        Raises:
            Retry: Salesforce answered UNABLE_TO_LOCK_ROW: again later, which is no attempt.
            Unavailable: it takes neither the app nor its token, or answered 403, 410 or 503; the queue is paused.
            Discard: it answered another 4xx, or several contacts match.
            OutOfTurnError: another job writes this contact or fetches the token; tried again in a second.
            HTTPError: it answered 5xx or not at all; tried again with backoff.
        """

        def send(token: str) -> Response | None:
            if write and not write.begin():
                return None
            headers = {"Authorization": f"Bearer {token}"}
            return outcomes.send(self._http, method, self._path + path, write=write, headers=headers, **content)

        return self._token.call(send)

    def _fetch(self) -> Fetched:
        form = {"grant_type": "client_credentials", "client_id": self._id, "client_secret": self._secret}
        reply = _oauth.send(self._http, "POST", "/services/oauth2/token", data=form)
        return Fetched(reply.json()["access_token"], _TOKEN_SECONDS)


def _write(org: _Org, id_field: str, contact: Contact, event: ApiCall) -> str | None:
    """Write a contact, unless a newer event has; its record's id, where a reply has it."""
    path = _path(id_field, contact)
    write = Write(org.redis, contact_key(f"{org.url}\n{id_field}", contact.external_id), event.id)
    try:
        params = {"updateOnly": "true"}
        reply = org.send(_updating, "PATCH", path, write=write, params=params, json={**contact.fields})
    except _MissingError:
        reply = org.send(salesforce, "PATCH", path, write=write, json={**contact.fields_of_new, **contact.fields})
    return str(reply.json()["id"]) if reply is not None and reply.content else None


def _found(org: _Org, id_field: str, contact: Contact) -> str:
    reply = org.send(_finding, "GET", _path(id_field, contact), params={"fields": "Id"})
    assert reply is not None  # it is no write
    return str(reply.json()["Id"])


def _path(id_field: str, contact: Contact) -> str:
    return f"Contact/{id_field}/{segment(contact.external_id)}"


_client = Once(client, Client.close)  # it keeps its connections
