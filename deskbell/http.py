"""The HTTP client: httpx, which no other module of the product imports, so that its successor is one import away.

`client` and `async_client` make the client of one server, with our time-outs and the environment's proxies. A client
keeps its connections: make it once, and let threads (or the tasks of one loop) share it. No text of an error that it
raises, and no line that it logs, holds a URL, a header or a body: they hold users' ids and tokens.

A server is trusted with what it is sent, and with nothing else: no redirect is followed, no cookie is kept, and an
answer that is too large is none.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from httpx import (
    URL,
    AsyncClient,
    Client,
    ConnectError,
    HTTPError,
    InvalidURL,
    ReadError,
    Request,
    Response,
    TransportError,
)

from shared.errors import ConfigError, DeskbellError
from shared.settings.proxies import PROXIES
from shared.traces.span import Span
from shared.traces.spans import URL_TEMPLATE, end_request, request_span, trace_headers

__all__ = [
    "NO_ANSWER",
    "READ_SECONDS",
    "UNSENT",
    "URL",
    "AsyncClient",
    "Client",
    "ConnectError",
    "HTTPError",
    "InvalidURL",
    "ReadError",
    "Response",
    "TransportError",
    "async_client",
    "check_proxies",
    "check_proxies_for",
    "client",
    "status_error",
]

READ_SECONDS = 10.0
"""How long a server may send nothing: with `_CONNECT_SECONDS` less than a job's time-out, which cannot end requests."""

NO_ANSWER = (HTTPError, InvalidURL)
"""What a request raises that is not answered."""

UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""What a request raises that the server has certainly not seen."""

_CONNECT_SECONDS = 5.0
_MOST_BYTES = 16_000_000  # of an answer, unpacked: a small one may be a thousand times as large when it is
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=100)  # a worker runs 64 jobs at once

logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it writes the URL of each request


class _Client(Client):
    def send(self, request: Request, **options: Any) -> Response:
        with _span(request) as span:
            reply = self._send(request, **options)
            end_request(span, reply.status_code)
            return reply

    def _send(self, request: Request, *, stream: bool = False, **options: Any) -> Response:
        try:
            reply = super().send(request, stream=True, **options)
            if stream:
                return reply
            content = bytearray()
            try:
                for chunk in reply.iter_bytes():
                    _add(content, chunk)
            finally:
                reply.close()
            return _whole(reply, content)
        except httpx.ProtocolError as error:
            raise _without_values(error) from None


class _AsyncClient(AsyncClient):
    _loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        return await super().__aenter__()

    async def send(self, request: Request, **options: Any) -> Response:
        with _span(request) as span:
            reply = await self._send(request, **options)
            end_request(span, reply.status_code)
            return reply

    async def _send(self, request: Request, *, stream: bool = False, **options: Any) -> Response:
        if self._loop not in (None, asyncio.get_running_loop()):
            raise DeskbellError(
                "this HTTP client is another event loop's; write the job as async def, without asyncio.run"
            )
        try:
            reply = await super().send(request, stream=True, **options)
            if stream:
                return reply
            content = bytearray()
            try:
                async for chunk in reply.aiter_bytes():
                    _add(content, chunk)
            finally:
                await reply.aclose()
            return _whole(reply, content)
        except httpx.ProtocolError as error:
            raise _without_values(error) from None


def client(url: str, *, headers: Mapping[str, str] | None = None, seconds: float = READ_SECONDS) -> Client:
    """A client for threads.

    Args:
        url: what relative URLs of requests are appended to.
        headers: sent with each request.
        seconds: how long the server may send nothing.

    Raises:
        ConfigError: it needs a proxy, and the environment names one that cannot be used.
        InvalidURL: the URL is none.
    """
    return _Client(base_url=url, headers=headers, **_options(url, seconds))


def async_client(url: str, *, headers: Mapping[str, str] | None = None, seconds: float = READ_SECONDS) -> AsyncClient:
    """A client for the tasks of one event loop; otherwise as `client`."""
    return _AsyncClient(base_url=url, headers=headers, **_options(url, seconds))


def status_error(text: str, reply: Response) -> HTTPError:
    """The error of a reply that is a failure of the server; its cause in logs tells the status.

    httpx' own `raise_for_status` writes the URL into the text.
    """
    return httpx.HTTPStatusError(text, request=reply.request, response=reply)


def check_proxies_for(url: str) -> None:
    """Refuse the environment's proxies if a client for a URL could not use them.

    Raises:
        ConfigError: it could not.
    """
    if not _is_loopback(url):
        check_proxies()


def check_proxies() -> None:
    """Refuse proxies that no client could use; their URLs may hold a password and are not shown.

    Raises:
        ConfigError: the environment names such a one.
    """
    if not _can_be_used():
        raise ConfigError(
            "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY: expected http://host:port (socks5:// needs: pip install socksio), "
            "got a value not shown here that no HTTP client can use"
        )


def _options(url: str, seconds: float) -> dict[str, Any]:
    check_proxies_for(url)
    timeout = httpx.Timeout(min(seconds, _CONNECT_SECONDS), read=seconds)
    options = {"timeout": timeout, "limits": _LIMITS, "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=[]))}
    if not _is_loopback(url):
        return options
    # No proxy and no .netrc, whatever the environment says; but the authorities that it trusts.
    authorities = os.environ.get("SSL_CERT_FILE")
    verify = ssl.create_default_context(cafile=authorities) if authorities else True
    return {**options, "trust_env": False, "verify": verify}


def _span(request: Request) -> Span:
    """The span of a request, which tells the server that it is its parent."""
    url = request.url
    span = request_span(request.method, url.scheme, url.host, url.port, request.extensions.get(URL_TEMPLATE))
    request.headers.update(trace_headers(span))
    return span


def _add(content: bytearray, chunk: bytes) -> None:
    """Take a part of an answer.

    Raises:
        ReadError: there is too much of it.
    """
    content += chunk
    if len(content) > _MOST_BYTES:
        raise ReadError(f"the answer is larger than {_MOST_BYTES // 1_000_000} MB")


def _whole(reply: Response, content: bytearray) -> Response:
    """A reply with its content, which is unpacked by now."""
    reply.headers.pop("Content-Encoding", None)
    return Response(
        reply.status_code,
        headers=reply.headers,
        content=bytes(content),
        request=reply.request,
        extensions=reply.extensions,
    )


def _without_values(error: httpx.ProtocolError) -> httpx.ProtocolError:
    """The error without its text, which may hold a header as it was sent or came."""
    return type(error)("what was sent or came is not HTTP, or only a part of it")


def _can_be_used() -> bool:
    proxies = [proxy for name in PROXIES if (proxy := os.environ.get(name))]
    try:
        Client(verify=False).close()  # noqa: S501 - it sends nothing
        hosts = [URL(proxy if "://" in proxy else f"http://{proxy}").host for proxy in proxies]
    except (ValueError, TypeError, ImportError, InvalidURL):
        return False
    # A blank in a host becomes %20.
    return all(host and "%" not in host for host in hosts) and all(proxy == proxy.strip() for proxy in proxies)


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
