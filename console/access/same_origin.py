"""A state is changed only by the console's own pages: the browser says where a request comes from.

`Sec-Fetch-Site` decides where it is sent (Fetch Metadata, over TLS and to this machine), else `Origin` against the
host that was asked. A request with neither is refused, so a program has to say `Origin`. There are no tokens, which
proxies and several processes break.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from console.texts.table import DEFAULT_LANGUAGE, preferred, text
from shared.logs import get_log

_SAFE = frozenset({"GET", "HEAD"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_FORWARDED = ("forwarded", "x-forwarded-", "x-real-ip", "via")


def same_origin(app: ASGIApp, origin: str, *, local_only: bool) -> ASGIApp:
    """The app, for requests that may be answered.

    Args:
        app: what answers them.
        origin: scheme and host under which browsers reach it; "" where they ask this process itself.
        local_only: whether nobody signs in, so that requests through a proxy, or to another host's name, are refused.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers, refusal = Headers(scope=scope), ""
        if local_only and not is_local(scope):
            refusal = "error.not_local"
        elif is_embedded(headers) or (scope["method"] not in _SAFE and not is_same_origin(headers, origin)):
            refusal = "error.foreign"
        if refusal:
            reason = text(DEFAULT_LANGUAGE, refusal)
            get_log().warning("console_refused", path=scope["path"][:100], reason=reason)
            sentence = text(preferred(headers.get("accept-language", "")), refusal)
            await PlainTextResponse(f"403: {sentence}\n", 403)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return answer


def is_embedded(headers: Headers) -> bool:
    """Whether another site's page asks for a part of itself, an image or a stream, and leads nobody here."""
    return headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate"


def is_same_origin(headers: Headers, origin: str) -> bool:
    """Whether a request comes from a page of the console."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    came_from = headers.get("origin", "")
    if origin:
        return came_from == origin
    return bool(came_from) and _host(came_from) == headers.get("host", "").lower()


def is_local(scope: Scope) -> bool:
    """Whether a request was made on this machine, to it by name, and without a proxy, as far as that can be seen.

    The name matters, too: a foreign page may have its own name lead here (DNS rebinding). No browser speaks HTTP/1.0,
    but nginx does where it is not told to say who asks.
    """
    headers, client = Headers(scope=scope), scope.get("client")
    if scope["http_version"] == "1.0" or any(name.startswith(_FORWARDED) for name in headers):
        return False
    host = urlsplit(f"//{headers.get('host', '')}").hostname if _is_host(headers.get("host", "")) else None
    peer = (client or ("", 0))[0].removeprefix("::ffff:")
    return host in _LOOPBACK and peer in _LOOPBACK


def _is_host(text: str) -> bool:
    try:
        return bool(urlsplit(f"//{text}").hostname)
    except ValueError:
        return False


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
