"""HTTP proxies that the environment names; requests to loopback bypass them."""

import os
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from shared.errors import ConfigError

PROXIES = {name for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (upper, upper.lower())}
"""The variables that name a proxy."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def exempt_loopback() -> None:
    """Let every HTTP client of this process, and of those it starts, reach loopback without a proxy."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = [name for name in given.split(",") if name]
    value = ",".join([*names, *(name for name in _LOOPBACK if name not in names)])
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = value


def client_options(url: str) -> dict[str, Any]:
    """The options of a client of httpx that concern proxies.

    Raises:
        ConfigError: it needs a proxy, and the environment names one that cannot be used.
    """
    if _is_loopback(url):
        return {"trust_env": False}
    check_proxies()
    return {}


def check_proxies() -> None:
    """Refuse proxies that no client of httpx could use; their URLs may hold a password and are not shown."""
    if not _can_be_used():
        raise ConfigError(
            "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY: expected http://host:port (socks5:// needs: pip install socksio), "
            "got a value not shown here that no HTTP client can use"
        )


def _can_be_used() -> bool:
    import httpx  # noqa: PLC0415 - a fifth of the start of a process, and most processes ask nobody over HTTP

    proxies = [proxy for name in PROXIES if (proxy := os.environ.get(name))]
    try:
        httpx.Client(verify=False).close()  # noqa: S501 - it sends nothing
        hosts = [httpx.URL(proxy if "://" in proxy else f"http://{proxy}").host for proxy in proxies]
    except (ValueError, TypeError, ImportError, httpx.InvalidURL):
        return False
    # A blank in a host becomes %20.
    return all(host and "%" not in host for host in hosts) and all(proxy == proxy.strip() for proxy in proxies)


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
