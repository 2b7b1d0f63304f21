"""Where Redis is: every form of the setting, and every mistake in it."""

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

from shared.redis_url import RedisUrl
from tests.away import Line
from tests.conftest import SettingsFactory
from tests.replicated import PASSWORD, SENTINEL_PASSWORD, SERVICE, replicated
from tests.tls import AUTHORITY, CLIENT, tls
from tests.waiting import eventually

PLANTED = "planted-secret"


def refusal(text: str) -> str:
    """What is said of a URL that is none."""
    with pytest.raises(ValueError, match=r"^expected ") as caught:
        RedisUrl.parse(text)
    return str(caught.value)


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
    found = kwargs(RedisUrl.parse(text).connect(7))

    assert found.items() >= (expected | {"socket_timeout": 7, "socket_connect_timeout": 7}).items()


def test_a_service_is_asked_of_all_its_sentinels() -> None:
    """The user of the servers in the URL, that of the sentinels in options; sentinels share the time of one server."""
    url = RedisUrl.parse(
        "redis+sentinel://user:p%40ss@one,two:26380,[::1]:26381/my%20master/4"
        "?client_name=api&sentinel_username=watch&sentinel_password=p%26ss"
    )

    redis = url.connect(6)

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
    ours = RedisUrl.parse("redis+sentinel://:secret@one/mymaster").connect(1)

    assert get_connection_kwargs(ours)["connection_pool"].service_name == "mymaster"


OPTIONS = "expected options with a value, among client_name, health_check_interval, socket_keepalive"
TLS_OPTIONS = "ssl_ca_certs, ssl_certfile, ssl_keyfile, ssl_ca_path, ssl_cert_reqs, ssl_check_hostname, ssl_password"
ADDRESS = "expected host:port with a port from 1 to 65535"
SCHEMES = "expected a valid URL that begins with redis://, rediss://, unix://, redis+sentinel:// or rediss+sentinel://"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("redis+sentinal://one/mymaster", SCHEMES),
        ("sentinel://one/mymaster", SCHEMES),
        ("redis://[::1", SCHEMES),
        ("redis+sentinel://one,two:26379", "expected the name of the service after the sentinels"),
        ("redis+sentinel://one,two:26379/", "expected the name of the service after the sentinels"),
        ("redis+sentinel://one/mymaster/first", "expected the name of the service after the sentinels"),
        ("redis+sentinel://one/mymaster/0/1", "expected the name of the service after the sentinels"),
        ("redis+sentinel:///mymaster", ADDRESS),
        ("redis://:secret@h..x/0", ADDRESS),
        (f"redis://:secret@{'h' * 64}/0", ADDRESS),
        ("redis+sentinel://one,,two/mymaster", ADDRESS),
        ("redis+sentinel://one;two/mymaster", ADDRESS),
        ("redis+sentinel://one:70000/mymaster", ADDRESS),
        ("redis+sentinel://one:0/mymaster", ADDRESS),
        ("redis+sentinel://one:/mymaster", ADDRESS),
        ("redis://one,two/0", "expected one server; several sentinels need redis+sentinel://"),
        ("redis://one/mymaster", "expected the number of a database after the server"),
        ("redis://one/0/1", "expected the number of a database after the server"),
        (f"redis://:{PLANTED}/x@one", ADDRESS),
        (f"redis://:x/{PLANTED}@one", ADDRESS),
        (f"redis://:x#{PLANTED}@one", ""),
        (f"redis://:x?{PLANTED}@one", OPTIONS),
        (f"redis://:x?{PLANTED}=1@one", OPTIONS),
        (f"redis://x@{PLANTED}@one:y", ADDRESS),
        ("unix://", "expected the path of a socket"),
        ("unix:///", "expected the path of a socket"),
        ("redis://one?socket_timeout=60", OPTIONS),
        ("redis://one?decode_responses=true", OPTIONS),
        ("redis://one?client_name=", OPTIONS),
        ("redis://one?health_check_interval=often", "expected whole numbers for db"),
        ("redis://one?client_name=a&client_name=b", "expected each option once"),
        ("redis://one?ssl_ca_certs=/ca.pem", f"{OPTIONS} (did you mean ssl_ca_certs, with rediss://?)"),
        ("rediss://one?ssl_ca_cert=/ca.pem", f"{OPTIONS}, {TLS_OPTIONS} (did you mean ssl_ca_certs?)"),
        ("rediss://one?ssl_ca_certs=/none.pem", "expected ssl_ca_certs to be a file that is there"),
        ("rediss://one?ssl_ca_path=/none", "expected ssl_ca_path to be a folder that is there"),
        ("rediss://one?ssl_cert_reqs=maybe", "expected ssl_cert_reqs to be one of none, optional, required"),
        ("redis://one?sentinel_password=x", OPTIONS),
        (
            "redis+sentinel://one/mymaster?sentinel_pasword=x",
            f"{OPTIONS}, sentinel_username, sentinel_password (did you mean sentinel_password?)",
        ),
    ],
)
def test_a_mistake_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    """It says what to write, and nothing of what came: a part of a password may stand anywhere."""
    said = refusal(text)

    assert said.startswith(sentence)
    assert PLANTED not in said
    assert "\n" not in said


