"""Clients of Redis: every form of the setting, TLS and sentinels, and what is not sent again."""

import asyncio
import ssl
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import SentinelConnectionPool
from rq.connections import get_connection_kwargs

from shared.errors import ConfigError
from shared.redis.connections import async_client, client
from tests.redis_outages import Line
from tests.replicated import PASSWORD, SENTINEL_PASSWORD, SERVICE, replicated
from tests.tls import AUTHORITY, CLIENT, tls
from tests.waiting import eventually


def kwargs(redis: Redis) -> dict[str, object]:
    """What a client's connections are made of."""
    return dict(redis.connection_pool.connection_kwargs)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://", {}),
        ("redis://host", {"host": "host"}),
        ("redis://host:6380/3", {"host": "host", "port": 6380, "db": 3}),
        ("redis://[::1]:6380/3", {"host": "::1", "port": 6380, "db": 3}),
        ("redis://:p%40ss%2F@host/", {"host": "host", "password": "p@ss/"}),
        ("redis://user:pass@host?client_name=api", {"username": "user", "password": "pass", "client_name": "api"}),
        ("unix:///run/redis.sock?db=2", {"path": "/run/redis.sock", "db": 2}),
        ("unix://user:pass@/run/redis.sock", {"path": "/run/redis.sock", "username": "user", "password": "pass"}),
    ],
)
def test_one_server_is_what_redis_py_takes(text: str, expected: dict[str, object]) -> None:
    """Host, port, database, user and password, percent-encoded where they must be."""
    found = kwargs(client(text, 7))

    assert found.items() >= (expected | {"socket_timeout": 7, "socket_connect_timeout": 7}).items()


@pytest.mark.parametrize("shard", [None, 1])
def test_a_process_whose_keys_are_no_shards_is_refused_a_cluster(shard: int | None) -> None:
    """It would see one shard as if it were all; the sentence says what to write."""
    with pytest.raises(
        ConfigError, match="works on one shard at a time: expected `deskbell --shard 0 …`, or --shard all"
    ):
        client("redis+cluster://one?shards=4", 1, shard)


def test_a_service_is_asked_of_all_its_sentinels() -> None:
    """The user of the servers in the URL, that of the sentinels in options; sentinels share the time of one server."""
    url = (
        "redis+sentinel://user:p%40ss@one,two:26380,[::1]:26381/my%20master/4"
        "?client_name=api&sentinel_username=watch&sentinel_password=p%26ss"
    )

    redis = client(url, 6)

    pool = redis.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "my master"
    assert kwargs(redis).items() >= {"username": "user", "password": "p@ss", "db": 4, "client_name": "api"}.items()
    hosts = [(kwargs(sentinel)["host"], kwargs(sentinel)["port"]) for sentinel in pool.sentinel_manager.sentinels]
    assert hosts == [("one", 26379), ("two", 26380), ("::1", 26381)]
    for sentinel in pool.sentinel_manager.sentinels:
        assert kwargs(sentinel).items() >= {"username": "watch", "password": "p&ss", "socket_timeout": 2}.items()
        assert "client_name" not in {name for name, value in kwargs(sentinel).items() if value}


def test_rq_can_make_connections_of_its_own_from_ours() -> None:
    """Its scheduler takes a client apart and puts it together again."""
    ours = client("redis+sentinel://:secret@one/mymaster", 1)

    assert get_connection_kwargs(ours)["connection_pool"].service_name == "mymaster"


def test_tls_is_verified_against_the_authority_and_the_name(valkey_url: str) -> None:
    """With `ssl_ca_certs` it works; without, or for another name, nothing is sent."""
    with tls(valkey_url.removeprefix("unix://")) as port:
        assert client(f"rediss://localhost:{port}/0?ssl_ca_certs={AUTHORITY}", 10).ping()
        with pytest.raises(RedisConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            client(f"rediss://localhost:{port}/0", 10).ping()
        with pytest.raises(RedisConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            client(f"rediss://127.1:{port}/0?ssl_ca_certs={AUTHORITY}", 10).ping()
        unnamed = f"rediss://127.1:{port}/0?ssl_ca_certs={AUTHORITY}&ssl_check_hostname=false"
        assert client(unnamed, 10).ping()


def test_a_client_shows_its_certificate(valkey_url: str) -> None:
    """`ssl_certfile` and `ssl_keyfile`, for a server that asks for one; also on an event loop."""
    with tls(valkey_url.removeprefix("unix://"), with_client=True) as port:
        bare = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={AUTHORITY}"
        url = f"{bare}&ssl_certfile={CLIENT}&ssl_keyfile={CLIENT}"

        async def ping() -> bool:
            async with async_client(url, 10, 0) as redis:
                return bool(await redis.ping())

        assert client(url, 10).ping()
        assert asyncio.run(ping())
        with pytest.raises((RedisError, ssl.SSLError, OSError)):
            client(bare, 10).ping()


def test_sentinels_and_master_are_reached_through_tls(tmp_path: Path) -> None:
    """`rediss+sentinel://`: TLS to both, each with its password."""
    with replicated(tmp_path) as servers, tls(servers.master_port) as master:
        told = (str(servers.master_port).encode(), str(master).encode())
        with tls(servers.sentinel_ports[0], told) as sentinel:
            text = f"rediss+sentinel://:{PASSWORD}@127.0.0.1:{sentinel}/{SERVICE}?sentinel_password={SENTINEL_PASSWORD}"
            url = f"{text}&ssl_ca_certs={AUTHORITY}"

            async def role() -> object:
                async with async_client(url, 10, 0) as redis:
                    return (await redis.execute_command("ROLE"))[0]

            assert client(url, 10).execute_command("ROLE")[0] == b"master"
            assert asyncio.run(role()) == b"master"
            with pytest.raises(RedisConnectionError):
                client(text, 10).ping()


def test_a_connection_that_the_server_has_closed_is_not_used_again(redis: Redis, valkey_url: str) -> None:
    """An idle one may have been closed at any time: it costs no error."""

    async def ask_twice(url: str) -> bool:
        async with async_client(url, 10, retries=0) as ours:
            number = await ours.client_id()
            redis.client_kill_filter(_id=str(number))
            [idle] = ours.connection_pool._available_connections  # noqa: SLF001 - redis-py shows it nowhere else
            reader = idle._reader  # noqa: SLF001 - redis-py shows it nowhere else
            assert reader
            await eventually(reader.at_eof)
            return await ours.client_id() != number

    with Line(valkey_url) as line:
        assert asyncio.run(ask_twice(line.url))


def test_a_command_whose_answer_did_not_come_is_not_sent_again(redis: Redis, valkey_url: str) -> None:
    """RQ's code writes what must not be written twice; redis-py would send it up to eleven times."""
    redis.set("count", 0)
    with Line(valkey_url) as line, client(line.url, 1.0) as ours:
        ours.ping()
        line.hold("answers")
        with pytest.raises(RedisTimeoutError):
            ours.incr("count")
        line.release("answers")

        assert ours.incr("count") == 2
