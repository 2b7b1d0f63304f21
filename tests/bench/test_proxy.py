"""The proxy that takes Redis away."""

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from bench.proxy import Proxy


def test_what_passes_is_redis(redis: Redis, valkey_url: str) -> None:
    """Both ways, more than one buffer."""
    with Proxy(valkey_url.removeprefix("unix://")) as proxy, Redis.from_url(proxy.url) as through:
        through.set("a", b"x" * 1_000_000)

        assert redis.strlen("a") == 1_000_000
        assert len(through.get("a") or b"") == 1_000_000


def test_a_black_hole_takes_connections_and_answers_nothing(redis: Redis, valkey_url: str) -> None:
    """Old ones and new ones; what it swallowed never arrives, and it passes again afterwards."""
    with (
        Proxy(valkey_url.removeprefix("unix://")) as proxy,
        Redis.from_url(proxy.url, socket_timeout=0.2, retry=None) as old,
    ):
        assert old.ping()
        proxy.turn("swallow")
        with Redis.from_url(proxy.url, socket_timeout=0.2, retry=None) as new:
            for client in (old, new):
                with pytest.raises(RedisTimeoutError):
                    client.set("a", "1")
        proxy.turn("pass")

        assert old.set("b", "1")
        assert redis.keys() == [b"b"]


def test_a_stopped_server_refuses(redis: Redis, valkey_url: str) -> None:
    """Connections break, and new ones are refused, until it passes again on the same port."""
    assert redis.ping()
    with Proxy(valkey_url.removeprefix("unix://")) as proxy, Redis.from_url(proxy.url, retry=None) as through:
        assert through.ping()
        proxy.turn("refuse")
        for _ in range(2):
            with pytest.raises(RedisConnectionError):
                through.ping()
        proxy.turn("pass")

        assert through.ping()
