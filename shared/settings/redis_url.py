"""The setting REDIS_URL: one server, a master that sentinels know, or the shards of a cluster.

    redis://[user:password@]host[:6379][/database]                            one server
    rediss://…                                                               one server, through TLS
    unix:///path/to/socket                                                   on this machine
    redis+sentinel://[user:password@]host[:26379][,host2…]/service[/database]   the master of a service
    rediss+sentinel://…                                                      the master, TLS to sentinels, too
    redis+cluster://[user:password@]host[:6379][,host2…]?shards=16              the nodes of a cluster, or some of them
    rediss+cluster://…                                                       the same, through TLS

User and password are those of the Redis servers; the sentinels' own are the options `sentinel_username` and
`sentinel_password`. What a user or a password holds besides letters and digits is percent-encoded. An option that
could make a call wait longer than the settings say, or change what comes back, is not taken.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from shared.settings.urls import check_edges

_SENTINEL, _CLUSTER = "+sentinel", "+cluster"
_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS_OPTIONS = (*_FILES, "ssl_ca_path", "ssl_cert_reqs", "ssl_check_hostname", "ssl_password")
_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
_OPTIONS = ("client_name", "health_check_interval", "socket_keepalive")
_VERIFICATION = ("none", "optional", "required")
_SENTINEL_PORT, _PORT = 26379, 6379
_MOST_SHARDS = 1024
_HOST = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?)(?::(?P<port>[0-9]{1,5}))?"
)
_DATABASE = re.compile(r"(?:/(?P<database>[0-9]{0,5}))?")
_SERVICE = re.compile(r"/(?P<service>[^/\s]+)(?:/(?P<database>[0-9]{0,5}))?")
# Later Pythons refuse a netloc in which a bracket comes behind another host.
_SEVERAL = re.compile(
    r"(?P<scheme>[a-z]+\+(?:sentinel|cluster))://(?P<netloc>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?",
    re.DOTALL,
)
_MOST_PORT = 65_535


@dataclass(frozen=True, slots=True, repr=False)
class RedisUrl:
    """Where Redis is, and the credentials for it.

    Attributes:
        url: what redis-py takes; with sentinels, without the address, which they know.
        sentinels: hosts and ports, also of a cluster's nodes; none for one server.
        service: the name that the sentinels give the master.
        credentials: the user and password of those that are asked for the master, by redis-py's names.
        shards: how many the cluster has; 0 where there is no cluster.
    """

    url: str
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""
    credentials: Mapping[str, str] | None = None
    shards: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the setting.

        Raises:
            ValueError: it is not such a URL; the message quotes nothing of it.
        """
        check_edges(text)
        parts = _split(text)
        options = _options(parts)
        if parts.scheme.endswith(_CLUSTER):
            return cls._of_cluster(parts, options)
        if not parts.scheme.endswith(_SENTINEL):
            _check_path(parts)
            _parse(text)
            return cls(text)
        path = _SERVICE.fullmatch(parts.path)
        if not path:
            raise ValueError("expected the name of the service after the sentinels, …/mymaster or …/mymaster/0")
        user, _, hosts = parts.netloc.rpartition("@")
        scheme = parts.scheme.removesuffix(_SENTINEL)
        query = "&".join(field for field in parts.query.split("&") if not field.startswith(_SENTINEL_OPTIONS))
        url = f"{scheme}://{user + '@' if user else ''}sentinel/{path['database'] or '0'}?{query}"
        _parse(url)
        credentials = {name.removeprefix("sentinel_"): options[name] for name in _SENTINEL_OPTIONS if name in options}
        return cls(url, _hosts(hosts, _SENTINEL_PORT), unquote(path["service"]), credentials)

    @classmethod
    def _of_cluster(cls, parts: SplitResult, options: Mapping[str, str]) -> Self:
        if parts.path not in ("", "/", "/0"):
            raise ValueError("expected nothing behind the nodes but options: a cluster has one database, 0")
        shards = options.get("shards", "")
        if not re.fullmatch("[0-9]{1,4}", shards) or not 0 < int(shards) <= _MOST_SHARDS:
            raise ValueError(f"expected the number of shards after the nodes, ?shards=16, from 1 to {_MOST_SHARDS}")
        user, _, hosts = parts.netloc.rpartition("@")
        query = "&".join(field for field in parts.query.split("&") if not field.startswith("shards"))
        url = f"{parts.scheme.removesuffix(_CLUSTER)}://{user + '@' if user else ''}cluster/0?{query}"
        known = _parse(url)
        credentials: dict[str, str] = {name: known[name] for name in ("username", "password") if name in known}
        return cls(url, _hosts(hosts, _PORT), "", credentials, int(shards))

    def server_options(self) -> dict[str, Any]:
        """What redis-py takes to reach the server, but for its address."""
        options = _parse(self.url)
        is_tls = options.pop("connection_class", None) is not None
        return {name: value for name, value in options.items() if name not in ("host", "port")} | {"ssl": is_tls}


