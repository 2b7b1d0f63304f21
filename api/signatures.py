"""Who may ring: the app is ours, the Sign is Tencent's, the path holds the secret (PROTOCOL §1, §2)."""

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from api.errors import Refusal
from shared.codes import Code
from shared.config import Settings
from shared.protocol import SIGN_WINDOW_SECONDS, fingerprint, sign

Query = Mapping[str, str]
"""A URL's query, keys in lower case: pages spell `SdkAppid` in two ways."""

_MOST_FIELDS = 64
_REQUEST_TIME = re.compile(r"[0-9]{1,12}")


def parse_query(query_string: bytes) -> Query:
    """Read a URL's query.

    Raises:
        Refusal: it has too many fields, or one stands twice, so that two readers could differ.
    """
    fields = [field.partition("=") for field in query_string.decode("latin-1").split("&") if field]
    if len(fields) > _MOST_FIELDS:
        raise Refusal(Code.NOT_A_PACKET, f"the query has more than {_MOST_FIELDS} fields")
    query = {unquote_plus(name).lower(): unquote_plus(value) for name, _, value in fields}
    if len(query) != len(fields):
        raise Refusal(Code.NOT_A_PACKET, "a field of the query stands twice")
    return query


class Doors:
    """Decides whether a callback comes from Tencent and is meant for us."""

    def __init__(self, settings: Settings, note_use: Callable[[str, str, float], None]) -> None:
        """Read the locks.

        Args:
            settings: the apps and their tokens.
            note_use: told the app, the token's fingerprint and the Unix seconds of each callback that a token signed.
        """
        self._tokens = {
            app_id: [_Token(token.get_secret_value(), fingerprint(token.get_secret_value())) for token in tokens]
            for app_id, tokens in settings.apps.items()
        }
        self._needs_sign = {app_id: settings.needs_sign(app_id) for app_id in settings.apps}
        self._path_secret = settings.path_secret.get_secret_value().encode() if settings.path_secret else None
        self._note_use = note_use

    def fit_path(self, secret: str) -> bool:
        """Whether the first part of the URL path is the secret, if there is one; compared in constant time."""
        if self._path_secret is None:
            return True
        return hmac.compare_digest(secret.encode("utf-8", "surrogateescape"), self._path_secret)

    def admit(self, query: Query, now: float) -> str:
        """Check the app and the signature.

        Args:
            query: the URL's query.
            now: Unix seconds.

        Returns:
            The `SdkAppid`; "" when the query has none and any of our apps would be admitted: the console's
            *verify* button may leave it out (PROTOCOL §1), a callback may not.

        Raises:
            Refusal: the app is not ours, or the Sign is missing, wrong or stale.
        """
        app_id = query.get("sdkappid", "")
        if app_id:
            if app_id not in self._tokens:
                raise Refusal(Code.NOT_OUR_APP, "SdkAppid is missing or not ours", "unknown_app")
            self._check_sign([app_id], query, now)
        else:
            self._check_sign(list(self._tokens), query, now)
        return app_id

    def _check_sign(self, app_ids: list[str], query: Query, now: float) -> None:
        """Check the signature of a callback that is of one of these apps."""
        given, request_time = query.get("sign", ""), query.get("requesttime", "")
        about = {"app": app_ids[0]} if query.get("sdkappid") else {}
        if not all(self._tokens[app_id] and (given or self._needs_sign[app_id]) for app_id in app_ids):
            return
        if not given or not _REQUEST_TIME.fullmatch(request_time):
            raise Refusal(Code.BAD_SIGN, "Sign or RequestTime is missing", "sign_missing", **about)
        # Every token is tried, whichever fits, each in constant time: nothing leaks how near a guess was.
        fitting = [
            (app_id, token.fingerprint)
            for app_id in app_ids
            for token in self._tokens[app_id]
            if hmac.compare_digest(sign(token.text, request_time).encode(), given.encode())
        ]
        if not fitting:
            raise Refusal(Code.BAD_SIGN, "Sign is wrong", "sign_wrong", **about)
        skew = round(now - int(request_time), 1)
        if abs(now - int(request_time)) > SIGN_WINDOW_SECONDS:
            info = f"RequestTime is more than {SIGN_WINDOW_SECONDS} s from now"
            raise Refusal(Code.BAD_SIGN, info, "sign_stale", skew_seconds=skew, **about)
        if about:  # without an app it cannot be told whose token it was
            self._note_use(*fitting[0], now)


@dataclass(frozen=True, slots=True, repr=False)
class _Token:
    text: str
    fingerprint: str
