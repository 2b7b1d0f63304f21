"""Tickets: who may show them, and who may not."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from deskbell import ApiCall, Settings
from deskbell.testing import api_call
from shared.late.tickets import issue, promised
from shared.wire.commands import received

APP = "1400000001"


def call(app: str = APP, session: str = "session", node: str = "quote") -> ApiCall:
    """A call in a session of an app."""
    event = received(api_call(node, SystemSessionID=session).raw, app_id=app, node=node)
    assert isinstance(event, ApiCall)
    return event


def settings(*tokens: str, secret: str | None = None) -> Settings:
    """Of two apps with the same tokens, and a path secret or none."""
    given: dict[str, Any] = {app: [SecretStr(token) for token in tokens] for app in (APP, "1400000002")}
    return Settings(apps=given, path_secret=SecretStr(secret) if secret else None, env_file=Path("/dev/null"))


@pytest.mark.parametrize(
    ("app", "session", "node", "is_one"),
    [
        (APP, "session", "quote", True),
        ("1400000002", "session", "quote", False),
        (APP, "another", "quote", False),
        (APP, "", "quote", False),
        (APP, "session", "refund", False),
    ],
)
def test_a_ticket_is_one_for_its_app_session_and_node_alone(app: str, session: str, node: str, is_one: bool) -> None:
    """Two apps that have the same token are two."""
    first = call()
    ticket = issue(settings("token"), first, "quote")

    assert promised(settings("token"), ticket, call(app, session), node) == (first.id if is_one else None)


def test_a_call_without_a_session_has_no_ticket() -> None:
    """A node that sends no SystemSessionID would get the values of every session."""
    first = call(session="")

    assert promised(settings("token"), issue(settings("token"), first, "quote"), first, "quote") is None


@pytest.mark.parametrize("wrong", ["", "x", "0" * 64, "é" * 64])
def test_what_was_not_issued_is_no_ticket(wrong: str) -> None:
    """Nor is one that was changed, or the id of the event, which logs have, with another's seal."""
    first, second = call(), call()
    ticket, other = (issue(settings("token"), each, "quote") for each in (first, second))

    assert promised(settings("token"), wrong, first, "quote") is None
    assert promised(settings("token"), ticket[:32] + other[32:], first, "quote") is None
    assert promised(settings("token"), ticket.upper(), first, "quote") is None


def test_a_ticket_outlives_a_rotation_of_tokens_that_keeps_the_old_one() -> None:
    """Without the old one its tickets are none. A path secret seals where there is no token."""
    first = call()
    ticket = issue(settings("old"), first, "quote")

    assert promised(settings("new", "old"), ticket, first, "quote") == first.id
    assert promised(settings("new"), ticket, first, "quote") is None
    secret = "s" * 16
    by_secret = issue(settings(secret=secret), first, "quote")
    assert by_secret != issue(settings(), first, "quote")
    assert promised(settings("new", secret=secret), by_secret, first, "quote") == first.id
