"""A stolen URL: what its Sign is good for, and what not (PROTOCOL §2: it covers neither the body nor the query)."""

import hmac
import json
import time
from typing import Any
from unittest.mock import Mock

import pytest
from pydantic import SecretStr
from redis import Redis

from api.admission.authentication import Authenticator
from deskbell import Callbacks
from deskbell.testing import packet
from shared.redis.queues import EVENTS, queue
from shared.wire.protocol import sign
from tests.conftest import ApiFactory, SettingsFactory
from tests.desk import APP, TOKEN, Desk, written

SECRET = "a-path-secret-of-some-length"
OTHER_APP = "1400000002"
ARABIC_DIGITS = {ord("0") + digit: chr(0x660 + digit) for digit in range(10)}


def echo() -> Callbacks:
    """A handler whose answer tells what it was asked."""
    callbacks = Callbacks()

    @callbacks.api_call
    def echo(OrderID: str) -> dict[str, str]:
        return {"OrderID": OrderID}

    return callbacks


def test_a_replayed_url_with_another_body_gets_the_first_answer_and_starts_nothing(
    start_api: ApiFactory, redis: Redis
) -> None:
    """The URL's RequestID is the delivery's identity: what is sent under it once more is not looked at."""
    desk = start_api(echo())
    url = f"/callback/echo?{desk.query(packet(), RequestID='r-1')}"

    first = desk.http.post(url, json=packet(OrderID="1"))
    replayed = desk.http.post(url, json=packet(OrderID="2"))

    assert first.json()["Body"] == {"OrderID": "1"}
    assert replayed.content == first.content
    assert replayed.headers["x-deskbell-event"] == first.headers["x-deskbell-event"]
    assert len(queue(EVENTS, redis).job_ids) == 1


def test_a_stolen_sign_is_good_for_any_body_while_its_minute_lasts(start_api: ApiFactory, redis: Redis) -> None:
    """What Tencent's scheme does not defend, stated so that nobody relies on it: SECURITY.md says what does."""
    desk = start_api(echo())
    stolen = desk.query(packet(), RequestID="r-1")

    answer = desk.http.post(f"/callback/echo?{stolen.replace('r-1', 'r-2')}", json=packet(OrderID="forged"))

    assert answer.json()["Body"] == {"OrderID": "forged"}
    assert len(queue(EVENTS, redis).job_ids) == 1


FORGED = {
    "old": {"RequestTime": "{old}", "Sign": "{old_sign}"},
    "another time": {"RequestTime": "{next}"},
    "a zero before it": {"RequestTime": "0{now}"},
    "a fraction": {"RequestTime": "{now}.0"},
    "a space": {"RequestTime": " {now}"},
    "a newline": {"RequestTime": "{now}\n"},
    "other digits": {"RequestTime": "{arabic}"},
    "capitals": {"Sign": "{capitals}"},
    "shorter": {"Sign": "{sign:.63}"},
    "longer": {"Sign": "{sign}\0"},
    "not ASCII": {"Sign": "\u00e9" * 64},
    "another app": {"SdkAppid": OTHER_APP},
}


def test_a_sign_is_good_for_its_app_and_its_time_alone(start_api: ApiFactory, redis: Redis) -> None:
    """As it was sent, character by character: 403, 1003, and nothing is kept."""
    desk = start_api(apps={APP: [SecretStr(TOKEN)], OTHER_APP: [SecretStr("another token")]})
    now = int(time.time())
    stolen = {"now": str(now), "next": str(now + 1), "sign": sign(TOKEN, str(now)), "old": str(now - 61)}
    stolen |= {"old_sign": sign(TOKEN, stolen["old"]), "capitals": stolen["sign"].upper()}
    stolen["arabic"] = stolen["now"].translate(ARABIC_DIGITS)

    for how, forged in FORGED.items():
        fields = {"RequestTime": "{now}", "Sign": "{sign}"} | forged
        answer = desk.post(packet(), **{name: value.format(**stolen) for name, value in fields.items()})
        assert (answer.status_code, answer.json()["ErrorCode"]) == (403, 1003), how
    assert written(redis) == []


def test_every_token_is_compared_in_constant_time_whichever_fits(
    make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the time nor the order tells a guesser anything; the path secret is compared the same way."""
    tokens = ["first", "second", "third"]
    settings = make_settings(apps={APP: [SecretStr(token) for token in tokens]}, path_secret=SecretStr(SECRET))
    authenticator = Authenticator(settings, lambda *_: None)
    compare = Mock(side_effect=hmac.compare_digest)
    monkeypatch.setattr(hmac, "compare_digest", compare)

    for token in tokens:
        query = {"sdkappid": APP, "requesttime": "1000", "sign": sign(token, "1000")}
        assert authenticator.authenticate(query, 1000) == APP
    assert compare.call_count == len(tokens) ** 2
    assert authenticator.path_secret_matches(SECRET)
    assert compare.call_count == len(tokens) ** 2 + 1


def test_a_wrong_secret_is_answered_like_a_path_that_is_not_there(start_api: ApiFactory) -> None:
    """Byte for byte, so that nobody learns that there is a secret, or that half of it was right."""
    desk = start_api(path_secret=SecretStr(SECRET))

    def ask(path: str) -> tuple[int, bytes, list[str]]:
        answer = desk.http.post(path, json=packet())
        return answer.status_code, answer.content, sorted(answer.headers)

    nothing = ask("/nothing/there")
    for guess in (SECRET[:-1] + "x", "x" + SECRET[1:], SECRET + "x", SECRET.upper(), "%00", "%C3%A9", ".."):
        assert ask(f"/{guess}/callback") == nothing


def test_guessing_the_secret_locks_nobody_out(
    start_api: ApiFactory, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no limit by address: behind a proxy all senders have one. Guesses are counted, and no log holds them."""
    desk = start_api(echo(), path_secret=SecretStr(SECRET))
    guesses = [f"guess-{number:016}" for number in range(200)]

    statuses = {desk.http.post(f"/{guess}/callback/echo", json=packet()).status_code for guess in guesses}
    answer = call(desk)

    assert statuses == {404}
    assert answer["ErrorCode"] == 0
    assert 'deskbell_refused_total{cause="wrong_path_secret"} 200.0' in desk.http.get("/metrics").text
    assert len(queue(EVENTS, redis).job_ids) == 1
    assert "guess-" not in "".join(capsys.readouterr())


def call(desk: Desk) -> dict[str, Any]:
    """The envelope of a call that knows the secret."""
    answer: dict[str, Any] = json.loads(desk.post(packet(OrderID="1"), "echo", path=f"/{SECRET}/callback").content)
    return answer