def _split(text: str) -> SplitResult:
    beginnings = [f"{scheme}://" for scheme in _SCHEMES]
    if text.startswith(tuple(beginnings)):
        with suppress(ValueError):  # a bracket is not closed
            several = _SEVERAL.fullmatch(text)
            return SplitResult(**several.groupdict(default="")) if several else urlsplit(text)
    raise ValueError(f"expected a valid URL that begins with {', '.join(beginnings[:-1])} or {beginnings[-1]}")


def _parse(url: str) -> dict[str, Any]:
    """The arguments that redis-py makes of a URL."""
    from redis.connection import parse_url  # noqa: PLC0415 - declaring handlers needs no redis-py, half of the time

    try:
        return dict(parse_url(url))
    except ValueError:
        raise ValueError(
            "expected whole numbers for db and health_check_interval, true or false for socket_keepalive and "
            "ssl_check_hostname"
        ) from None


def _check_path(parts: SplitResult) -> None:
    if parts.scheme == "unix":
        if len(parts.path) <= 1:
            raise ValueError("expected the path of a socket, unix:///path/to/socket")
        return
    host = parts.netloc.rpartition("@")[2]
    if "," in host:
        raise ValueError("expected one server; several sentinels need redis+sentinel://, a cluster redis+cluster://")
    if host:
        _hosts(host, _PORT)
    if not _DATABASE.fullmatch(parts.path):
        raise ValueError("expected the number of a database after the server, …/0; a service needs redis+sentinel://")


def _hosts(text: str, port: int) -> tuple[tuple[str, int], ...]:
    found = [_HOST.fullmatch(host) for host in text.split(",")]
    hosts = [(each["host"].strip("[]"), int(each["port"] or port)) for each in found if each]
    if len(hosts) < len(found) or not all(0 < given <= _MOST_PORT for _, given in hosts):
        raise ValueError(
            "expected host:port with a port from 1 to 65535; in a user or password write / as %2F, ? as %3F, "
            "# as %23, @ as %40, : as %3A and % as %25"
        )
    return tuple(hosts)


def _options(parts: SplitResult) -> dict[str, str]:
    """The options of the query."""
    known = ["db", *_OPTIONS] if parts.scheme == "unix" else list(_OPTIONS)
    known += _TLS_OPTIONS if parts.scheme.startswith("rediss") else ()
    known += _SENTINEL_OPTIONS if parts.scheme.endswith(_SENTINEL) else ()
    known += ["shards"] if parts.scheme.endswith(_CLUSTER) else []
    try:
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        given = [("", "")]
    for name, value in given:
        if name not in known or not value:
            raise ValueError(f"expected options with a value, among {', '.join(known)}")
    options = dict(given)
    if len(options) != len(given) or parts.fragment:
        raise ValueError("expected each option once, and no #; in a password it is written %23")
    _check_tls(options)
    return options


def _check_tls(options: Mapping[str, str]) -> None:
    for name in _FILES:
        if name in options and not Path(options[name]).is_file():
            raise ValueError(f"expected {name} to be a file that is there")
    if "ssl_ca_path" in options and not Path(options["ssl_ca_path"]).is_dir():
        raise ValueError("expected ssl_ca_path to be a folder that is there")
    if options.get("ssl_cert_reqs", "required") not in _VERIFICATION:
        raise ValueError(f"expected ssl_cert_reqs to be one of {', '.join(_VERIFICATION)}")
