"""The HubSpot job type: each API call upserts the contact of its user and leaves a note on the contact's timeline.

1. `POST /crm/objects/2026-03/contacts/batch/upsert` with one input (there is no upsert of one record): the contact is
   the one whose property `HUBSPOT_CONTACT_ID` holds Desk's user id, and an event never overwrites a newer one: see
   `deskbell.adapters.contacts`. An older event writes nothing but that property, for the contact's id.
2. `POST /crm/objects/2026-03/notes` with an association to the contact. The note's property `HUBSPOT_NOTE_ID` holds the
   event's id, and its values are unique: when the job runs twice, HubSpot refuses the second note, which is done.

Sources: developers.hubspot.com/docs, api-reference/2026-03/crm/objects/contacts/batch/upsert-contacts,
api-reference/crm-notes-v3/guide (202; 65,536 characters), api-reference/error-handling (207, 401, 403, 423, 477),
developer-tooling/platform/usage-guidelines (429, `policyName`). How a value that is not unique is refused is not
documented there; the codes are those that public code reads.
"""

import json
from html import escape
from typing import Any

from deskbell import ApiCall, Breaker, Jobs, Settings
from deskbell.adapters.contacts import Write, begin_write
from deskbell.adapters.needs import require
from deskbell.adapters.once import Once
from deskbell.adapters.outcomes import Outcome, Outcomes, away_for, discard, done, failed, wait
from deskbell.http import Client, client
from shared.wire.json_values import text

jobs = Jobs()

NOTE_CHARACTERS = 65_536
"""The longest `hs_note_body`."""

_CONTACTS, _NOTES = "/crm/objects/2026-03/contacts/batch/upsert", "/crm/objects/2026-03/notes"
_NOTE_TO_CONTACT = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}
_NOT_UNIQUE = "CONFLICTING_UNIQUE_VALUE"
_HOUR = 3600


def _code(body: Any) -> str | None:
    """The code of an error in a reply's body.

    That of a batch comes with 207, too; of a rate limit it is the policy, which tells seconds from a day.
    """
    errors = [body] if body.get("status") == "error" else body.get("errors")
    if not errors:
        record = body["results"][0] if "results" in body else body
        return None if record["id"] else "no_id"
    error = errors[0]
    if policy := error.get("policyName"):
        return str(policy)
    if "daily limit" in str(error.get("message")).lower():
        return "DAILY"
    return _NOT_UNIQUE if _NOT_UNIQUE in json.dumps(error) else error.get("category")


_TABLE: dict[int | str, Outcome] = {
    "SECONDLY": wait(1),
    "TEN_SECONDLY_ROLLING": wait(10),
    "DAILY": away_for(_HOUR),  # until midnight where the account is; errors must stay below 5 % of a day's requests
    "VALIDATION_ERROR": discard,
    "CONFLICT": discard,
    207: failed,  # a part has failed, and ours is the only one
    423: wait(2),  # locked: too many writes at once
    429: wait(10),
    477: away_for(_HOUR),  # the account is being moved, for up to a day
}
contacts = Outcomes("HubSpot", _TABLE, _code)
notes = Outcomes("HubSpot", {**_TABLE, _NOT_UNIQUE: done, "CONFLICT": done, "OBJECT_ALREADY_EXISTS": done}, _code)


@jobs.on(
    ApiCall,
    name="hubspot.contact",
    queue="hubspot",
    attempts=8,
    timeout=60,
    ordered_by="SystemClientUserID",  # an upsert leaves what it does not name: an older call's may be all there is
    breaker=Breaker(failures=10, pause=30),
)
def record_call(event: ApiCall, settings: Settings) -> None:
    """Upsert the contact of the user who called, and note the call; without a user id do nothing.

    Raises:
        Retry: HubSpot was asked too often for some seconds; no attempt is used up.
        Unavailable: the token is refused, or the quota of the day is used up; the queue is paused.
        Discard: it refused the contact or the note, and would again.
        OutOfTurnError: another job writes the contact; tried again in a second, which is no attempt.
        HTTPError: it answered 5xx or not at all; tried again with backoff.
    """
    if not event.user_id:
        return
    require("hubspot.contact", settings)
    http = _client(settings.hubspot_url, settings.hubspot_token.get_secret_value())
    write = begin_write(settings, settings.hubspot_url, event)
    contact_id = _upsert(http, event, settings, write)
    note = {
        "properties": {
            "hs_timestamp": str(round(event.received_at.timestamp() * 1000)),
            "hs_note_body": note_of(event),
            settings.hubspot_note_id: event.id,
        },
        "associations": [{"to": {"id": contact_id}, "types": [_NOTE_TO_CONTACT]}],
    }
    notes.send(http, "POST", _NOTES, json=note)


def _upsert(http: Client, event: ApiCall, settings: Settings, write: Write | None) -> str:
    """Upsert the contact; its id in HubSpot."""
    properties = {settings.hubspot_contact_id: event.user_id}
    if write:
        given = {settings.hubspot_properties.get(name): text(value) for name, value in event.variables.items()}
        properties |= {name: value for name, value in given.items() if name and value}
    contact = {"idProperty": settings.hubspot_contact_id, "id": event.user_id, "properties": properties}
    reply = contacts.send(http, "POST", _CONTACTS, write=write, json={"inputs": [contact]})
    return str(reply.json()["results"][0]["id"])


def note_of(event: ApiCall) -> str:
    """The note about a call: its node and its variables, as HTML; what is too long for HubSpot is cut."""
    variables = {name: value for name, value in event.variables.items() if not name.startswith("System")}
    lines = [f"Desk: {event.node or 'API call'}", *(f"{name}: {text(value)}" for name, value in variables.items())]
    pieces, room = [], NOTE_CHARACTERS - 1
    for character in "\n".join(lines):
        piece = "<br>" if character == "\n" else escape(character)
        room -= len(piece)
        if room < 0:
            pieces.append("…")
            break
        pieces.append(piece)
    return "".join(pieces)


def _make_client(url: str, token: str) -> Client:
    return client(url, headers={"Authorization": f"Bearer {token}"})


_client = Once(_make_client, Client.close)
