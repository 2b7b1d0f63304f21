"""What a reply means for a job, by its status and by the code in its body."""

from typing import Any

import httpx
import pytest

from deskbell import Discard, Retry, Unavailable
from deskbell.adapters.outcomes import Outcomes, away, discard, done, failed, wait
from shared.errors import JobDecision

CRM = Outcomes(
    "Acme",
    {"busy": wait(7), "token": away, "internal": failed, "known": done, 404: done, 409: discard},
    code_of=lambda body: None if body is None else body["error"],
)


def reply(status: int, body: Any = None, **headers: str) -> httpx.Response:
    """A reply whose body is JSON, or bytes as they are."""
    request = httpx.Request("POST", "https://acme.example/planted-4711")
    content: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body} if body else {}
    return httpx.Response(status, request=request, headers=headers, **content)


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (reply(200, {"error": None}), type(None), ""),
        (reply(204), type(None), ""),
        (reply(200, {"error": "busy"}), Retry, "again after 7 s"),
        (reply(429, {"error": "else"}), Retry, "again after 30 s"),
        (reply(403, {"error": "busy"}), Retry, "again after 7 s"),
        (reply(200, {"error": "token"}), Unavailable, "Acme answered 200 token"),
        (reply(401, b"<html>"), Unavailable, "Acme answered 401"),
        (reply(200, {"error": "internal"}), httpx.HTTPStatusError, "Acme answered 200 internal"),
        (reply(409, {"error": "known"}), type(None), ""),
        (reply(404), type(None), ""),
        (reply(200, {"error": 40003}), Discard, "Acme answered 200 40003"),
        (reply(422, {"error": "x y"}), Discard, "Acme answered 422"),
        (reply(409), Discard, "Acme answered 409"),
        (reply(500, {"error": "else"}), httpx.HTTPStatusError, "Acme answered 500 else"),
        (reply(302), httpx.HTTPStatusError, "Acme answered 302"),
        (reply(200, b'{"erro'), httpx.HTTPStatusError, "Acme answered 200 with a body that is not its own"),
        (reply(200, b"[]"), httpx.HTTPStatusError, "Acme answered 200 with a body that is not its own"),
    ],
)
def test_the_code_in_the_body_decides_then_the_status(answer: httpx.Response, kind: type, text: str) -> None:
    """What no table names: success is done, a refusal is discarded, the rest is tried again; no value is shown."""
    decision = CRM.decision(answer)

    assert isinstance(decision, kind)
    assert str(decision or "") == text


def test_a_code_that_cannot_be_counted_is_none() -> None:
    """JSON may hold 1e999, which is an infinity when it is read."""
    counting = Outcomes("Acme", {}, code_of=lambda body: int(body["error"]))

    decision = counting.decision(reply(200, b'{"error": 1e999}'))

    assert str(decision) == "Acme answered 200 with a body that is not its own"


def test_a_decision_tells_the_code_of_the_body_else_the_status() -> None:
    """By it logs, breakers and dead letters group; a text of the CRM that is no word is not shown."""
    decisions = [CRM.decision(reply(400, {"error": error})) for error in ("NO_SUCH_NAME", "Wang's order", "e" * 65)]

    assert [each.code for each in decisions if isinstance(each, JobDecision)] == ["NO_SUCH_NAME", "400", "400"]
