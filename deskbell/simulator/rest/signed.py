"""Whether a request is signed by an administrator of the app: its query (PROTOCOL §5).

Which code answers which mistake is from memory: no page that we have says it.
"""

import hmac
from collections.abc import Iterator, Mapping

from deskbell.desk.user_sig import read_user_sig, signature

_UINT32 = 1 << 32
_MALFORMED, _NOT_ADMINISTRATOR, _UNKNOWN_APP = 60002, 60010, 70016
_EXPIRED, _INVALID, _WRONG_KEY, _OTHER_ACCOUNT, _OTHER_APP = 70001, 70003, 70009, 70013, 70014


def refused(query: Mapping[str, str], keys: Mapping[str, str], administrator: str, now: float) -> int:
    """The code that a query is refused with; 0 for none.

    Args:
        query: the parameters.
        keys: the secret key of each app.
        administrator: the account that may call.
        now: Unix seconds.
    """
    return next(_mistakes(query, keys, administrator, now), 0)


def _mistakes(query: Mapping[str, str], keys: Mapping[str, str], administrator: str, now: float) -> Iterator[int]:
    """The code of the first mistake; what comes behind it may build on what it is about."""
    app, identifier, random = (query.get(name, "") for name in ("sdkappid", "identifier", "random"))
    if query.get("contenttype") != "json" or not random.isdecimal() or int(random) >= _UINT32:
        yield _MALFORMED
    if app not in keys:
        yield _UNKNOWN_APP
    given = read_user_sig(query.get("usersig", ""))
    begun, seconds = given.get("TLS.time"), given.get("TLS.expire")
    if given.get("TLS.ver") != "2.0" or not isinstance(begun, int) or not isinstance(seconds, int):
        yield _INVALID
        return
    if str(given.get("TLS.sdkappid")) != app:
        yield _OTHER_APP
    if given.get("TLS.identifier") != identifier:
        yield _OTHER_ACCOUNT
    expected = signature(app, keys[app], identifier, begun, seconds)
    if not hmac.compare_digest(expected.encode(), str(given.get("TLS.sig")).encode()):
        yield _WRONG_KEY
    if now >= begun + seconds:
        yield _EXPIRED
    if identifier != administrator:
        yield _NOT_ADMINISTRATOR
