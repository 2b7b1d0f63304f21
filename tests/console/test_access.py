"""Who may do what, and where a request may come from."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from fastapi.routing import APIRoute
from redis import Redis
from rq.suspension import suspend

from console.access.roles import Role
from console.app import make_routes
from console.page import all_pages
from console.server import check_address
from console.state import State
from console.visit import Requires
from shared.errors import ConfigError
from tests.conftest import SettingsFactory
from tests.console.browsing import KEY, USERS
from tests.console.conftest import ConsoleFactory
from tests.console.everything import fill
from workers.audit import AuditLog

FOR_ANYBODY = {"GET /sign-in", "POST /sign-in", "POST /sign-out", "POST /preferences"}


def routes() -> Iterator[tuple[str, list[Requires]]]:
    """Every route, and what it requires."""
    for page in all_pages():
        for route in page.router.routes:
            assert isinstance(route, APIRoute)
            assert route.methods
            required = [each.call for each in route.dependant.dependencies if isinstance(each.call, Requires)]
            for method in route.methods:
                yield f"{method} {route.path}", required


def test_every_route_says_who_may_use_it() -> None:
    """One that was forgotten would be everybody's."""
    found = dict(routes())
    others = len(make_routes().routes) - len(all_pages())

    assert others == 1  # the static files
    assert "GET /" in found
    assert {name for name, required in found.items() if len(required) != 1} == set()
    assert {name for name, required in found.items() if required[0].role is None} == FOR_ANYBODY


def test_what_changes_a_state_needs_an_operator() -> None:
    """And is no GET: a link, an image or a crawler changes nothing."""
    for name, required in routes():
        assert name.split()[0] in {"GET", "POST"}
        if name.startswith("POST ") and name not in FOR_ANYBODY:
            assert required[0].role
            assert required[0].role >= Role.OPERATOR, name


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_who_may_not_do_a_thing_is_not_shown_it_and_is_refused_and_recorded(
    sign_in: ConsoleFactory, redis: Redis, role: Role
) -> None:
    """Each form on each page: the page shows no button, and the server does not rely on that."""
    paths = fill(redis, "crm")
    suspend(redis)
    browser = sign_in(role.name.lower())
    others = {
        name.split()[1] for name, [required] in routes() if name.startswith("POST") and (required.role or 0) > role
    }

    shown = {part.partition('"')[0] for path in paths for part in browser.get(path).text.split('action="')[1:]}
    answers = [browser.post(path, data={"queue": "crm", "id": "x", "action": "discard"}) for path in sorted(others)]

    assert others
    assert others & shown == set()
    assert {each.status_code for each in answers} == {403}
    refused = [(each.action, each.by) for each in AuditLog(redis).latest(len(others)) if each.end == "refused"]
    by = f"{role.name.lower()} (console)"
    assert sorted(refused) == sorted((path[1:].replace("/", "."), by) for path in others)


def test_nobody_sees_anything_without_signing_in(open_console: ConsoleFactory) -> None:
    """A page leads to the form and back; an update says so where the page stands."""
    browser = open_console(console_users=USERS, console_key=KEY)

    page, update = browser.get("/?a=1"), browser.update("/")

    assert (page.status_code, page.headers["location"]) == (303, "/sign-in?next=%2F%3Fa%3D1")
    assert (update.status_code, update.text) == (401, "You are signed out: sign in again.")


def test_a_state_is_changed_only_from_the_consoles_own_pages(open_console: ConsoleFactory) -> None:
    """Browsers say where a request comes from; old ones, and plain HTTP, at least the origin."""
    browser = open_console()
    host = browser.base_url.netloc.decode()

    def post(**headers: str) -> int:
        del browser.headers["Sec-Fetch-Site"]
        answer = browser.post("/preferences", data={"theme": "dark"}, headers=headers)
        browser.headers["Sec-Fetch-Site"] = "same-origin"
        return answer.status_code

    assert post(**{"Sec-Fetch-Site": "same-origin"}) == 303
    assert post(Origin=f"http://{host}") == 303
    assert post() == 403
    assert post(**{"Sec-Fetch-Site": "cross-site", "Origin": f"http://{host}"}) == 403
    assert post(**{"Sec-Fetch-Site": "same-site"}) == 403
    assert post(Origin="https://evil.example") == 403
    assert post(Origin="null") == 403


def test_behind_a_proxy_the_origin_is_the_one_of_the_setting(open_console: ConsoleFactory) -> None:
    """Whatever the proxy makes of `Host`."""
    browser = open_console(console_users=USERS, console_key=KEY, console_url="https://ops.example.com/desk")
    del browser.headers["Sec-Fetch-Site"]

    right = browser.post("/preferences", data={"theme": "dark"}, headers={"Origin": "https://ops.example.com"})
    wrong = browser.post("/preferences", data={}, headers={"Origin": str(browser.base_url).rstrip("/")})

    assert (right.status_code, wrong.status_code) == (303, 403)


def test_without_users_only_this_machine_is_answered(open_console: ConsoleFactory) -> None:
    """A foreign page whose name leads here is not, nor a proxy: it may pass on anybody's requests."""
    browser = open_console()

    answers = [
        browser.get("/", headers=headers).status_code
        for headers in ({"Host": "evil.example"}, {"X-Forwarded-Proto": "https"}, {"Host": "localhost"}, {})
    ]

    assert answers == [403, 403, 200, 200]


def test_another_sites_page_leads_here_and_embeds_nothing(open_console: ConsoleFactory) -> None:
    """Nor follows calls: it would take the places of those who do."""
    browser = open_console()

    answers = [
        browser.get(path, headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode}).status_code
        for path, mode in (("/", "navigate"), ("/", "no-cors"), ("/calls/stream", "cors"))
    ]

    assert answers == [200, 403, 403]


