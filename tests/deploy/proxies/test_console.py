"""The console behind nginx, as the guide of the operator's console writes it."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from redis import Redis

from tests.conftest import SettingsFactory
from tests.console.browsing import USERS, Browser, browsing
from tests.deploy.proxies.behind import free_port, nginx_with
from tests.tls import CERTIFICATES

GUIDE = Path(__file__).parents[3] / "docs" / "how-to" / "operators-console.md"


@pytest.fixture
def browser(redis: Redis, make_settings: SettingsFactory, tmp_path: Path) -> Iterator[Browser]:
    """Somebody who has typed the console's public address; names, ports and paths are the test's."""
    assert redis.dbsize() == 0
    port = free_port()
    url = f"https://localhost:{port}/deskbell"
    with browsing(make_settings(console_users=USERS, console_key=SecretStr("k" * 40), console_url=url)) as behind:
        [text] = re.findall(r"```nginx\n(.*?)```", GUIDE.read_text(), re.DOTALL)
        for old, new in {
            "http://127.0.0.1:9182": behind,
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "ops.example.com": "localhost",
            "/etc/ssl/localhost.pem": f"{CERTIFICATES}/server.pem",
            "/etc/ssl/localhost.key": f"{CERTIFICATES}/server.pem",
        }.items():
            assert old in text, old
            text = text.replace(old, new)
        with nginx_with(text, port, tmp_path), Browser(url) as one:
            yield one


def test_the_guide_s_nginx_shows_the_console_below_its_prefix(browser: Browser) -> None:
    """One signs in there, pages and what they load have addresses there, and new calls come through at once."""
    away = browser.get("/calls")
    there = browser.sign_in("viewer", to="/calls")
    page = browser.get("/calls")
    addresses = set(re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text))
    with browser.stream("GET", "/calls/stream") as stream:
        begun = stream.status_code

    assert away.headers["location"].startswith("/deskbell/sign-in?next=")
    assert (there.status_code, there.headers["location"]) == (303, "/deskbell/calls")
    assert page.status_code == 200
    assert [each for each in addresses if not each.startswith("/deskbell/")] == []
    assert {browser.get(each.removeprefix("/deskbell")).status_code for each in addresses if "/static/" in each} == {
        200
    }
    assert begun == 200


def test_the_guide_s_nginx_bounds_sign_ins_by_address(browser: Browser) -> None:
    """The console has but one address to count by."""
    answers = [browser.sign_in("viewer", "wrong").status_code for _ in range(20)]

    assert httpx.codes.SERVICE_UNAVAILABLE in answers