def test_tls_is_verified_against_the_authority_and_the_name(valkey_url: str) -> None:
    """With `ssl_ca_certs` it works; without, or for another name, nothing is sent."""
    with tls(valkey_url.removeprefix("unix://")) as port:
        assert RedisUrl.parse(f"rediss://localhost:{port}/0?ssl_ca_certs={AUTHORITY}").connect(10).ping()
        with pytest.raises(RedisConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            RedisUrl.parse(f"rediss://localhost:{port}/0").connect(10).ping()
        with pytest.raises(RedisConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            RedisUrl.parse(f"rediss://127.1:{port}/0?ssl_ca_certs={AUTHORITY}").connect(10).ping()
        unnamed = f"rediss://127.1:{port}/0?ssl_ca_certs={AUTHORITY}&ssl_check_hostname=false"
        assert RedisUrl.parse(unnamed).connect(10).ping()


def test_a_client_shows_its_certificate(valkey_url: str) -> None:
    """`ssl_certfile` and `ssl_keyfile`, for a server that asks for one; also on an event loop."""
    with tls(valkey_url.removeprefix("unix://"), with_client=True) as port:
        bare = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={AUTHORITY}"
        url = f"{bare}&ssl_certfile={CLIENT}&ssl_keyfile={CLIENT}"

        async def ping() -> bool:
            async with RedisUrl.parse(url).connect_async(10, 0) as redis:
                return bool(await redis.ping())

        assert RedisUrl.parse(url).connect(10).ping()
        assert asyncio.run(ping())
        with pytest.raises((RedisError, ssl.SSLError, OSError)):
            RedisUrl.parse(bare).connect(10).ping()


def test_sentinels_and_master_are_reached_through_tls(tmp_path: Path) -> None:
    """`rediss+sentinel://`: TLS to both, each with its password."""
    with replicated(tmp_path) as servers, tls(servers.master_port) as master:
        told = (str(servers.master_port).encode(), str(master).encode())
        with tls(servers.sentinel_ports[0], told) as sentinel:
            text = f"rediss+sentinel://:{PASSWORD}@127.0.0.1:{sentinel}/{SERVICE}?sentinel_password={SENTINEL_PASSWORD}"
            url = RedisUrl.parse(f"{text}&ssl_ca_certs={AUTHORITY}")

            async def role() -> object:
                async with url.connect_async(10, 0) as redis:
                    return (await redis.execute_command("ROLE"))[0]

            assert url.connect(10).execute_command("ROLE")[0] == b"master"
            assert asyncio.run(role()) == b"master"
            with pytest.raises(RedisConnectionError):
                RedisUrl.parse(text).connect(10).ping()


def test_the_setting_is_refused_where_it_is_read(make_settings: SettingsFactory) -> None:
    """Not later, where a worker first needs Redis."""
    with pytest.raises(ValueError, match="expected the name of the service"):
        make_settings(redis_url="redis+sentinel://one")


def test_a_connection_that_the_server_has_closed_is_not_used_again(redis: Redis, valkey_url: str) -> None:
    """An idle one may have been closed at any time: it costs no error."""

    async def ask_twice(url: str) -> bool:
        async with RedisUrl.parse(url).connect_async(10, retries=0) as client:
            number = await client.client_id()
            redis.client_kill_filter(_id=str(number))
            [idle] = client.connection_pool._available_connections
            assert idle._reader
            await eventually(idle._reader.at_eof)
            return await client.client_id() != number

    with Line(valkey_url) as line:
        assert asyncio.run(ask_twice(line.url))


def test_a_command_whose_answer_did_not_come_is_not_sent_again(redis: Redis, valkey_url: str) -> None:
    """RQ's code writes what must not be written twice; redis-py would send it up to eleven times."""
    redis.set("count", 0)
    with Line(valkey_url) as line, RedisUrl.parse(line.url).connect(0.2) as ours:
        ours.ping()
        line.hold("answers")
        with pytest.raises(RedisTimeoutError):
            ours.incr("count")
        line.release("answers")

        assert ours.incr("count") == 2
