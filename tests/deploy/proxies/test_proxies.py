"""What a callback meets on its way through a proxy."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import httpx
import pytest
from redis import Redis

from api.server.connections import IDLE_SECONDS
from shared.settings.config import TENCENT_MS, Settings
from tests.deploy.proxies.behind import DEPLOY, PATIENCE_SECONDS, Api, Proxy, caddy, nginx
from tests.serving import Load
from tests.waiting import until

Started = tuple[Api, Proxy]
PROXIES: list[Callable[[Api, Path], AbstractContextManager[Proxy]]] = [nginx, caddy]
FORGED = {
    "X-Forwarded-For": "192.0.2.77",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Prefix": "/evil",
    "X-Real-IP": "192.0.2.77",
    "Forwarded": "for=192.0.2.77;host=evil.example",
}
LIMITS = {
    "nginx/deskbell.conf": (
        r"\skeepalive_timeout (\d+)s;",
        r"proxy_read_timeout (\d+)s;",
        r"client_max_body_size (\d+)m;",
    ),
    "caddy/Caddyfile": (r"\skeepalive (\d+)s", r"response_header_timeout (\d+)s", r"max_size (\d+)MB"),
}
NO_EVENT_CAN_BE_KEPT = {"DESKBELL_REDIS_URL": "redis://127.0.0.1:1/0", "DESKBELL_SPOOL_DIR": "/proc/none"}

pytestmark = pytest.mark.timeout(300)  # an api is started, twice, on a machine that may be busy


@pytest.fixture(params=PROXIES, ids=lambda proxy: proxy.__name__)
def started(request: pytest.FixtureRequest, redis: Redis, valkey_url: str, tmp_path: Path) -> Iterator[Started]:
    """An api behind a proxy; at the end, nothing that the proxy has written holds a Sign, or a query at all."""
    assert redis.dbsize() == 0
    folder = tmp_path / "proxy"
    folder.mkdir()
    with Api(valkey_url, tmp_path) as api:
        api.start()
        with request.param(api, folder) as proxy:
            until(partial(has_begun, proxy), PATIENCE_SECONDS)
            yield api, proxy
        assert "Sign" not in proxy.written()
        assert "SdkAppid" not in proxy.written()


def is_answered(proxy: Proxy) -> bool:
    """Whether a callback is."""
    return proxy.desk.call("greeting").status_code == httpx.codes.OK


def has_begun(proxy: Proxy) -> bool:
    """Whether it answers; Caddy listens before it has a certificate."""
    try:
        return is_answered(proxy)
    except httpx.ConnectError:
        return False


def test_what_a_proxy_lets_through_is_answered_by_the_api(started: Started) -> None:
    """Callbacks alone, whole ones, of a size that can be a callback's; headers that say who asked change nothing."""
    api, proxy = started
    desk = proxy.desk

    for _ in range(20):
        assert is_answered(proxy)
    for path in ("/metrics", "/readyz", "/healthz", "/", "/docs"):
        assert desk.http.get(path).status_code == httpx.codes.NOT_FOUND
    for size in (
        300_000,
        2_000_000,
    ):  # too large for the api, and for the proxy; Caddy may say 502, as it is still sending
        assert desk.post(b"a" * size, "greeting").status_code in {413, 502}
    desk.http.headers.update(FORGED)
    assert is_answered(proxy)
    query = desk.query({"CallbackCommand": "x"})
    head = f"POST /callback/greeting?{query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n".encode()
    assert b"ErrorCode" not in proxy.send_slowly(
        head, b'{"half":'
    )  # Caddy says 200, with nothing; nginx 408, or nothing
    assert is_answered(proxy)

    api.stop()
    (stopping,) = api.lines("stopping")
    # One after the other, callbacks take the connection that is open; that of the slow sender may not be closed yet.
    assert stopping["connections"] in {1, 2}
    assert "192.0.2.77" not in api.log.read_text()


def test_no_callback_is_refused_while_the_api_is_restarted(started: Started) -> None:
    """They wait on its socket, through the proxy; and what the api refuses comes through as it is."""
    api, proxy = started

    with Load(proxy.url) as load:
        until(lambda: load.kept, PATIENCE_SECONDS)
        api.stop()
        api.start()
        known = len(load.kept)
        until(lambda: len(load.kept) > known + 20, PATIENCE_SECONDS)
    assert load.answers.keys() == {(200, 0)}

    api.stop()
    api.start(**NO_EVENT_CAN_BE_KEPT)
    until(lambda: is_refused(proxy), PATIENCE_SECONDS)


def is_refused(proxy: Proxy) -> bool:
    """Whether the api answers, in its own words, that it cannot keep the event."""
    answer = proxy.desk.call("greeting")
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    return bool(answer.json()["ErrorCode"] == 1010)


@pytest.mark.parametrize("name", LIMITS)
def test_a_proxy_closes_first_gives_up_last_and_lets_the_api_refuse_what_is_too_large(name: str) -> None:
    """Its own idle connections before the api does; later than the api answers, and than Desk waits."""
    text = (DEPLOY / name).read_text()
    idle, gives_up, megabytes = (int(re.findall(pattern, text)[0]) for pattern in LIMITS[name])

    assert idle < IDLE_SECONDS
    assert gives_up * 1000 > TENCENT_MS >= Settings.model_fields["budget_ms"].default
    assert megabytes * 1_000_000 > Settings.model_fields["max_body_bytes"].default


def test_nginx_passes_on_no_header_that_says_who_asked() -> None:
    """As the guide says."""
    text = (DEPLOY / "nginx" / "deskbell.conf").read_text()

    assert [name for name in FORGED if f'proxy_set_header {name} "";' not in text] == []