def test_a_proxy_that_says_nothing_is_known_by_its_http_1_0(open_console: ConsoleFactory) -> None:
    """So nginx asks, under the console's own address, where it is not told otherwise."""
    browser = open_console()
    host = browser.base_url.netloc.decode()

    with socket.create_connection((browser.base_url.host, browser.base_url.port), timeout=30) as connection:
        connection.sendall(f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        status = connection.makefile("rb").readline()

    assert status.split()[1] == b"403"
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize(
    ("address", "given", "sentence"),
    [
        ("0.0.0.0", {}, "--host: expected 127.0.0.1 while nobody has to sign in, got 0.0.0.0"),
        ("127.0.0.1", {"console_url": "https://ops.example.com"}, "DESKBELL_CONSOLE_URL: expected none"),
    ],
)
def test_nobody_else_can_be_served_without_users(
    make_settings: SettingsFactory, address: str, given: dict[str, str], sentence: str
) -> None:
    """The process does not start."""
    with pytest.raises(ConfigError, match=sentence):
        check_address(make_settings(**given), address)


def test_users_need_a_key(make_settings: SettingsFactory) -> None:
    """With one made at each start, a restart would sign everybody out, and a second process would know nobody."""
    with pytest.raises(ConfigError, match="DESKBELL_CONSOLE_KEY: expected 32 characters or more"):
        State(make_settings(console_users=USERS))


def test_every_answer_keeps_foreign_code_and_frames_out(open_console: ConsoleFactory) -> None:
    """Pages, redirects, refusals and what is not there."""
    browser = open_console()

    answers = [
        browser.get("/"),
        browser.get("/nothing"),
        browser.get("/sign-in"),
        browser.post("/preferences", data={}, headers={"Sec-Fetch-Site": "cross-site"}),
    ]

    assert [answer.status_code for answer in answers] == [200, 404, 303, 403]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_a_page_has_no_code_and_no_style_of_its_own(open_console: ConsoleFactory) -> None:
    """The policy would stop it. What it loads is the console's own, compressed, and kept."""
    browser = open_console()
    page = browser.get("/").text

    assert "<style" not in page
    assert " style=" not in page
    assert " onclick=" not in page
    scripts = [part.partition('"')[0] for part in page.split('<script src="')[1:]]
    assert len(scripts) == page.count("<script") == 2
    for address in scripts:
        headers = browser.get(address).headers
        assert headers["cache-control"] == "public, max-age=31536000, immutable"
        assert headers["content-encoding"] == "gzip"


def test_under_a_prefix_every_address_has_it(open_console: ConsoleFactory) -> None:
    """Links, forms, assets, redirects and cookies; whether the proxy passes the prefix on or takes it off."""
    browser = open_console(console_users=USERS, console_key=KEY, console_url="https://ops.example.com/desk/bell")

    signed_in = browser.sign_in("viewer", to="/?x=1")
    cookie = signed_in.headers["set-cookie"]
    browser.headers["Cookie"] = cookie.partition(";")[0]
    pages = [browser.get(path) for path in ("/", "/desk/bell/", "/desk/bell")]

    assert signed_in.headers["location"] == "/desk/bell/?x=1"
    assert "; HttpOnly; Max-Age=43200; Path=/desk/bell; SameSite=strict; Secure" in cookie
    for page in pages:
        assert page.status_code == 200
        addresses = [
            part.partition('"')[0] for name in ("href", "src", "action") for part in page.text.split(f'{name}="')[1:]
        ]
        assert len(addresses) > 5
        assert [each for each in addresses if not each.startswith(("/desk/bell/", "#"))] == []
    assert browser.get(addresses[0]).status_code == 200


def test_after_a_form_whose_answer_is_a_page_one_comes_back_to_a_page(open_console: ConsoleFactory) -> None:
    """The form's address shows nothing."""
    page = open_console().post("/queues/none").text

    assert '<input type="hidden" name="next" value="/">' in page


def test_a_quoted_cookie_is_left_unread(open_console: ConsoleFactory) -> None:
    """Pythons before 3.11.10 and 3.12.6 would read it for half a minute (CVE-2024-7592); none of ours is quoted."""
    browser, quoted = open_console(), 'deskbell_theme="' + "\\\\" * 30_000 + '"'

    pages = [
        browser.get("/nothing", headers={"Cookie": cookies}).text
        for cookies in (f"a=b; deskbell_theme=dark; {quoted}", 'deskbell_theme="dark"')
    ]

    assert ['data-theme="dark"' in page for page in pages] == [True, False]


def test_headers_without_bounds_are_refused(open_console: ConsoleFactory) -> None:
    """Nobody has to sign in for them: they must not fill the memory."""
    browser = open_console()
    address = browser.base_url.host, browser.base_url.port

    with socket.create_connection(address, timeout=30) as connection, suppress(ConnectionError):
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 200_000)
        while connection.recv(65536):
            pass  # a sentence, and the end

    assert browser.get("/nothing").status_code == 404


def test_a_form_must_be_one_and_small(open_console: ConsoleFactory) -> None:
    """Whatever is posted, nothing large is read."""
    browser = open_console()
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    answers = [
        browser.post("/preferences", json={}),
        browser.post("/preferences", content=b"a=" + b"x" * 100_000, headers=form),
        browser.post("/preferences", content=b"&".join(b"a=1" for _ in range(200)), headers=form),
        browser.post("/preferences", content=b"\xff=1", headers=form),
    ]

    assert [answer.status_code for answer in answers] == [415, 413, 400, 400]


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_no_form_leads_to_another_site(open_console: ConsoleFactory, to: str) -> None:
    """Where to go on is a path of the console."""
    answer = open_console().post("/preferences", data={"next": to})

    assert answer.headers["location"] == "/"
