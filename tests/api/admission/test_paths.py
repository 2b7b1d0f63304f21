"""Paths: which are callbacks, and the advice for those that look like one."""

import httpx
import pytest
from pydantic import SecretStr

from deskbell import Callbacks
from deskbell.testing import packet
from tests.conftest import ApiFactory
from tests.logged import capture_logs

SECRET = "0123456789abcdef"


def echo() -> Callbacks:
    """A handler that answers its variable."""
    callbacks = Callbacks()

    @callbacks.api_call("echo")
    def echo(OrderID: str = "") -> dict[str, str]:
        return {"OrderID": OrderID}

    return callbacks


def code_of(answer: httpx.Response) -> int:
    """The `ErrorCode` of an envelope."""
    return int(answer.json()["ErrorCode"])


@pytest.mark.parametrize("path", ["/callback/echo/", "/callback/"])
def test_one_slash_more_is_taken(start_api: ApiFactory, path: str) -> None:
    """An administrator may type a last slash or not: the node is the same, and so is the delivery."""
    desk = start_api(echo())

    answers = [desk.post(packet(OrderID="1"), path=each, RequestID="r-1") for each in (path, path.rstrip("/"))]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    assert answers[0].headers["X-Deskbell-Event"] == answers[1].headers["X-Deskbell-Event"]


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("//callback/echo", "doubled slash"),
        ("/Callback/echo", "small letters"),
        ("/callback/" + "n" * 65, "the node's name"),
        ("/callback/%E9%80%80%E8%B4%B9", "the node's name"),
        ("/callbacks/echo", "/callback/<node>"),
        ("/echo", "/callback/<node>"),
    ],
)
def test_a_callback_for_an_unknown_path_is_logged_with_advice(start_api: ApiFactory, path: str, advice: str) -> None:
    """The administrator sees the exception branch alone; nothing of the path is logged."""
    desk = start_api(echo())

    with capture_logs() as lines:
        answer = desk.post(packet(), path=f"{desk.url}{path}")
        scanned = desk.http.post("/wp-login.php")

    assert [(each.status_code, code_of(each)) for each in (answer, scanned)] == [(404, 404)] * 2
    [line] = [line for line in lines if line["event"] == "refused"]
    assert (line["outcome"], line["status"], line["times"]) == ("no_such_path", 404, 1)
    assert advice in line["advice"]
    assert not [word for word in ("nnnn", "退", "%E9", "callbacks/echo") if word in str(line)]
    assert 'deskbell_refused_total{cause="no_such_path"} 1.0' in desk.http.get("/metrics").text


def test_a_path_without_the_secret_is_logged_as_such(start_api: ApiFactory) -> None:
    """In the log alone: the answer is that of any path."""
    desk = start_api(path_secret=SecretStr(SECRET))

    with capture_logs() as lines:
        desk.post(packet())
        desk.post(packet(), path=f"/{SECRET}/Callback")

    [line] = [line for line in lines if line["event"] == "refused"]
    assert line["advice"] == "the path lacks the secret of DESKBELL_PATH_SECRET"
    assert SECRET not in str(lines)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
def test_head_answers_as_get_without_a_body(start_api: ApiFactory, path: str) -> None:
    """Load balancers and uptime checks ask so."""
    desk = start_api()

    head, got = desk.http.head(path), desk.http.get(path)

    assert (head.status_code, head.headers["content-type"]) == (got.status_code, got.headers["content-type"])
    assert head.content == b""
    assert desk.http.get("/healthz").status_code == 200  # over the same connection
