"""Signing in and out."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from starlette.requests import Request
from starlette.responses import Response

from console.access import passwords
from console.access.passwords import TooManyAtOnceError, hash_password, is_password
from console.access.refusals import REFUSED_KEY
from console.access.sessions import ENDED_KEY, Sessions
from console.access.throttle import MOST_OF_A_NAME, MOST_OF_AN_ADDRESS, PERIOD_SECONDS, TRIES_KEY, Throttle
from shared.errors import ConfigError
from shared.settings.config import load_settings
from tests.conftest import SettingsFactory
from tests.console.browsing import KEY, PASSWORD, USERS, Browser, browsing
from tests.console.conftest import ConsoleFactory
from tests.redis_outages import Server
from tests.waiting import DEADLINE_SECONDS, until
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
    """Neither whether there is such a user nor, in the log, what was typed: it may be the password.

    The same again is counted, or whoever goes on would fill Redis.
    """
    browser = open_console(console_users=USERS, console_key=KEY)

    answers = [browser.sign_in("viewer", "wrong"), browser.sign_in("hunter2"), browser.sign_in("", "")]

    assert [answer.status_code for answer in answers] == [401] * 3
    assert all("The name or the password is wrong." in answer.text for answer in answers)
    entries = AuditLog(redis).latest(10)
    assert {(each.action, each.end, each.selection) for each in entries} == {("sign-in", "refused", "from 127.0.0.1")}
    assert sorted((each.by, each.done) for each in entries) == [("somebody (console)", 2), ("viewer (console)", 1)]
    assert [redis.ttl(key) > 0 for key in redis.keys(f"{REFUSED_KEY}*")] == [True, True]


def test_after_some_failures_even_the_right_password_has_to_wait(open_console: ConsoleFactory) -> None:
    """For that name; others go on."""
    browser = open_console(console_users=USERS, console_key=KEY)

    failed = [browser.sign_in("viewer", "wrong").status_code for _ in range(MOST_OF_A_NAME)]
    waits = browser.sign_in("viewer")

    assert failed == [401] * MOST_OF_A_NAME
    assert waits.status_code == 429
    assert 0 < int(waits.headers["retry-after"]) <= PERIOD_SECONDS
    assert browser.sign_in("operator").status_code == 303


def test_all_consoles_count_failures_together_and_keep_no_name(open_console: ConsoleFactory, redis: Redis) -> None:
    """On Redis, where a digest stands for what was typed, since that may be a password; a success ends the count."""
    one, other = (open_console(console_users=USERS, console_key=KEY) for _ in range(2))

    failed = [one.sign_in("viewer", "wrong").status_code for _ in range(MOST_OF_A_NAME - 1)]
    signed_in = other.sign_in("viewer").status_code
    again = [(one, other)[number % 2].sign_in("viewer", "wrong").status_code for number in range(MOST_OF_A_NAME)]
    waits = other.sign_in("viewer")
    kept = redis.keys(f"{TRIES_KEY}*")

    assert (failed, signed_in, again, waits.status_code) == ([401] * 4, 303, [401] * 5, 429)
    assert kept
    assert all(b"viewer" not in key and 0 < redis.ttl(key) <= PERIOD_SECONDS for key in kept)


@pytest.mark.parametrize("first", ["", "name0"])
def test_an_address_that_tries_many_names_has_to_wait(redis: Redis, first: str) -> None:
    """Whatever it tries first: no name is a name, too. The count ends with its period, and with it the wait."""
    throttle = Throttle(redis, b"key")

    names = [first, *(f"name{number}" for number in range(1, MOST_OF_AN_ADDRESS))]
    waits = [throttle.begin(name, "10.0.0.1") for name in names]

    assert waits == [0] * MOST_OF_AN_ADDRESS
    assert 0 < throttle.begin("another", "10.0.0.1") <= PERIOD_SECONDS
    assert throttle.begin("another", "10.0.0.2") == 0
    for key in redis.scan_iter(f"{TRIES_KEY}*"):
        redis.pexpire(key, 1)
    until(lambda: not redis.keys(f"{TRIES_KEY}*"))
    assert throttle.begin("another", "10.0.0.1") == 0


def test_a_try_that_succeeds_or_was_not_made_does_not_count(redis: Redis) -> None:
    """Neither for the name nor for the address, also when the count has ended meanwhile: no count is without an end."""
    throttle = Throttle(redis, b"key")

    for number in range(2 * MOST_OF_AN_ADDRESS):
        assert throttle.begin("ann", "10.0.0.1") == 0
        (throttle.succeed if number % 2 else throttle.withdraw)("ann", "10.0.0.1")
    redis.flushdb()
    throttle.withdraw("ann", "10.0.0.1")

    assert [redis.ttl(key) > 0 for key in redis.keys(f"{TRIES_KEY}*")] == [True, True]


def test_passwords_that_wait_to_be_checked_leave_threads_for_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds one: whoever sends a hundred at once is told to come again, and nobody waits behind them."""
    turns, hashed = threading.Semaphore(0), USERS["viewer"].password.get_secret_value()
    monkeypatch.setattr(passwords, "AT_ONCE", turns)
    monkeypatch.setattr(passwords, "WAIT_SECONDS", DEADLINE_SECONDS)

    with ThreadPoolExecutor(20) as pool:
        checks = [pool.submit(is_password, PASSWORD, hashed) for _ in range(20)]
        until(lambda: sum(each.done() for each in checks) == 12)
        turns.release(8)

    problems = [type(each.exception()) for each in checks]
    assert (problems.count(TooManyAtOnceError), problems.count(type(None))) == (12, 8)


