"""HTTP proxies that the environment names; requests to loopback bypass them."""

import os

PROXIES = {name for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (upper, upper.lower())}
"""The variables that name a proxy."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def exempt_loopback() -> None:
    """Let every HTTP client of this process, and of those it starts, reach loopback without a proxy."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = [name for name in given.split(",") if name]
    value = ",".join([*names, *(name for name in _LOOPBACK if name not in names)])
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = value
