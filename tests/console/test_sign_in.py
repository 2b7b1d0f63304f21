"""Signing in and out."""

import pytest
from redis import Redis

from console.access.passwords import hash_password, is_password
from console.access.throttle import MOST_OF_A_NAME, MOST_OF_AN_ADDRESS, PERIOD_SECONDS, Throttle
from shared.errors import ConfigError
from shared.settings.config import load_settings
from tests.console.browsing import KEY, PASSWORD, USERS, Browser
from tests.console.conftest import ConsoleFactory
from workers.audit import AuditLog


def test_a_password_is_known_by_its_hash() -> None:
    """Two hashes of one password have nothing in common: each has its own salt."""
    hashed = hash_password(PASSWORD)

    assert is_password(PASSWORD, hashed)
    assert not is_password(PASSWORD + " ", hashed)
    assert hashed.split(".")[-1] != hash_password(PASSWORD).split(".")[-1]


def test_who_signs_in_sees_the_page_that_was_asked_for(sign_in: ConsoleFactory) -> None:
    """And stays signed in until the end of the session."""
    browser = sign_in("viewer")

    assert browser.get("/").status_code == 200
    assert browser.post("/sign-out").status_code == 303
    assert browser.get("/").status_code == 303


def test_who_fails_is_told_nothing_and_recorded(open_console: ConsoleFactory, redis: Redis) -> None:
    """Neither whether there is such a user nor, in the log, what was typed: it may be the password."""
    browser = open_console(console_users=USERS, console_key=KEY)

    answers = [browser.sign_in("viewer", "wrong"), browser.sign_in("hunter2"), browser.sign_in("", "")]

    assert [answer.status_code for answer in answers] == [401] * 3
    assert all("The name or the password is wrong." in answer.text for answer in answers)
    entries = AuditLog(redis).latest(10)
    assert {(each.action, each.end, each.selection) for each in entries} == {("sign-in", "refused", "from 127.0.0.1")}
    assert sorted(each.by for each in entries) == ["somebody (console)", "somebody (console)", "viewer (console)"]


def test_after_some_failures_even_the_right_password_has_to_wait(open_console: ConsoleFactory) -> None:
    """For that name; others go on."""
    browser = open_console(console_users=USERS, console_key=KEY)

    failed = [browser.sign_in("viewer", "wrong").status_code for _ in range(MOST_OF_A_NAME)]
    waits = browser.sign_in("viewer")

    assert failed == [401] * MOST_OF_A_NAME
    assert waits.status_code == 429
    assert 0 < int(waits.headers["retry-after"]) <= PERIOD_SECONDS + 1
    assert browser.sign_in("operator").status_code == 303


@pytest.mark.parametrize("first", ["", "name0"])
def test_an_address_that_tries_many_names_has_to_wait(first: str) -> None:
    """Whatever it tries first: no name is a name, too."""
    throttle = Throttle(lambda: 0.0)

    throttle.record_failure(first, "10.0.0.1")
    for number in range(1, MOST_OF_AN_ADDRESS):
        assert throttle.wait_seconds(f"name{number}", "10.0.0.1") == 0
        throttle.record_failure(f"name{number}", "10.0.0.1")

    assert throttle.wait_seconds("another", "10.0.0.1") > 0
    assert throttle.wait_seconds("another", "10.0.0.2") == 0


def test_the_throttle_lets_go_after_its_period() -> None:
    """A name by address, and an address by all that failed from it."""
    now = 0.0
    throttle = Throttle(lambda: now)
    for number in range(MOST_OF_AN_ADDRESS):
        throttle.record_failure(f"name{number % 20}", "10.0.0.1")

    assert throttle.wait_seconds("another", "10.0.0.1") > 0
    assert throttle.wait_seconds("name1", "10.0.0.2") == 0
    now = PERIOD_SECONDS + 1
    assert throttle.wait_seconds("another", "10.0.0.1") == 0


@pytest.mark.parametrize("cookie", ["", "x", "e30.aaaa.bbbb", "é" * 40, "a" * 5000])
def test_a_session_that_was_made_up_is_none(open_console: ConsoleFactory, cookie: str) -> None:
    """Whatever the cookie holds."""
    browser = open_console(console_users=USERS, console_key=KEY)

    answer = browser.get("/", headers={b"Cookie": b"deskbell_console=" + cookie.encode()})

    assert answer.status_code == 303


def test_a_session_ends_with_its_user_its_password_and_its_key(open_console: ConsoleFactory) -> None:
    """Nothing of it is kept on the server, so it is checked against the settings each time."""
    session = open_console(console_users=USERS, console_key=KEY).sign_in("viewer").headers["set-cookie"]
    other = USERS["viewer"].model_copy(
        update={"password": type(USERS["viewer"].password)(hash_password("another one"))}
    )

    def status(**given: object) -> int:
        browser: Browser = open_console(**{"console_users": USERS, "console_key": KEY} | given)
        return browser.get("/", headers={"Cookie": session.partition(";")[0]}).status_code

    assert status() == 200
    assert status(console_users={"admin": USERS["admin"]}) == 303
    assert status(console_users=USERS | {"viewer": other}) == 303
    assert status(console_key="j" * 32) == 303


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ("{", "expected JSON"),
        ('{"ana": "secret1234"}', "got a value not shown here"),
        ('{"ana": {"role": "boss", "password": "secret1234"}}', "got a value not shown here"),
        ('{"ana": {"role": "admin", "password": "secret1234"}}', "as `deskbell hash-password` prints it"),
        ('{"a b": {"role": "admin", "password": "%s"}}', "expected names of 1 to 64 letters"),
    ],
)
def test_users_that_cannot_be_are_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, users: str, expected: str
) -> None:
    """In one sentence; somebody may have written a password in the clear."""
    monkeypatch.setenv("DESKBELL_CONSOLE_USERS", users.replace("%s", USERS["admin"].password.get_secret_value()))

    with pytest.raises(ConfigError, match=r"^DESKBELL_CONSOLE_USERS: ") as raised:
        load_settings()

    assert expected in str(raised.value)
    assert "secret1234" not in str(raised.value)
