"""Authenticates a callback: a known SdkAppid, a valid and fresh Sign, the path secret (PROTOCOL §1, §2)."""

import hmac
import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote_plus

from api.errors import Rejection
from shared.settings.config import Settings
from shared.wire.codes import Code
from shared.wire.protocol import SIGN_WINDOW_SECONDS, fingerprint, sign

Query = Mapping[str, str]
"""A URL's query, keys in lower case: pages spell `SdkAppid` in two ways."""

_MOST_FIELDS = 64
_REQUEST_TIME = re.compile(r"[0-9]{1,12}")


def parse_query(query_string: bytes) -> Query:
    """Read a URL's query.

    Raises:
        Rejection: it has too many fields, or the same field twice, so that two readers could differ.
    """
    fields = [field.partition("=") for field in query_string.decode("latin-1").split("&") if field]
    if len(fields) > _MOST_FIELDS:
        raise Rejection(Code.NOT_A_PACKET, f"the query has more than {_MOST_FIELDS} fields")
    if b"%" in query_string or b"+" in query_string:
        fields = [(unquote_plus(name), "", unquote_plus(value)) for name, _, value in fields]
    query = {name.lower(): value for name, _, value in fields}
    if len(query) != len(fields):
        raise Rejection(Code.NOT_A_PACKET, "a field of the query stands twice")
    return query


class Authenticator:
    """Decides whether a callback comes from Tencent and is for one of our apps."""

    def __init__(self, settings: Settings, record_use: Callable[[str, str, float], None]) -> None:
        self._tokens = {
            app_id: {token.get_secret_value(): fingerprint(token.get_secret_value()) for token in tokens}
            for app_id, tokens in settings.apps.items()
        }
        self._needs_sign = {app_id: settings.needs_sign(app_id) for app_id in settings.apps}
        self._path_secret = settings.path_secret.get_secret_value().encode() if settings.path_secret else None
        self._record_use = record_use  # called with the app, the token's fingerprint and the Unix seconds

    def path_secret_matches(self, secret: str) -> bool:
        """Whether the first part of the URL path is the secret, if one is set; compared in constant time."""
        if self._path_secret is None:
            return True
        return hmac.compare_digest(secret.encode("utf-8", "surrogateescape"), self._path_secret)

    def authenticate(self, query: Query, now: float) -> str:
        """Check the app and the signature.

        Returns:
            The `SdkAppid`; "" when the query has none and the Sign satisfies any of our apps: the console's *verify*
            button may leave it out (PROTOCOL §1), a callback may not.

        Raises:
            Rejection: the app is not ours, or the Sign is missing, wrong or stale.
        """
        app_id = query.get("sdkappid", "")
        if app_id and app_id not in self._tokens:
            raise Rejection(Code.NOT_OUR_APP, "SdkAppid is missing or not ours", "unknown_app")
        given, request_time = query.get("sign", ""), query.get("requesttime", "")
        candidates = [app_id] if app_id else list(self._tokens)
        for each in candidates:
            if not (self._tokens[each] and (given or self._needs_sign[each])):
                return app_id
        if not given or not _REQUEST_TIME.fullmatch(request_time):
            raise Rejection(Code.BAD_SIGN, "Sign or RequestTime is missing", "sign_missing", app=app_id)
        # Every token is tried, whichever fits, each in constant time: nothing leaks how near a guess was.
        fitting = [
            token_fingerprint
            for each in candidates
            for token, token_fingerprint in self._tokens[each].items()
            if hmac.compare_digest(sign(token, request_time).encode(), given.encode())
        ]
        if not fitting:
            raise Rejection(Code.BAD_SIGN, "Sign is wrong", "sign_wrong", app=app_id)
        skew = now - int(request_time)
        if abs(skew) > SIGN_WINDOW_SECONDS:
            info = f"RequestTime is more than {SIGN_WINDOW_SECONDS} s from now"
            raise Rejection(Code.BAD_SIGN, info, "sign_stale", skew_seconds=round(skew, 1), app=app_id)
        if app_id:  # without an app it is unknown whose token it was
            self._record_use(app_id, fitting[0], now)
        return app_id
