"""The setting REDIS_URL: every mistake in it is refused in one sentence."""

import pytest

from shared.settings.redis_url import RedisUrl
from tests.conftest import SettingsFactory

PLANTED = "planted-secret"


def refusal(text: str) -> str:
    """What is said of a URL that is none."""
    with pytest.raises(ValueError, match=r"^expected ") as caught:
        RedisUrl.parse(text)
    return str(caught.value)


OPTIONS = "expected options with a value, among client_name, health_check_interval, socket_keepalive"
TLS_OPTIONS = "ssl_ca_certs, ssl_certfile, ssl_keyfile, ssl_ca_path, ssl_cert_reqs, ssl_check_hostname, ssl_password"
ADDRESS = "expected host:port with a port from 1 to 65535"
SHARDS = "expected the number of shards after the nodes, ?shards=16, from 1 to 1024"
SCHEMES = (
    "expected a valid URL that begins with redis://, rediss://, unix://, redis+sentinel://, rediss+sentinel://, "
    "redis+cluster:// or rediss+cluster://"
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("redis+sentinal://one/mymaster", SCHEMES),
        ("sentinel://one/mymaster", SCHEMES),
        ("redis://[::1", SCHEMES),
        ("redis+cluster://one,two", SHARDS),
        ("redis+cluster://one?shards=0", SHARDS),
        ("redis+cluster://one?shards=1025", SHARDS),
        ("redis+cluster://one?shards=", OPTIONS),
        ("redis+cluster://one/1?shards=4", "expected nothing behind the nodes but options"),
        ("redis+cluster://one:0?shards=4", ADDRESS),
        ("redis://one?shards=4", OPTIONS),
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
        ("redis://one?ssl_ca_certs=/ca.pem", OPTIONS),
        ("rediss://one?ssl_ca_cert=/ca.pem", f"{OPTIONS}, {TLS_OPTIONS}"),
        ("rediss://one?ssl_ca_certs=/none.pem", "expected ssl_ca_certs to be a file that is there"),
        ("rediss://one?ssl_ca_path=/none", "expected ssl_ca_path to be a folder that is there"),
        ("rediss://one?ssl_cert_reqs=maybe", "expected ssl_cert_reqs to be one of none, optional, required"),
        ("redis://one?sentinel_password=x", OPTIONS),
        (
            "redis+sentinel://one/mymaster?sentinel_pasword=x",
            f"{OPTIONS}, sentinel_username, sentinel_password",
        ),
    ],
)
def test_a_mistake_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    """It says what to write, and nothing of what came: a part of a password may stand anywhere."""
    said = refusal(text)

    assert said.startswith(sentence)
    assert PLANTED not in said
    assert "\n" not in said


def test_the_setting_is_refused_where_it_is_read(make_settings: SettingsFactory) -> None:
    """Not later, where a worker first needs Redis."""
    with pytest.raises(ValueError, match="expected the name of the service"):
        make_settings(redis_url="redis+sentinel://one")


def test_a_cluster_has_nodes_and_shards() -> None:
    """The user is that of all servers, and asks the nodes for the master of a shard, too."""
    url = RedisUrl.parse("rediss+cluster://user:p%40ss@one,two:7001?shards=16&ssl_cert_reqs=none")

    assert (url.shards, url.sentinels) == (16, (("one", 6379), ("two", 7001)))
    assert url.credentials == {"username": "user", "password": "p@ss"}
    assert url.server_options().items() >= {"username": "user", "password": "p@ss", "db": 0, "ssl": True}.items()
