"""Tickets: an event's id and a message authentication code (MAC) over it, the app, the session and the node.

No ticket is written anywhere before its value is: it can be checked without Redis, and another session's is no ticket.
The key is what protects the app, its first token or else the path secret. Any of its tokens is accepted, so tickets
outlive a rotation that keeps the old token for `Late.keep` seconds. Without a token and a secret, where anybody may
call, a ticket protects nothing.
"""

import hmac
import re
from hashlib import blake2b

from shared.settings.config import Settings
from shared.wire.events import Event

_FORM = re.compile(r"([0-9a-f]{32})([0-9a-f]{32})")


def issue(settings: Settings, event: Event, node: str) -> str:
    """The ticket for an event: 64 hex digits."""
    return event.id + _mac(_keys(settings, event.app_id)[0], event.id, event, node)


def promised(settings: Settings, ticket: str, asking: Event, node: str) -> str | None:
    """The id of the event that a ticket was issued for; None if it is none of this app, session and node.

    A call that names no session has no ticket: one for all sessions would be bound to none.

    Args:
        settings: with the app's tokens.
        ticket: what came.
        asking: the call that brought it.
        node: the first node, whose values it stands for.
    """
    form = _FORM.fullmatch(ticket)
    if not form or not asking.session_id:
        return None
    macs = [_mac(key, form[1], asking, node) for key in _keys(settings, asking.app_id)]
    return form[1] if any(hmac.compare_digest(form[2], mac) for mac in macs) else None


def _keys(settings: Settings, app_id: str) -> list[str]:
    secrets = [*settings.apps.get(app_id, []), *([settings.path_secret] if settings.path_secret else [])]
    return [secret.get_secret_value() for secret in secrets] or [""]


def _mac(key: str, event_id: str, event: Event, node: str) -> str:
    parts = f"{event_id}\0{event.app_id}\0{node}\0{event.session_id}".encode(errors="surrogatepass")
    secret = blake2b(key.encode(), digest_size=32, person=b"deskbell late").digest()
    return blake2b(parts, digest_size=16, key=secret, person=b"deskbell late").hexdigest()