def test_a_copy_of_a_session_is_worth_nothing_after_its_owner_has_signed_out(
    open_console: ConsoleFactory, redis: Redis
) -> None:
    """At every console; what says so ends when the session would have. Another session of the user goes on."""
    browser, other, thief = (open_console(console_users=USERS, console_key=KEY) for _ in range(3))
    copied = {"Cookie": browser.sign_in("operator").headers["set-cookie"].partition(";")[0]}
    other.sign_in("operator")
    before = thief.get("/", headers=copied).status_code

    signed_out = browser.post("/sign-out").status_code
    page = thief.get("/", headers=copied)
    action = thief.post("/queues/pause", data={"queue": "events"}, headers=copied)

    assert (before, signed_out, page.status_code, action.status_code) == (200, 303, 303, 303)
    assert page.headers["location"] == action.headers["location"] == "/sign-in?next=%2F"
    assert thief.get("/sign-in", headers=copied).status_code == 200
    assert other.get("/").status_code == 200
    assert AuditLog(redis).latest(9) == []
    (ended,) = redis.keys(f"{ENDED_KEY}*")
    assert 0 < redis.ttl(ended) <= 12 * 3600


def test_a_session_that_ended_while_a_shard_was_away_has_ended_there_too(
    redis: Redis, valkey_url: str, make_settings: SettingsFactory
) -> None:
    """Whoever signs out is told that it did not answer; when it is back it knows of nothing."""
    settings, signed_in, away = make_settings(console_users=USERS, console_key=KEY), Response(), Redis(port=1)
    with Redis.from_url(valkey_url, db=1) as back:
        some = Sessions(settings, (redis, away), "/", is_secure=False)
        some.sign_in(signed_in, "viewer")
        cookie = signed_in.headers["set-cookie"].partition(";")[0]
        request = Request({"type": "http", "headers": [(b"cookie", cookie.encode())]})
        before = some.has_ended(request)
        with pytest.raises(RedisConnectionError):
            some.sign_out(request, Response())

        ended = Sessions(settings, (back, redis), "/", is_secure=False).has_ended(request)

    assert (before, ended) == (False, True)


def test_while_redis_is_away_nobody_signs_in_or_out(server: Server, make_settings: SettingsFactory) -> None:
    """The page says that it does not answer; who had signed in goes on when it is back."""
    settings = make_settings(redis_url=SecretStr(server.url), console_users=USERS, console_key=KEY)
    with browsing(settings) as url, Browser(url) as one, Browser(url) as other:
        assert one.sign_in("viewer").status_code == 303
        server.kill()
        away = [one.get("/"), one.post("/sign-out"), other.sign_in("viewer")]
        server.start()
        back = [one.get("/"), other.sign_in("viewer")]

    assert [each.status_code for each in away] == [503] * 3
    assert all("Redis did not answer" in each.text or "Redis does not answer" in each.text for each in away)
    assert [each.status_code for each in back] == [200, 303]


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
