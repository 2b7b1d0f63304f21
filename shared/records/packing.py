"""What is recorded of a callback: how it was answered, and what it asked and was told, with personal values masked.

A value is kept when the variable is declared by a handler and is not personal; of any other its length is kept. With
`DESKBELL_RECORD_VALUES` all are, and those that would not be stand in a list of one, so that they can be masked later.
"""

import hashlib
from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any, Literal, NamedTuple

from pydantic_core import to_json

from shared.redis.job_data import read_data
from shared.settings.config import Settings
from shared.wire.commands import ApiCall, event_from_wire
from shared.wire.events import Event, Reply
from shared.wire.json_values import text

CALL, REPEATED, ATTEMPT = "c", "d", "a"
"""What a record begins with: of a callback, of a delivery that came again, of an attempt at a job."""

MOST_VARIABLES = 50
"""Variables of a callback that are recorded, asked and answered each."""

MOST_CHARACTERS = 256
"""Characters of a value that are recorded."""

LONGEST_ID = 128
"""Characters of a user's id and a session's that are recorded; they are found by the whole."""

_LONGEST_NAME = 64
_OURS = frozenset({"misfit", "no_handler", "out_of_time", "failed"})  # `Refuse` brings a text of the integrator's
PUBLIC_FIELDS = frozenset({"Event", "Seq", "Env", "Status", "ChannelType"})
"""Fields of other commands than API calls that say nothing of a person."""


Kind = Literal["user", "session"]


class Record(NamedTuple):
    """A record as `record.lua` writes it.

    Attributes:
        text: JSON.
        digests: of what it is found by, eight bytes each.
    """

    text: bytes
    digests: bytes


class Packing:
    """Makes the records of callbacks.

    Args:
        public: the variables that are declared and not personal.
    """

    def __init__(self, settings: Settings, public: Collection[str] = ()) -> None:
        self._values = settings.record_values
        self._public = frozenset(public)

    def callback(self, event: Event, reply: Reply) -> Record:
        """The record of an event and its reply."""
        try:
            user, session = event.user_id, event.session_id
        except ValueError:  # a number of more digits than Python writes
            user = session = ""
        of_user = digest("user", user) if user else b""
        of_session = digest("session", session) if session else b""
        kept_user, info = user[:LONGEST_ID], reply.info[:MOST_CHARACTERS]
        is_personal = info and reply.outcome not in _OURS
        record = to_json(
            [
                CALL,
                event.id,
                event.app_id,
                event.command,
                event.node,
                [kept_user] if user and self._values else of_user.hex(),
                session[:LONGEST_ID],
                reply.outcome,
                reply.code,
                ([info] if self._values else "") if is_personal else info,
                reply.handler_ms,
                self._shown(event.fields, self._public if isinstance(event, ApiCall) else PUBLIC_FIELDS),
                self._shown(reply.variables or reply.fields, self._public),
            ]
        )
        return Record(record, of_user + of_session + digest_of_event(event.id))

    def of_data(self, data: bytes) -> Record:
        """The record of an event that comes from a spool, by the data of its RQ job; empty where they hold none."""
        try:
            event = event_from_wire(read_data(data)[2][0])
        except Exception:  # noqa: BLE001 - a damaged event is kept as it is; it is a dead letter in the end
            return Record(b"[]", b"")
        return self.callback(event, event.reply or Reply())

    def _shown(self, variables: Mapping[str, Any], public: Collection[str]) -> dict[str, str | int | list[str]]:
        """Names, with the value of each; of a personal one its length, or, in a list, the value."""
        shows_all = self._values
        shown: dict[str, str | int | list[str]] = {}
        for name, given in islice(variables.items(), MOST_VARIABLES):
            value = given if type(given) is str else _text(given)
            kept = value if len(value) <= MOST_CHARACTERS else value[: MOST_CHARACTERS - 1] + "…"
            if name in public:
                shown[name[:_LONGEST_NAME]] = kept
            else:
                shown[name[:_LONGEST_NAME]] = [kept] if shows_all else len(value)
        return shown


def digest(kind: Kind, given: str) -> bytes:
    """What a user, or a session, is found by: eight bytes that do not tell whose they are, but to who can guess it."""
    return hashlib.blake2b(given.encode(errors="replace"), digest_size=8, person=kind.encode()).digest()


def digest_of_event(event_id: str) -> bytes:
    """What an event is found by: its last sixteen digits, which are random."""
    return bytes.fromhex(event_id[16:])


def _text(value: Any) -> str:
    try:
        return text(value)
    except ValueError:  # a number of more digits than Python writes
        return ""
