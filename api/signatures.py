"""Who may ring: the app is ours, the Sign is Tencent's, the path holds the secret (PROTOCOL §1, §2)."""

import hmac
import re
from collections.abc import Mapping
from urllib.parse import unquote_plus

from api.errors import Code, Refusal
from shared.config import Settings
from shared.protocol import SIGN_WINDOW_SECONDS, sign

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

    def __init__(self, settings: Settings) -> None:
        self._tokens = {
            app_id: [token.get_secret_value() for token in tokens] for app_id, tokens in settings.apps.items()
        }
        self._required = settings.signature == "required"
        self._path_secret = settings.path_secret.get_secret_value().encode() if settings.path_secret else None

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
            The `SdkAppid`.

        Raises:
            Refusal: the app is not ours, or the Sign is missing, wrong or stale.
        """
        app_id = query.get("sdkappid", "")
        if app_id not in self._tokens:
            raise Refusal(Code.NOT_OUR_APP, "SdkAppid is missing or not ours")
        if self._tokens[app_id]:
            self._check_sign(self._tokens[app_id], query, now)
        return app_id

    def _check_sign(self, tokens: list[str], query: Query, now: float) -> None:
        given = query.get("sign", "")
        request_time = query.get("requesttime", "")
        if not given and not self._required:
            return
        if not given or not _REQUEST_TIME.fullmatch(request_time):
            raise Refusal(Code.BAD_SIGN, "Sign or RequestTime is missing")
        # Every token is tried, whichever fits, each in constant time: nothing leaks how near a guess was.
        fitting = [hmac.compare_digest(sign(token, request_time).encode(), given.encode()) for token in tokens]
        if not any(fitting):
            raise Refusal(Code.BAD_SIGN, "Sign is wrong")
        if abs(now - int(request_time)) > SIGN_WINDOW_SECONDS:
            raise Refusal(Code.BAD_SIGN, f"RequestTime is more than {SIGN_WINDOW_SECONDS} s from now")
