"""Checks of settings that are URLs, or that a header or a CRM takes: one that could never work is refused at start.

A secret read from a file often ends in a newline, which no terminal shows. Each check raises ValueError, without the
value.
"""

import re
from urllib.parse import SplitResult, urlsplit

DESK_HOSTS = {  # PROTOCOL §5
    "china": "https://console.tim.qq.com",
    "singapore": "https://adminapisgp.im.qcloud.com",
    "america": "https://adminapiusa.im.qcloud.com",
}
"""The hosts of Desk's REST interface, by region."""

_HEADER_TEXT = re.compile(r"[!-~]*")
_PROPERTY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_PATH_SECRET = re.compile(r"[A-Za-z0-9_-]{16,128}")


def check_edges(text: str) -> None:
    """Refuse characters that a person cannot see."""
    if text.strip() != text or not re.fullmatch(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]*", text):
        raise ValueError("expected no blank at either end, no newline and no other control character")


def check_header_text(text: str) -> None:
    """Refuse a text that cannot be a bearer token in a header (RFC 6750 §2.1)."""
    if not _HEADER_TEXT.fullmatch(text):
        raise ValueError("expected visible ASCII characters only: no blank, and no newline at its end")


def check_property_name(text: str) -> None:
    """Refuse a text that cannot be the internal name of a property or field of a CRM."""
    if not _PROPERTY_NAME.fullmatch(text):
        raise ValueError("expected the internal name of a property: a letter, then letters, digits and _")


def check_path_secret(text: str) -> None:
    """Refuse a text that cannot be part of a URL's path, or is too easy to guess."""
    if not _PATH_SECRET.fullmatch(text):
        raise ValueError("expected 16 to 128 letters, digits, - or _")


def check_http_url(text: str) -> None:
    """Refuse a URL that no request can be sent to."""
    parts = _split(text, "http", "https")
    if re.search(r"\s", text):
        raise ValueError("expected a URL without blanks")
    if not _is_host(parts.hostname or ""):
        raise ValueError("expected a URL with the name or the address of a host, https://crm.example")
    if parts.username is not None:
        raise ValueError("expected a URL without user and password: they are settings of their own")
    if parts.query or parts.fragment or text[-1] in "?#":
        raise ValueError("expected a URL without ? and #: what is asked for is appended to its path")


def check_org_url(text: str) -> None:
    """Refuse what is no URL of an org of Salesforce: the common hosts give no tokens for client credentials."""
    check_http_url(text)
    if urlsplit(text).hostname in ("login.salesforce.com", "test.salesforce.com"):
        raise ValueError("expected the org's own domain, https://example.my.salesforce.com")


def desk_host(text: str) -> str:
    """The URL of Desk's REST interface that a region means, or the URL that is given, for requests to append to."""
    if text in DESK_HOSTS:
        return DESK_HOSTS[text]
    if "://" not in text:
        raise ValueError(f"expected {', '.join(DESK_HOSTS)} or a URL that begins with http:// or https://")
    check_http_url(text)
    return text.rstrip("/")


def check_database_url(text: str) -> None:
    """Refuse a URL that SQLAlchemy cannot open, and a database in memory, which ends with its process."""
    parts = _split(text, "sqlite", "postgresql", "postgresql+psycopg")
    if parts.scheme == "sqlite" and (parts.netloc or parts.path in {"", "/", "/:memory:"}):
        raise ValueError("expected a file, sqlite:///relative/path.db or sqlite:////absolute/path.db")


def _split(text: str, *schemes: str) -> SplitResult:
    check_edges(text)
    beginnings = tuple(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(text)
        fits = text.startswith(beginnings) and parts.port != 0
    except ValueError:  # the port is not a number, or a bracket is not closed
        fits = False
    if not fits:
        raise ValueError(f"expected a valid URL that begins with {' or '.join(beginnings)}")
    return parts


def _is_host(host: str) -> bool:
    try:
        return bool(host) and bool(host.encode("idna"))
    except UnicodeError:  # an empty label, or one of more than 63 characters
        return False
