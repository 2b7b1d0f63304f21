"""The URL that Desk calls: whether it leads to this api, and for how long its certificate is valid."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from deskbell.cli.doctor.findings import Checked
from deskbell.http import NO_ANSWER, ConnectError, Response, client
from deskbell.queues.findings import Finding, problem, said, warning
from shared.wire.json_values import read_json

_SOON_DAYS = 21
_SECONDS = 5.0
_NOT_A_POST = 405
_FORM = "%b %d %H:%M:%S %Y %Z"  # of ssl.SSLSocket.getpeercert


def public_url(url: str, checked: Checked) -> Iterator[Finding]:
    """Whether the public URL leads to the api: a GET of the callback's path, which it answers with 405."""
    secret = checked.settings.path_secret
    path = f"/{secret.get_secret_value()}/callback" if secret else "/callback"
    try:
        with client(url, seconds=_SECONDS) as http, http.stream("GET", path) as reply:
            yield from _certificate(reply)
            reply.read()
            yield _answer(reply)
    except ConnectError as error:
        yield problem(f"the public URL: expected a server that answers, got {_why(error)}")
    except NO_ANSWER as error:
        yield problem(f"the public URL: expected an answer, got {type(error).__name__}")


def _answer(reply: Response) -> Finding:
    if reply.status_code == _NOT_A_POST and _error_code(reply) == _NOT_A_POST:
        return said("the public URL leads to an api of Deskbell")
    return problem(
        f"the public URL: expected the api's answer to a GET of the callback, status 405, got {reply.status_code}: see "
        "what the proxy does with the path, and DESKBELL_PATH_SECRET"
    )


def _error_code(reply: Response) -> Any:
    try:
        return read_json(reply.content).get("ErrorCode")
    except (ValueError, AttributeError):
        return None


def _certificate(reply: Response) -> Iterator[Finding]:
    inside = reply.extensions["network_stream"].get_extra_info("ssl_object")
    if inside is None:
        yield warning("the public URL has no TLS: Desk's administrators can enter it, and anybody on the way reads it")
        return
    ends = datetime.strptime(inside.getpeercert()["notAfter"], _FORM).replace(tzinfo=UTC)
    days = (ends - datetime.now(UTC)).days
    found = warning if days < _SOON_DAYS else said
    yield found(f"the certificate of the public URL is valid for {days} days, until {ends:%Y-%m-%d %H:%M} UTC")


def _why(error: BaseException) -> str:
    """A certificate that is not trusted, in OpenSSL's words; or that nobody answers."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"a certificate that is not trusted: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    return "no connection"
